"""The collector's own line: which silences are its own doing, and when its vantage is to look."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from collector.judgement.devices import PERIOD_S, DeviceStanding, DeviceState
from collector.judgement.outside import (
    BACK_S,
    OVERDUE_PERIODS,
    WATCHED_PERIODS,
    OutsideFacts,
    wants_look,
)
from collector.judgement.scope import judge_scope
from tests.collector.judgement.scopes import ALL_SILENT, NOW, SHUTDOWNS, UP, country, one

OVERDUE_S = OVERDUE_PERIODS * PERIOD_S
WATCHED_S = WATCHED_PERIODS * PERIOD_S
BEGAN = NOW - 600
"""When all in `ALL_SILENT` began to be silent."""


class TestWhatProvesSilence:
    """A silence counts by a look at the collector's own line that was taken since, and by no other."""

    def test_a_sample_from_before_the_silence_proves_nothing(self) -> None:
        before = OutsideFacts(connected=True, reached_utc_s=BEGAN - 1)
        assert judge_scope(ALL_SILENT, before).verdict == "inconclusive"
        since = OutsideFacts(connected=True, reached_utc_s=BEGAN + 1)
        assert judge_scope(ALL_SILENT, since).verdict == "total_shutdown"

    def test_a_line_that_is_just_back_proves_nothing_yet(self) -> None:
        back = OutsideFacts(connected=True, reached_utc_s=NOW, missed_utc_s=NOW - BACK_S + 1)
        assert judge_scope(ALL_SILENT, back).verdict == "collector_fault"
        again = replace(back, missed_utc_s=NOW - BACK_S)
        assert judge_scope(ALL_SILENT, again).verdict == "total_shutdown"

    def test_while_some_are_not_back_yet_nothing_is_said_of_the_country(self) -> None:
        back = OutsideFacts(connected=True, reached_utc_s=NOW, missed_utc_s=NOW - 60)
        half = country(tci=DeviceStanding.SILENT, mci=DeviceStanding.SILENT, irancell=DeviceStanding.SILENT)
        assert judge_scope(half, back).verdict == "inconclusive"

    def test_silences_of_which_one_began_after_the_last_look_do_not_count(self) -> None:
        later = [replace(ALL_SILENT[0], since_utc_s=NOW - 301), *ALL_SILENT[1:]]
        seen = OutsideFacts(connected=True, reached_utc_s=NOW - 302)
        assert judge_scope(later, seen).verdict == "inconclusive"

    @given(
        st.sampled_from([None, True, False]),
        st.sampled_from([None, BEGAN - 100, BEGAN + 100, NOW]),
        st.sampled_from([None, BEGAN - 100, BEGAN + 100, NOW - 1]),
    )
    def test_no_shutdown_of_the_silent_unless_the_line_is_seen_well_since(
        self, connected: bool | None, reached_s: float | None, missed_s: float | None
    ) -> None:
        outside = OutsideFacts(connected=connected, reached_utc_s=reached_s, missed_utc_s=missed_s)
        if judge_scope(ALL_SILENT, outside).verdict in SHUTDOWNS:
            assert connected
            assert reached_s is not None
            assert reached_s >= BEGAN
            assert missed_s is None or missed_s < reached_s - 500


class TestWhenToLook:
    """The vantage is asked while devices are overdue together, until their silence can be told."""

    def heard(self, *ago_s: float) -> list[DeviceState]:
        return [
            replace(one(number, "tci", DeviceStanding.WELL), heard_utc_s=NOW - ago)
            for number, ago in enumerate(ago_s)
        ]

    def test_three_that_are_overdue_together(self) -> None:
        assert wants_look(self.heard(OVERDUE_S + 1, OVERDUE_S + 2, OVERDUE_S + 3), UP, NOW)
        assert not wants_look(self.heard(OVERDUE_S + 1, OVERDUE_S + 2, 100), UP, NOW)
        assert not wants_look(self.heard(OVERDUE_S + 1, OVERDUE_S + 400, OVERDUE_S + 800), UP, NOW)

    def test_once_it_was_seen_well_after_they_had_fallen_silent_it_is_enough(self) -> None:
        long_ago = self.heard(WATCHED_S + 1, WATCHED_S + 2, WATCHED_S + 3)
        assert not wants_look(long_ago, UP, NOW)
        assert wants_look(long_ago, replace(UP, reached_utc_s=NOW - WATCHED_S), NOW)
        days_ago = self.heard(86_400.0, 86_401.0, 86_402.0)
        assert not wants_look(days_ago, replace(UP, reached_utc_s=NOW - 600), NOW)
        assert wants_look(days_ago, replace(UP, reached_utc_s=NOW - WATCHED_S), NOW)
        assert wants_look(long_ago, OutsideFacts(connected=False, missed_utc_s=NOW), NOW)
