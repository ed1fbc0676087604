"""Platforms and protocols from many devices: what is a country's, what one network's, and what accuses nobody."""

from dataclasses import replace
from itertools import zip_longest
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.judgement.changes import assessment_of, outside_of
from collector.judgement.devices import DeviceStanding
from collector.judgement.gather import CountryAssessment
from collector.judgement.scope import judge_scope
from collector.judgement.services import platforms_of
from collector.store.scopes import Assessment
from firmware.model.record import Verdict
from firmware.model.verdict_words import VerdictWord
from tests.collector.judgement.scopes import LOOKED, NOW, UP, one, seen
from tests.english import lines


def judged(blocked: int, **how: object) -> Verdict:
    devices = seen(blocked, **how)  # type: ignore[arg-type]
    return judge_scope([state for state, _ in devices], replace(UP, platforms=platforms_of(devices, LOOKED)))


def test_twelve_of_twelve_devices_that_find_one_platform_blocked() -> None:
    said = judged(12)
    assert (said.verdict, said.rule_id) == ("platform_blocked", "platform-blocked-everywhere")
    (line,) = [one for one in lines(said) if "12 of 12" in one]
    assert "x: blocked" in line
    assert all(name in line for name in ("tci", "shatel", "mci", "irancell"))


def test_a_minority_accuses_nobody() -> None:
    assert {blocked: str(judged(blocked).verdict) for blocked in (1, 3, 6, 9)} == dict.fromkeys(
        (1, 3, 6, 9), "ok"
    )


def test_where_the_vantage_does_not_get_it_or_did_not_look_nobody_is_accused() -> None:
    devices = seen(12)
    states = [state for state, _ in devices]
    down = [replace(LOOKED[0], failure="connection_reset")]
    gone = [replace(LOOKED[0], view=replace(LOOKED[0].view, reachable=False))]
    for streaks in (down, gone, []):
        assert judge_scope(states, replace(UP, platforms=platforms_of(devices, streaks))).verdict == "ok"
    outside = replace(UP, connected=False, platforms=platforms_of(devices, LOOKED))
    assert judge_scope(states, outside).verdict == "ok"


def by_rule(rules: dict[str, int]) -> Verdict:
    """Return what is said where so many of twelve devices find x by each rule, and the rest get it."""
    told = [rule_id for rule_id, many in rules.items() for _ in range(many)]
    devices = [
        (
            state,
            [found if rule_id is None else replace(found, rule_id=rule_id, step="tcp", **_WORDS[rule_id])],
        )
        for (state, (found,)), rule_id in zip_longest(seen(0), told)
    ]
    states = [state for state, _ in devices]
    return judge_scope(states, replace(UP, platforms=platforms_of(devices, LOOKED)))


_WORDS: dict[str, dict[str, Any]] = {
    "platform-may-refuse": {"verdict": VerdictWord.INCONCLUSIVE, "confidence": "low"},
    "platform-refuses": {"verdict": VerdictWord.INCONCLUSIVE, "confidence": "low"},
    "connect-stopped": {"verdict": VerdictWord.BLOCKED_TCP},
    "connect-stopped-here-alone": {"verdict": VerdictWord.BLOCKED_TCP},
}


@pytest.mark.parametrize(
    ("rules", "word"),
    [
        ({"platform-may-refuse": 12}, "ok"),
        ({"platform-may-refuse": 11}, "ok"),
        ({"platform-refuses": 12}, "ok"),
        ({"connect-stopped": 12}, "ok"),  # of older software, which did not ask
        ({"platform-may-refuse": 6, "connect-stopped": 5}, "ok"),
        ({"connect-stopped-here-alone": 12}, "platform_blocked"),
        ({"connect-stopped-here-alone": 4, "platform-may-refuse": 8}, "platform_blocked"),
    ],
)
def test_connects_that_fail_everywhere_are_a_countrys_block_only_where_somebody_told_devices_so(
    rules: dict[str, int], word: str
) -> None:
    said = by_rule(rules)
    assert said.verdict == word
    assert any(line.startswith("x: ") for line in lines(said))


def test_a_finding_that_is_not_sure_counts_for_nothing() -> None:
    assert judged(12, confidence="low").verdict == "ok"


def test_what_one_network_alone_blocks_is_said_of_that_network() -> None:
    devices = [
        (
            state,
            [
                replace(found, verdict=VerdictWord.BLOCKED_DNS, step="dns")
                if state.network == "tci"
                else found
            ],
        )
        for state, (found,) in seen(0)
    ]
    said = judge_scope([state for state, _ in devices], replace(UP, platforms=platforms_of(devices, LOOKED)))
    assert said.verdict == "ok"
    assert "x: blocked in network tci alone, for 3 of 3 devices" in lines(said)


def test_all_devices_of_one_network_are_no_country() -> None:
    devices = [(replace(state, network="tci"), found) for state, found in seen(12)]
    said = judge_scope([state for state, _ in devices], replace(UP, platforms=platforms_of(devices, LOOKED)))
    assert said.verdict == "ok"


def test_connections_that_are_stopped_everywhere_may_be_the_platform_s_own_refusal() -> None:
    said = judged(12, word="blocked_tcp")
    assert said.verdict == "ok"
    assert any("or the platform refuses the country" in line for line in lines(said))
    # One network's devices get it: it is not the country that the platform refuses.
    assert judged(10, word="blocked_tcp").verdict == "platform_blocked"


class TestFiltering:
    """Devices that say that only some protocols pass."""

    def said(self, count: int, *, of: int = 12, networks: int = 4) -> Verdict:
        made = [
            replace(
                one(number, "tci", DeviceStanding.UNCLEAR if number < count else DeviceStanding.WELL),
                network=f"AS{number % networks}",
                word="protocol_filtering" if number < count else "ok",
                told_utc_s=NOW,
            )
            for number in range(of)
        ]
        return judge_scope(made, UP)

    def test_all_of_them(self) -> None:
        said = self.said(12)
        assert (said.verdict, said.rule_id) == ("protocol_filtering", "filtered-everywhere")
        assert "network AS0: only some protocols pass for 3 devices" in lines(said)

    def test_some_or_one_network_accuse_nobody(self) -> None:
        assert self.said(2).verdict == "ok"
        assert self.said(8).verdict == "inconclusive"
        assert self.said(12, networks=1).verdict == "inconclusive"

    def test_without_a_vantage_that_is_well_nobody_is_accused(self) -> None:
        made = [
            replace(
                one(number, ["tci", "mci"][number % 2], DeviceStanding.UNCLEAR), word="protocol_filtering"
            )
            for number in range(12)
        ]
        assert judge_scope(made, replace(UP, connected=False)).verdict == "inconclusive"


def test_what_was_known_of_platforms_is_read_back_as_it_was() -> None:
    devices = seen(12)
    outside = replace(UP, platforms=platforms_of(devices, LOOKED))
    states = tuple(state for state, _ in devices)
    scope = CountryAssessment(
        country="ir",
        verdict=judge_scope(states, outside),
        devices=states,
        outside=outside,
        onset=None,
        late=0,
    )
    kept: Assessment = assessment_of(scope, round(NOW * 1e9))
    assert outside_of(kept) == outside
    assert kept.basis["where"] == "x"


@given(st.integers(0, 12), st.sampled_from(["blocked_dns", "blocked_tcp", "blocked_tls"]), st.integers(1, 12))
def test_no_platform_is_called_blocked_by_less_than_most(blocked: int, word: str, of: int) -> None:
    said = judged(min(blocked, of), word=word, of=of)
    if said.verdict == "platform_blocked":
        assert min(blocked, of) >= max(3, 0.8 * of)
