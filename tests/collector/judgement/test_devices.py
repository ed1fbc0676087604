"""How one device is by its rounds: well, lost, silent, and what rounds that came later say of a silence."""

import random

from collector.judgement.devices import PERIOD_S, DeviceStanding, DeviceState, ReceivedRound, state_of
from tests.collector.judgement.scopes import NOW


class TestOneDevice:
    """How a single device is."""

    def state(self, *rounds: tuple[float, float, str]) -> DeviceState:
        said = [
            ReceivedRound(utc_s=NOW - at, received_utc_s=NOW - got, word=word) for at, got, word in rounds
        ]
        random.Random(1).shuffle(said)
        found = state_of("d1", said, now_utc_s=NOW)
        assert found is not None
        return found

    def test_heard_just_now(self) -> None:
        assert self.state((200, 199, "ok"), (80, 79, "ok")).state is DeviceStanding.WELL
        assert self.state((200, 199, "ok"), (80, 79, "blocked_tls")).since_utc_s == NOW - 200
        assert self.state((200, 199, "ok"), (80, 79, "international_cut")).state is DeviceStanding.LOST
        assert self.state((200, 199, "ok"), (80, 79, "local_fault")).state is DeviceStanding.UNCLEAR

    def test_a_time_without_rounds_ends_what_was_before_it(self) -> None:
        assert self.state((3000, 2999, "ok"), (80, 79, "ok")).since_utc_s == NOW - 80

    def test_not_heard_for_three_periods(self) -> None:
        silent = self.state((600, 599, "ok"))
        assert silent.state is DeviceStanding.SILENT
        assert silent.before_utc_s == NOW - 599
        assert silent.since_utc_s == NOW - 599 + PERIOD_S

    def test_one_that_measures_slowly_is_silent_later(self) -> None:
        """Its own rounds say how far apart they are; a night without power says nothing of that."""
        slow = [(1000.0 + 360 * number, 999.0 + 360 * number, "ok") for number in range(6)]
        assert self.state(*slow).state is DeviceStanding.WELL
        assert self.state(*slow).period_s == 360.0
        gone = [(at + 100, got + 100, word) for at, got, word in slow]
        assert self.state(*gone).state is DeviceStanding.SILENT
        nights = [
            (600.0, 599.0, "ok"),
            (780.0, 779.0, "ok"),
            *((40_000.0 + 180 * n, 39_999.0, "ok") for n in range(9)),
        ]
        assert self.state(*nights).period_s == PERIOD_S

    def test_what_came_by_a_clock_that_ran_ahead_is_not_heard_for_ever(self) -> None:
        assert self.state((700, 699, "ok"), (600, -90_000, "ok")).state is DeviceStanding.SILENT
        heard = [ReceivedRound(utc_s=NOW - 600, received_utc_s=NOW - 599, word="ok")]
        found = state_of("d1", heard, now_utc_s=NOW, heard_utc_s=NOW + 90_000, greeted_utc_s=NOW + 90_000)
        assert found is not None
        assert found.state is DeviceStanding.SILENT

    def test_rounds_that_came_later(self) -> None:
        late = [(3000.0 - 120 * number, 60.0, "ok") for number in range(10)]
        assert self.state(*late, (30, 29, "ok")).was_well_unheard
        lost = [(at, got, "international_cut") for at, got, _ in late]
        assert not self.state(*lost, (30, 29, "ok")).was_well_unheard

    def test_once_it_is_heard_again_for_a_while_it_is_not_told_by_what_came_late(self) -> None:
        late = [(3000.0 - 120 * number, 600.0, "ok") for number in range(10)]
        heard = [(480.0 - 120 * number, 479.0 - 120 * number, "ok") for number in range(4)]
        assert not self.state(*late, *heard).was_well_unheard

    def test_heard_without_rounds(self) -> None:
        said = [ReceivedRound(utc_s=NOW - 900, received_utc_s=NOW - 899, word="ok")]
        found = state_of("d1", said, now_utc_s=NOW, heard_utc_s=NOW - 300)
        assert found is not None
        assert (found.state, found.heard_utc_s) == (DeviceStanding.UNCLEAR, NOW - 300)
        assert (found.before_utc_s, found.since_utc_s) == (NOW - 899, NOW - 719)
        gone = state_of("d1", said, now_utc_s=NOW + 241, heard_utc_s=NOW - 300)
        assert gone is not None
        assert (gone.state, gone.before_utc_s) == (DeviceStanding.SILENT, NOW - 300)

    def test_what_it_said_last_is_not_so_once_it_is_heard_without_rounds(self) -> None:
        for word in ("allowlisted", "protocol_filtering", "ok"):
            said = [ReceivedRound(utc_s=NOW - 36_000, received_utc_s=NOW - 35_999, word=word)]
            found = state_of("d1", said, now_utc_s=NOW, heard_utc_s=NOW - 10)
            assert found is not None
            assert found.word == "inconclusive"

    def test_a_greeting_is_a_sign_of_life_as_long_as_it_is_fresh_and_begins_no_silence_anew(self) -> None:
        said = [ReceivedRound(utc_s=NOW - 900, received_utc_s=NOW - 899, word="ok")]
        for greeted_s, state in ((100, DeviceStanding.UNCLEAR), (600, DeviceStanding.SILENT)):
            found = state_of("d1", said, now_utc_s=NOW, greeted_utc_s=NOW - greeted_s)
            assert found is not None
            assert (found.state, found.since_utc_s) == (state, NOW - 719)

    def test_never_heard(self) -> None:
        assert state_of("d1", [], now_utc_s=NOW) is None
