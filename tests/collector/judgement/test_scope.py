"""Scope verdicts: each in its story, the negative controls of the past, and what must never be said."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.judgement.devices import BURST_S, DeviceStanding, DeviceState, bursts
from collector.judgement.outside import OutsideFacts
from collector.judgement.scope import SCOPE_RULES, judge_scope
from collector.judgement.services import ServiceLost, platforms_of
from firmware.model.verdict_words import COLLECTOR_ONLY
from tests.collector.judgement.scopes import (
    ALL_SILENT,
    LOOKED,
    NETWORKS,
    NOW,
    SHUTDOWNS,
    UP,
    country,
    devices,
    one,
    seen,
)
from tests.english import lines, overturned_by, strays

REGION = [
    one(index, network, DeviceStanding.LOST if index % 2 else DeviceStanding.WELL)
    for index, network in enumerate([*NETWORKS] * 4)
]
DOWN = replace(UP, services=(ServiceLost(name="social", lost=16, tried=16, vantage_lost=True),))
STORIES = {
    "own-uplink-failed": (ALL_SILENT, OutsideFacts(connected=False)),
    "devices-were-well": (
        [one(number, "tci", DeviceStanding.WELL, was_well_unheard=True) for number in range(4)],
        UP,
    ),
    "too-few-devices": (country()[:2], UP),
    "neighbours-lost-too": (
        country(**dict.fromkeys(NETWORKS, DeviceStanding.LOST)),
        replace(UP, neighbours_lost=0.7),
    ),
    "mobile-lost-fixed-well": (country(mci=DeviceStanding.LOST, irancell=DeviceStanding.SILENT), UP),
    "one-region-lost": (REGION, UP),
    "one-network-lost": (country(mci=DeviceStanding.SILENT), UP),
    "silent-in-one-region": (
        [
            replace(device, region="qom") if device.network == "mci" else device
            for device in country(mci=DeviceStanding.SILENT)
        ],
        UP,
    ),
    "most-lost-some-stay-on": (
        country(mci=DeviceStanding.LOST, tci=DeviceStanding.SILENT, irancell=DeviceStanding.LOST),
        UP,
    ),
    "groups-lost-together": (
        country(mci=DeviceStanding.LOST, tci=DeviceStanding.LOST)
        + [
            replace(one(number, "tci", DeviceStanding.WELL), network=f"AS{number % 3}")
            for number in range(16, 28)
        ],
        UP,
    ),
    "group-not-well": (
        [
            replace(
                one(number, "tci", DeviceStanding.LOST if number < 4 else DeviceStanding.WELL),
                network=f"AS{number // 3}",
            )
            for number in range(30)
        ],
        UP,
    ),
    "allow-list-across-networks": (
        [replace(device, state=DeviceStanding.UNCLEAR, word="allowlisted") for device in country()],
        UP,
    ),
    "filtered-everywhere": (
        [replace(device, state=DeviceStanding.UNCLEAR, word="protocol_filtering") for device in country()],
        UP,
    ),
    "platform-blocked-everywhere": (country(), replace(UP, platforms=platforms_of(seen(12), LOOKED))),
    "abroad-lost-together": (
        [
            replace(device, word="international_cut")
            for device in country(**dict.fromkeys(NETWORKS, DeviceStanding.LOST))
        ],
        UP,
    ),
    "networks-lost-together": (ALL_SILENT, UP),
    "service-lost-everywhere": (country(), DOWN),
    "devices-well": (country(), UP),
    "scope-mixed-evidence": (
        country(tci=DeviceStanding.UNCLEAR, mci=DeviceStanding.LOST, shatel=DeviceStanding.SILENT),
        OutsideFacts(),
    ),
}


@pytest.mark.parametrize("rule", SCOPE_RULES, ids=lambda rule: rule.rule_id)
def test_every_rule_speaks_in_its_story(rule: object) -> None:
    assert hasattr(rule, "rule_id")
    devices, outside = STORIES[rule.rule_id]
    said = judge_scope(devices, outside)
    assert said.rule_id == rule.rule_id
    assert lines(said)
    assert strays(said) == []
    assert overturned_by(said)


def test_every_word_that_is_the_collector_s_is_said_by_a_rule() -> None:
    assert {rule.verdict for rule in SCOPE_RULES} >= COLLECTOR_ONLY


class TestNegativeControls:
    """Events of the past that were no shutdown."""

    def test_a_fibre_fault_that_its_neighbours_shared(self) -> None:
        # 19 December 2019: below half, and neighbouring countries dropped too
        devices = country(tci=DeviceStanding.LOST, mci=DeviceStanding.LOST, shatel=DeviceStanding.LOST)
        assert judge_scope(devices, replace(UP, neighbours_lost=0.6)).verdict == "transit_fault"

    def test_one_mobile_operator_at_night(self) -> None:
        # 25 December 2019
        assert judge_scope(country(irancell=DeviceStanding.SILENT), UP).verdict == "isp_outage"

    def test_a_platform_s_own_maintenance(self) -> None:
        # 16 June 2009: everyone lost it at once, outside reference targets included
        assert judge_scope(country(), DOWN).verdict == "service_maintenance"
        there = replace(UP, services=(ServiceLost(name="social", lost=16, tried=16, vantage_lost=False),))
        assert judge_scope(country(), there).verdict == "ok"

    def test_silences_one_by_one_are_no_event(self) -> None:
        spread = [
            one(number, network, DeviceStanding.SILENT, since_s=-2 * BURST_S * number)
            for number, network in enumerate([*NETWORKS] * 2)
        ]
        assert judge_scope(spread, UP).verdict == "inconclusive"

    def test_others_last_heard_before_the_loss_do_not_say_how_they_are_now(self) -> None:
        devices = [
            device if device.network == "mci" else replace(device, since_utc_s=NOW - 3000)
            for device in country(mci=DeviceStanding.LOST)
        ]
        early = [replace(device, told_utc_s=NOW - 700) for device in devices]
        assert judge_scope(early, UP).verdict == "inconclusive"
        later = [replace(device, told_utc_s=NOW - 500) for device in devices]
        assert judge_scope(later, UP).verdict == "isp_outage"

    def test_those_that_come_back_first_do_not_make_an_outage_of_those_that_follow(self) -> None:
        silent = country(mci=DeviceStanding.SILENT)

        def back(for_s: float) -> list[DeviceState]:
            return [
                replace(device, since_utc_s=NOW - for_s, told_utc_s=NOW)
                if device.network != "mci"
                else device
                for device in silent
            ]

        assert judge_scope(back(60), UP).verdict == "inconclusive"
        assert judge_scope(back(660), UP).verdict == "isp_outage"

    def test_those_that_do_not_tell_and_are_still_heard_are_not_lost_with_the_silent(self) -> None:
        """Mobile networks are shut down; then the lines of all others turn so bad that their rounds tell nothing."""
        dark = dict.fromkeys(("mci", "irancell"), DeviceStanding.SILENT)
        bad = dict.fromkeys(("tci", "shatel"), DeviceStanding.UNCLEAR)
        there = country(**dark, **bad)
        assert judge_scope(there, UP).verdict == "total_shutdown"  # they may have told before it
        heard = [
            replace(one, live_utc_s=NOW - 30) if one.state is DeviceStanding.UNCLEAR else one for one in there
        ]
        assert judge_scope(heard, UP).verdict == "inconclusive"

    def test_a_network_of_which_most_are_still_heard_is_not_out(self) -> None:
        there = [
            replace(one, state=DeviceStanding.UNCLEAR, live_utc_s=NOW - 30)
            if one.device in ("d0", "d1")
            else one
            for one in country(tci=DeviceStanding.LOST)
        ]
        assert judge_scope(there, UP).verdict == "inconclusive"

    def test_being_heard_shows_nothing_where_the_lost_are_heard_too(self) -> None:
        """The collector stands in their country: all reach it, and those that tell say that abroad is gone."""
        lost = dict.fromkeys(("tci", "mci", "irancell"), DeviceStanding.LOST)
        there = country(**lost, shatel=DeviceStanding.UNCLEAR)
        heard = [replace(one, live_utc_s=NOW) for one in there]
        assert judge_scope(heard, UP).verdict == "total_shutdown"

    def test_without_a_vantage_of_our_own_silence_says_nothing(self) -> None:
        assert judge_scope(ALL_SILENT, OutsideFacts()).verdict == "inconclusive"

    def test_a_network_alone_is_no_country(self) -> None:
        only = [one(number, "tci", DeviceStanding.LOST) for number in range(8)]
        assert judge_scope(only, UP).verdict == "inconclusive"


outsides = st.builds(
    OutsideFacts,
    connected=st.sampled_from([None, True, False]),
    reached_utc_s=st.sampled_from([None, NOW - 5000, NOW]),
    missed_utc_s=st.sampled_from([None, NOW - 60]),
    neighbours_lost=st.sampled_from([None, 0.0, 0.4, 0.9]),
)


@given(devices, outsides, st.randoms())
def test_the_order_does_not_matter(
    found: list[DeviceState], outside: OutsideFacts, rng: random.Random
) -> None:
    shuffled = list(found)
    rng.shuffle(shuffled)
    assert judge_scope(shuffled, outside) == judge_scope(found, outside)
    assert bursts(shuffled) == bursts(found)


@given(devices, outsides)
def test_no_shutdown_by_silence_alone_without_a_way_out_of_our_own(
    found: list[DeviceState], outside: OutsideFacts
) -> None:
    quiet = [device for device in found if device.state is not DeviceStanding.LOST]
    if outside.connected is not True:
        assert judge_scope(quiet, outside).verdict not in SHUTDOWNS


@given(devices, outsides)
def test_when_neighbours_dropped_too_it_is_no_shutdown(
    found: list[DeviceState], outside: OutsideFacts
) -> None:
    said = judge_scope(found, outside)
    if said.verdict == "total_shutdown":
        assert outside.neighbours_lost is None or outside.neighbours_lost < 0.5


@given(devices)
def test_a_total_shutdown_leaves_few_well(found: list[DeviceState]) -> None:
    if judge_scope(found, UP).verdict == "total_shutdown":
        well = sum(device.state is DeviceStanding.WELL for device in found)
        assert well <= len(found) / 4
        assert len({device.network for device in found if device.state is not DeviceStanding.WELL}) >= 2
