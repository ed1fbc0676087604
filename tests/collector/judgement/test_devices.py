"""How one device is by its rounds: well, lost, silent, and what rounds that came later say of a silence."""

import random

from collector.judgement.devices import DeviceStanding, DeviceState, ReceivedRound, state_of
from tests.collector.judgement.scopes import NOW


class TestOneDevice:
    """How a single device is."""

    def state(self, *rounds: tuple[float, float, str]) -> DeviceState:
        said = [
            ReceivedRound(utc_s=NOW - at, received_utc_s=NOW - got, word=word) for at, got, word in rounds
        ]
        random.Random(1).shuffle(said)
        found = state_of("d1", said, now_utc_s=NOW, period_s=120.0)
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
        silent = self.state((500, 499, "ok"))
        assert silent.state is DeviceStanding.SILENT
        assert silent.before_utc_s == NOW - 499
        assert silent.since_utc_s == NOW - 499 + 120.0

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
        found = state_of("d1", said, now_utc_s=NOW, period_s=120.0, heard_utc_s=NOW - 300)
        assert found is not None
        assert (found.state, found.heard_utc_s) == (DeviceStanding.UNCLEAR, NOW - 300)
        assert (found.before_utc_s, found.since_utc_s) == (NOW - 899, NOW - 779)
        gone = state_of("d1", said, now_utc_s=NOW + 61, period_s=120.0, heard_utc_s=NOW - 300)
        assert gone is not None
        assert (gone.state, gone.before_utc_s) == (DeviceStanding.SILENT, NOW - 300)

    def test_never_heard(self) -> None:
        assert state_of("d1", [], now_utc_s=NOW, period_s=120.0) is None
