"""The table of light patterns: what each situation shows, and what must never be shown."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.lights.patterns import (
    COUNT_OFF_NS,
    COUNT_ON_NS,
    COUNT_PAUSE_NS,
    FLASH_NS,
    MEANINGS,
    Light,
    Rhythm,
    Situation,
    UsbDriveState,
    is_lit,
    pattern_of,
)
from appliance.views.light_words import in_words, what_to_do
from tests.english import ENGLISH

S = 1_000_000_000

situations = st.builds(
    Situation,
    verdict=st.sampled_from([None, "ok", "inconclusive", *MEANINGS]),
    connected=st.booleans(),
    started_ns=st.just(0),
    last_measured_ns=st.none() | st.integers(0, 100 * S),
    last_delivered_ns=st.none() | st.integers(0, 100 * S),
    stalled_after_ns=st.just(60 * S),
)


def test_no_two_meanings_share_a_light_and_a_rhythm_but_the_flash_of_progress() -> None:
    seen = {(meaning.light, meaning.pattern) for meaning in MEANINGS.values()}
    assert len(seen) == len(MEANINGS)


@given(situations, st.integers(0, 1000 * S))
def test_only_trouble_is_ever_steady(situation: Situation, now_ns: int) -> None:
    for light in Light:
        if pattern_of(light, situation, now_ns).rhythm is Rhythm.STEADY:
            assert light is Light.ATTENTION


@given(situations, st.integers(0, 1000 * S))
def test_network_light_is_lit_only_just_after_a_measurement(situation: Situation, now_ns: int) -> None:
    if is_lit(Light.NETWORK, situation, now_ns):
        assert situation.last_measured_ns is not None
        assert 0 <= now_ns - situation.last_measured_ns < FLASH_NS


@given(situations)
def test_a_device_that_stopped_measuring_says_so_whatever_its_last_verdict(situation: Situation) -> None:
    alive_ns = situation.started_ns if situation.last_measured_ns is None else situation.last_measured_ns
    later_ns = alive_ns + situation.stalled_after_ns + 1
    assert is_lit(Light.ATTENTION, situation, later_ns)
    assert any("does not measure" in line for line in in_words(situation, later_ns, ENGLISH))


@pytest.mark.parametrize(
    ("verdict", "count"),
    [
        ("local_fault", 1),
        ("captive_portal", 2),
        ("isp_or_wider_outage", 3),
        ("international_cut", 4),
        ("allowlisted", 6),
    ],
)
def test_attention_counts_out_the_verdict(verdict: str, count: int) -> None:
    situation = Situation(verdict=verdict, last_measured_ns=0)
    period_ns = count * (COUNT_ON_NS + COUNT_OFF_NS) + COUNT_PAUSE_NS
    step_ns = 10_000_000
    lit = [is_lit(Light.ATTENTION, situation, at) for at in range(0, period_ns, step_ns)]
    rises = sum(now and not before for before, now in zip([False, *lit], lit, strict=False))
    assert rises == count
    assert not any(lit[-COUNT_PAUSE_NS // step_ns :])


@pytest.mark.parametrize("verdict", [None, "ok", "international_cut"])
def test_that_results_are_not_stored_goes_before_the_verdict(verdict: str | None) -> None:
    situation = Situation(verdict=verdict, is_stored=False, last_measured_ns=0)
    assert pattern_of(Light.ATTENTION, situation, 0).count == 5
    assert any("cannot be stored" in line for line in in_words(situation, 0, ENGLISH))


@pytest.mark.parametrize("verdict", [None, "ok", "inconclusive", "blocked_tls"])
def test_attention_stays_dark_for_what_the_host_cannot_mend(verdict: str | None) -> None:
    situation = Situation(verdict=verdict, last_measured_ns=0)
    assert not any(is_lit(Light.ATTENTION, situation, at) for at in range(0, 20 * S, S // 100))


def test_delivery_light_flashes_on_an_ack_and_says_slowly_that_results_are_kept() -> None:
    away = Situation(connected=False, last_measured_ns=0)
    here = Situation(connected=True, last_measured_ns=0, last_delivered_ns=5 * S)
    assert any(is_lit(Light.DELIVERY, away, at) for at in range(0, 5 * S, S // 20))
    assert is_lit(Light.DELIVERY, here, 5 * S)
    assert not is_lit(Light.DELIVERY, here, 6 * S)
    assert any("kept here" in line for line in in_words(away, S, ENGLISH))


@given(situations, st.integers(0, 1000 * S))
def test_while_a_usb_drive_is_in_the_delivery_light_says_whether_it_may_be_pulled(
    situation: Situation, now_ns: int
) -> None:
    told = {}
    for usb_drive in UsbDriveState:
        shown = replace(situation, usb_drive=usb_drive)
        told[usb_drive] = pattern_of(Light.DELIVERY, shown, now_ns)
        assert pattern_of(Light.NETWORK, shown, now_ns) == pattern_of(Light.NETWORK, situation, now_ns)
        assert pattern_of(Light.ATTENTION, shown, now_ns) == pattern_of(Light.ATTENTION, situation, now_ns)
    assert len(set(told.values())) == len(UsbDriveState)
    assert what_to_do(UsbDriveState.WRITING, ENGLISH) == "do not pull the USB drive"


def test_do_not_pull_is_never_dark_for_long() -> None:
    writing = Situation(usb_drive=UsbDriveState.WRITING, connected=True)
    lit = [is_lit(Light.DELIVERY, writing, at) for at in range(0, S, S // 100)]
    assert lit.count(True) == 50
    assert sum(now and not before for before, now in zip([False, *lit], lit, strict=False)) == 5
