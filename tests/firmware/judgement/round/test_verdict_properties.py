"""What must hold of a verdict whatever the network does."""

from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from firmware.judgement.facts import Past
from firmware.judgement.observation import Observation
from firmware.judgement.round.rules import RULES
from firmware.judgement.round.verdict import decide
from firmware.model.failures import Failure
from firmware.model.record import Rung, Verdict
from firmware.model.verdict_words import DEVICE_WORDS
from tests.english import lines, overturned_by, strays
from tests.firmware.judgement.round.stories import BAD_CERTIFICATE, IN, OUT, RESET, SILENT, SITES
from tests.firmware.rounds import many, near, past, seen

OUTCOMES = [
    (None, "connect"),
    (SILENT, "connect"),
    (RESET, "tls_handshake"),
    (Failure.NETWORK_UNREACHABLE, "connect"),
    (Failure.DNS_NXDOMAIN, "resolve"),
    (BAD_CERTIFICATE, "tls_handshake"),
    (Failure.HTTP_UNEXPECTED_STATUS_CODE, "http_round_trip"),
    (Failure.MISSED_SLOT, "connect"),
    ("unknown_failure: EWHAT: what", "connect"),
]


@st.composite
def observed(draw: st.DrawFn) -> Observation:
    rung = draw(st.sampled_from(Rung))
    failure, operation = draw(st.sampled_from(OUTCOMES))
    number = draw(st.integers(1, 5))
    return seen(
        f"{rung}-{number}",
        rung,
        failure,
        operation=operation,
        test=draw(st.sampled_from(["tls", "tcp", "dns", "http", "ping"])),
        at_s=draw(st.sampled_from([0.1, 5.0, 22.0])),
        network=draw(st.sampled_from([None, "", "AS-shared"])),
        status=draw(st.sampled_from([None, 200, 302, 403])),
    )


rounds = st.lists(observed(), max_size=25)
histories = st.lists(
    st.builds(
        past,
        st.sampled_from([rule.rule_id for rule in RULES]),
        age_s=st.floats(0, 400),
        reached=st.lists(st.sampled_from(Rung)),
    ),
    max_size=2,
)


@given(rounds, histories, st.randoms())
def test_the_order_of_observations_does_not_matter(
    observations: list[Observation],
    history: list[Past],
    random: Random,
) -> None:
    shuffled = list(observations)
    random.shuffle(shuffled)
    assert decide(shuffled, history) == decide(observations, history)


@given(rounds, histories)
def test_there_is_always_a_verdict_with_evidence_a_rule_and_what_would_overturn_it(
    observations: list[Observation], history: list[Past]
) -> None:
    verdict = decide(observations, history)
    assert verdict.verdict in DEVICE_WORDS
    assert verdict.rule_id in {rule.rule_id for rule in RULES}
    assert all(lines(verdict))
    assert verdict.evidence
    assert strays(verdict) == []
    assert overturned_by(verdict)


@given(rounds, histories, st.integers(1, 5), st.sampled_from(["tls", "tcp", "http", "ping"]))
def test_more_answers_from_outside_never_make_a_cut(
    observations: list[Observation], history: list[Past], number: int, test: str
) -> None:
    # whether a silent reference target answers in the end, or one more is there
    for name in (f"international-{number}", "one-more"):
        more = [*observations, seen(name, OUT, test=test, at_s=30)]
        if decide(more, history).verdict == "international_cut":
            raise AssertionError(f"{name} answered")


@given(rounds, histories)
def test_when_every_reference_is_reached_nothing_is_wrong(
    observations: list[Observation], history: list[Past]
) -> None:
    others = [one for one in observations if one.rung is not OUT]
    assert decide([*others, *many(OUT, 5)], history).verdict in {"ok", "inconclusive"}


@given(rounds, histories)
def test_a_cut_is_only_said_with_its_evidence_at_hand(
    observations: list[Observation], history: list[Past]
) -> None:
    said: Verdict = decide(observations, history)
    if said.verdict == "international_cut":
        authenticated = {one.network for one in observations if one.rung is IN and one.is_authenticated}
        silent = {one.network for one in observations if one.rung is OUT and one.failure}
        assert len(authenticated) >= 2
        assert len(silent) >= 3


@given(rounds)
def test_what_is_dns_or_void_carries_no_verdict_of_the_wider_network(observations: list[Observation]) -> None:
    weak = [
        replace(one, test="dns") if number % 2 else replace(one, failure=Failure.MISSED_SLOT)
        for number, one in enumerate(observations)
        if one.rung in (IN, OUT, SITES)
    ]
    assert decide([*near(), *weak]).verdict == "inconclusive"
