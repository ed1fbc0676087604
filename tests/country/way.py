"""One task's way over the networks: it asks `Internet`, and counts this task's own packets.

Tasks of a home share its line, and what it loses of one says nothing of another. This file must never lose a packet.
"""

from collections.abc import Iterable

from tests.country.internet import Internet
from tests.country.lines import Taken
from tests.country.passages import Answered, Connecting, Flow, Passage
from tests.country.rules import Kind


class Way:
    """The networks as one task of a home meets them; `up` and `down` are its packets on the line, `lost` those it lost.

    `packets` are those that came to the line's queues.
    """

    def __init__(self, internet: Internet, home: int) -> None:
        self.hosts = internet.hosts
        self.up = self.down = self.lost = 0
        self.packets: list[Taken] = []
        self._internet = internet
        self._home = home
        self._line = internet.line(home)

    def connect(
        self, address: str, port: int, now_s: float, deadline_s: float
    ) -> tuple[Connecting, Flow | None]:
        """Connect, as `Internet.connect` does."""
        before = self._counts()
        found = self._internet.connect(self._home, address, port, now_s, deadline_s)
        self._count(before)
        return found

    def ask(
        self, flow: Flow, kind: Kind, size: int, *, name: str, now_s: float, deadline_s: float
    ) -> Passage:
        """Send a segment until it arrives, as `Internet.ask` does."""
        before = self._counts()
        found = self._internet.ask(flow, kind, size, name=name, now_s=now_s, deadline_s=deadline_s)
        self._count(before)
        return found

    def answer(self, flow: Flow, sizes: Iterable[int], from_s: float, deadline_s: float) -> Answered:
        """Send segments back, as `Internet.answer` does."""
        before = self._counts()
        found = self._internet.answer(flow, sizes, from_s, deadline_s)
        self._count(before)
        return found

    def datagram(self, address: str, port: int, data: bytes, now_s: float) -> list[tuple[float, bytes]]:
        """Send a datagram, as `Internet.datagram` does."""
        before = self._counts()
        found = self._internet.datagram(self._home, address, port, data, now_s)
        self._count(before)
        return found

    def beside(self, flow: Flow, size: int, at_s: float, *, up: bool) -> float:
        """Send what nobody waits for, as `Internet.beside` does."""
        before = self._counts()
        found = self._internet.beside(flow, size, at_s, up=up)
        self._count(before)
        return found

    def _counts(self) -> tuple[int, int, int]:
        line = self._line
        line.taken = self.packets
        return line.sent[True], line.sent[False], line.lost

    def _count(self, before: tuple[int, int, int]) -> None:
        self._line.taken = None
        up, down, lost = self._counts()
        self.up += up - before[0]
        self.down += down - before[1]
        self.lost += lost - before[2]
