"""What is said first: the verdict's transitions, with no more certainty than the rounds have, in less than 1 kB."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from appliance.delivery.messages.headline import HELLO_BYTES, transitions, with_headline
from firmware.model.record import ClockQuality, ClockReading, Outcome, Record, Verdict
from firmware.model.statement import prose
from firmware.wire.messages import MAX_TRANSITIONS, Hello, Transition, decode_hello, encode_hello
from tests.firmware.records import records, tcp_record

HELLO = Hello(
    device="a1b2c3d4e5f6g7h8",
    epoch="0123456789abcdef",
    low=1,
    high=12_345,
    waiting=12_345,
    software="tidegauge 0.1.0",
    country="ir",
    incarnations=(("0123456789abcdef", 1), ("fedcba9876543210", 9000)),
)
NS = 1_000_000_000
T0 = 1_790_000_000 * NS


def round_of(start_s: int, verdict: str, *, since_s: int, error_ns: int | None = 5_000_000) -> Record:
    """Return the conclusion of a round of 20 s that began at `start_s`."""
    return replace(
        tcp_record(1, test="ladder"),
        start=ClockReading(
            boottime_ns=start_s * NS,
            utc_ns=T0 + start_s * NS,
            quality=ClockQuality.HOLDOVER,
            error_ns=error_ns,
        ),
        runtime_ns=20 * NS,
        outcome=Outcome(detail={"since_utc_ns": T0 + since_s * NS}),
        verdict=Verdict(
            verdict=verdict, rule_id=f"{verdict}_rule", evidence=(prose("a"),), overturned_by="b"
        ),
    )


def test_a_cut_and_what_was_before_it() -> None:
    told = transitions(
        [
            round_of(900, "international_cut", since_s=620),
            round_of(600, "international_cut", since_s=620, error_ns=7_000_000),
            round_of(300, "ok", since_s=20),
            round_of(0, "ok", since_s=20),
        ]
    )
    assert told == (
        Transition(
            since_utc_ns=T0 + 620 * NS,
            error_ns=7_000_000,
            quality=ClockQuality.HOLDOVER,
            verdict="international_cut",
            rule_id="international_cut_rule",
        ),
        Transition(
            since_utc_ns=T0 + 20 * NS,
            error_ns=5_000_000,
            quality=ClockQuality.HOLDOVER,
            verdict="ok",
            rule_id="ok_rule",
        ),
    )


def test_of_an_onset_that_is_no_longer_among_the_rounds_the_error_is_not_known() -> None:
    (told,) = transitions([round_of(90_000, "international_cut", since_s=620)])
    assert (told.since_utc_ns, told.error_ns) == (T0 + 620 * NS, None)


def test_a_round_of_older_software_tells_its_own_start() -> None:
    old = replace(round_of(600, "ok", since_s=0), outcome=Outcome())
    assert transitions([old])[0].since_utc_ns == T0 + 600 * NS


def test_without_rounds_there_is_no_headline() -> None:
    assert transitions([tcp_record(1)]) == ()
    assert with_headline(HELLO, []) == HELLO


@given(rounds=st.lists(records, max_size=12))
def test_whatever_the_rounds_say_the_hello_stays_small_and_can_be_read(rounds: list[Record]) -> None:
    headed = with_headline(HELLO, rounds)
    payload = encode_hello(headed)
    assert len(payload) <= HELLO_BYTES
    assert decode_hello(payload) == headed
    assert len(headed.headline) <= MAX_TRANSITIONS
    assert headed.headline == transitions(rounds)[: len(headed.headline)]


def test_four_turns_fit() -> None:
    words = ["international_cut", "isp_or_wider_outage", "inconclusive", "ok", "ok"]
    rounds = [
        round_of(300 * number, word, since_s=300 * number + 20)
        for number, word in zip(range(5, 0, -1), words, strict=True)
    ]
    assert [transition.verdict for transition in with_headline(HELLO, rounds).headline] == words[:4]
