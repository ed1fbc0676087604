"""What `ok` takes to be said."""

from dataclasses import replace

import pytest

from firmware.judgement.round.verdict import decide
from firmware.model.statement import stated
from tests.english import lines
from tests.firmware.judgement.round.stories import IN, OUT, SILENT, SITES, four_silent, pinned
from tests.firmware.rounds import again, many, near, past


@pytest.mark.parametrize(
    ("reached", "tried", "verdict"),
    [(2, 4, "ok"), (2, 5, "inconclusive"), (3, 6, "ok"), (1, 1, "inconclusive")],
)
def test_ok_takes_two_networks_and_half_of_those_tried(reached: int, tried: int, verdict: str) -> None:
    references = [*many(OUT, reached), *many(OUT, tried - reached, SILENT, first=reached + 1)]
    assert decide([*near(), *references]).verdict == verdict


class TestOkIsAClaim:
    """`ok` is said only where what people use is not silent together with references, over each family that works."""

    def test_an_allow_list_that_spares_half_of_the_references_is_not_ok(self) -> None:
        spared = [*many(OUT, 2), *many(OUT, 2, SILENT, first=3)]
        for history in ((), (past("controls-reached"),)):
            assert decide([*near(), *many(IN, 4), *spared, *many(SITES, 4, SILENT)], history).verdict not in {
                "ok",
                "international_cut",
            }

    def test_references_that_are_silent_alone_are_no_reason(self) -> None:
        halves = [*many(OUT, 3), *many(OUT, 2, SILENT, first=4)]
        assert decide([*near(), *many(IN, 4), *halves, *many(SITES, 4)]).verdict == "ok"

    def test_platforms_that_are_silent_alone_are_no_reason(self) -> None:
        mostly = [*many(OUT, 4), *many(OUT, 1, SILENT, first=5)]
        assert decide([*near(), *many(IN, 4), *mostly, *many(SITES, 4, SILENT)]).verdict == "ok"

    def test_ipv4_cut_and_ipv6_well_is_neither_ok_nor_a_cut_and_names_the_family(self) -> None:
        verdict = decide(
            [*four_silent(), *again(four_silent())], [past("one-family-silent", verdict="inconclusive")]
        )
        assert (verdict.verdict, verdict.rule_id) == ("inconclusive", "one-family-silent")
        assert stated("family", family=4, reached=0, networks=4) in verdict.evidence
        assert stated("family", family=6, reached=4, networks=4) in verdict.evidence
        assert "over IPv4: 0 of 4 reference networks reached" in lines(verdict)

    def test_ipv6_cut_and_ipv4_well_is_not_ok_where_ipv6_works_inside(self) -> None:
        outside = [*near(), *many(IN, 4), *pinned(4, 4), *pinned(6, 4, SILENT), *many(SITES, 4)]
        verdict = decide([*outside, *pinned(6, 2, rung=IN)])
        assert (verdict.verdict, verdict.rule_id) == ("inconclusive", "one-family-silent")

    def test_ipv6_that_leads_nowhere_is_ok_and_named(self) -> None:
        outside = [*near(), *many(IN, 4), *pinned(4, 4), *pinned(6, 4, SILENT), *many(SITES, 4)]
        verdict = decide([*outside, *pinned(6, 2, SILENT, rung=IN)])
        assert verdict.verdict == "ok"
        assert stated("family", family=6, reached=0, networks=4) in verdict.evidence

    def test_a_port_that_is_filtered_is_no_family(self) -> None:
        # all of port 443 is dropped, IPv6 is asked on no other, and other ports answer over IPv4
        others = [
            replace(one, test="tcp", target=f"192.0.2.{number}:43") for number, one in enumerate(many(OUT, 3))
        ]
        inside = [*near(), *many(IN, 4), *pinned(6, 1, rung=IN)]
        verdict = decide([*inside, *pinned(4, 4, SILENT), *pinned(6, 4, SILENT), *others])
        assert verdict.rule_id != "one-family-silent"

    def test_handshakes_that_are_filtered_are_no_family(self) -> None:
        # IPv4 is asked by handshakes, which are dropped, and IPv6 for connects, which are not
        shaken = [replace(one, failed_operation="tls_handshake") for one in pinned(4, 4, SILENT)]
        connected = [replace(one, test="tcp") for one in pinned(6, 4)]
        assert decide([*near(), *many(IN, 4), *shaken, *connected]).rule_id != "one-family-silent"


def test_ok_takes_proof_where_an_open_port_is_none() -> None:
    ports = [replace(one, test="tcp") for one in many(OUT, 5)]
    assert decide([*near(), *ports]).verdict == "inconclusive"
