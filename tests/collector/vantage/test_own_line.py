"""A failure is a target's only where the vantage's own line was well around it: by made records."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from collector.store.vantage_streaks import Key
from collector.vantage.own_line import OwnLine, Proof, proof_of
from collector.vantage.second import looks_of
from collector.vantage.targets import VantageTarget
from firmware.model.failures import Failure
from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.model.record import Record
from tests.collector.vantage.made_looks import PAGE, record, reference


def line(*reached: tuple[float, float], is_dead: bool = False, more: Sequence[Proof] = ()) -> OwnLine:
    """Return a line by which reference targets were reached at these times."""
    proofs = [proof_of(reference(), record(reference(), *span, failure=None)) for span in reached]
    found = [*(one for one in proofs if one is not None), *more]
    return OwnLine(
        is_connected=True, is_dead=is_dead, proofs=tuple(sorted(found, key=lambda one: one.ended_ns))
    )


SEEN = tuple((at, at + 0.1) for at in (1.0, 4.0, 7.0, 10.0))


@pytest.mark.parametrize(
    ("reached", "failed", "believed"),
    [
        (SEEN, (2.0, 9.0), True),
        (SEEN, (2.0, 12.0), False),
        (SEEN[:-1], (2.0, 9.0), False),
        ((SEEN[0], SEEN[3]), (2.0, 9.0), False),
        ((SEEN[0], SEEN[3]), (2.0, 2.1), False),
        (SEEN, (0.0, 2.0), True),
        (SEEN[2:], (0.0, 9.0), False),
        ((*SEEN[:-1], (9.5, 11.5)), (2.0, 9.0), True),
        ((*SEEN[:-1], (8.9, 11.5)), (2.0, 9.0), False),
        ((), (2.0, 9.0), False),
    ],
    ids=[
        "well-all-the-while",
        "nothing-after-it",
        "gone-before-it-ended",
        "gone-and-back-meanwhile",
        "gone-and-back-around-it",
        "with-the-look-itself",
        "gone-when-the-look-began",
        "an-answer-that-took-its-time",
        "asked-too-early",
        "never-seen",
    ],
)
def test_a_failure_counts_where_the_line_was_seen_well_before_and_after_and_meanwhile(
    reached: Sequence[tuple[float, float]], failed: tuple[float, float], *, believed: bool
) -> None:
    assert line(*reached).believes(record(PAGE, *failed)) is believed
    assert line(*reached).believes(record(PAGE, *failed, failure=None)), "what is reached proves itself"


def test_what_the_own_host_could_not_send_is_never_a_targets_failure() -> None:
    for failure in (Failure.NETWORK_UNREACHABLE, Failure.NETWORK_DOWN, Failure.NO_RESOLVER):
        assert not line(*SEEN).believes(record(PAGE, 2.0, 3.0, failure))


def six(name: str, began_s: float, ended_s: float, failure: str | None) -> tuple[VantageTarget, Record]:
    target = VantageTarget(key=Key(test="tcp", target="[2001:db8::7]:443", target_name=name))
    detail: JsonObject = {"address": "2001:db8::7", "port": 443}
    return target, record(target, began_s, ended_s, failure, detail=detail)


def test_what_failed_over_ipv6_alone_counts_where_ipv6_was_well_around_it() -> None:
    _, lost = six("lost", 2.0, 9.0, Failure.TIMEOUT)
    assert not line(*SEEN).believes(lost), "IPv6 may be gone alone"
    proofs = [proof for at, end in SEEN if (proof := proof_of(*six("there", at, end, None))) is not None]
    assert len(proofs) == len(SEEN)
    assert line(*SEEN, more=proofs).believes(lost)
    assert not line(*SEEN, more=proofs[:2]).believes(lost)


def over_four(began_s: float, ended_s: float, failure: str | None) -> Record:
    target = VantageTarget(key=Key(test="tcp", target="192.0.2.80:443", target_name="x"))
    return record(target, began_s, ended_s, failure, detail={"address": "192.0.2.80", "port": 443})


def test_what_failed_over_ipv4_counts_where_ipv4_was_well_around_it() -> None:
    """IPv4 is gone, its gateway says so at once, and reference targets are reached over IPv6."""
    refused = over_four(2.0, 5.1, Failure.HOST_UNREACHABLE)
    assert line(*SEEN).believes(refused)
    target = VantageTarget(
        key=Key(test="tls", target="[2001:db8::1]:443", target_name="n6"), neutral_network="N6"
    )
    over_six = [proof_of(target, record(target, *span, failure=None)) for span in SEEN]
    assert not line(more=[one for one in over_six if one is not None]).believes(refused)


def test_a_line_that_came_in_the_midst_of_a_look_was_not_well_before_it() -> None:
    page = record(PAGE, 6.0, 6.5, Failure.HOST_UNREACHABLE)
    back = ((8.1, 8.3), (8.4, 8.5))
    assert not line(*back).believes(page)
    assert not replace(line(*back), began_ns=1_500_000_000).believes(page)


def asked(name_s: tuple[float, float], resolver: str, *addresses: str, failure: str | None) -> Record:
    """Return a page whose name the system's resolver had no answer for; what `resolver` said of it."""
    values: list[JsonValue] = [{"type": "A", "value": one} for one in addresses]
    answers: list[JsonValue] = [{"transport": "udp", "answers": values}]
    query: JsonObject = {
        "query_name": "www.example.org",
        "query_type": "A",
        "resolver": resolver,
        "system": False,
        "failure": failure,
        "answers": answers if addresses else [],
    }
    return record(PAGE, *name_s, Failure.TIMEOUT, operation="resolve", detail={"queries": [query]})


def test_a_name_that_got_no_answer_counts_where_another_resolver_had_none_and_answered_for_others() -> None:
    """The vantage's own resolver may have died, and what answers from its cache proves nothing."""
    alone = record(PAGE, 2.0, 9.0, Failure.TIMEOUT, operation="resolve")
    assert not line(*SEEN).believes(alone)
    assert not line(*SEEN).believes(asked((2.0, 9.0), "192.0.2.53", "192.0.2.9", failure=None))
    silent = asked((2.0, 9.0), "192.0.2.53", failure=Failure.TIMEOUT)
    assert not line(*SEEN).believes(silent)
    others = [
        proof
        for at, end in SEEN
        if (proof := proof_of(PAGE, asked((at, end), "192.0.2.53", "192.0.2.9", failure=None))) is not None
    ]
    assert len(others) == len(SEEN)
    assert line(*SEEN, more=others).believes(silent)
    assert not line(*SEEN, more=others[:2]).believes(silent)
    # A page beside it whose name was answered at once, and which was fetched long after.
    long = proof_of(PAGE, asked((2.0, 3.5), "192.0.2.53", "192.0.2.9", failure=None))
    assert long is not None
    refused = asked((2.0, 2.3), "192.0.2.53", failure=Failure.DNS_SERVFAIL)
    assert line(*SEEN, more=[long, *others[1:]]).believes(refused)
    denied = record(PAGE, 2.0, 9.0, Failure.DNS_NXDOMAIN, operation="resolve")
    assert line(*SEEN).believes(denied), "that is an answer"
    server = VantageTarget(key=Key(test="dns", target="example.org", target_name="server"))
    detail: JsonObject = {"query_name": "example.org", "query_type": "SOA", "resolver": "192.0.2.53"}
    lost = record(server, 2.0, 9.0, operation="resolve", detail=detail)
    assert line(*SEEN).believes(lost), "here the resolver is the target"


def test_a_second_vantage_says_nothing_of_what_failed_while_its_own_line_was_not_seen() -> None:
    target = VantageTarget(key=Key(test="tcp", target="192.0.2.80:443", target_name="x"))
    lost = record(target, 2.0, 9.0, detail={"address": "192.0.2.80", "port": 443})
    assert [one.failure for one in looks_of("ir", [lost], line(*SEEN))] == [Failure.TIMEOUT]
    assert looks_of("ir", [lost], line(*SEEN[:-1], is_dead=True)) == []
    assert looks_of("ir", [lost], replace(line(*SEEN), is_connected=False)) == []
