"""What the same measurement brought on the same kind of line, while the same was wrong: it may be told again.

Nine of ten measurements of a country are alike. One is told again only where nothing that bears on it begins or ends
meanwhile, where what is wrong happens to every packet or to none, and where the line loses none of the packets that it
takes: what a line loses is drawn packet by packet all the same (`Line.passes`), and what meets a loss is measured. This
file must never make up a result.
"""

import random
from collections.abc import Iterable
from typing import Final

from firmware.model.task import Result, Task
from tests.country.hosts import Hosts
from tests.country.internet import SYN_AT_S
from tests.country.lines import Line
from tests.country.truth import Home, Ill, Truth, Wrong
from tests.country.virtual_time import NS, since_s

VARIANTS: Final = 8
"""So many results of one kind are gathered before one of them stands for another."""
_PACKETS: Final[dict[str, tuple[int, int]]] = {
    "tcp": (1, 1), "tls": (4, 6), "dns": (1, 1), "http": (4, 4), "web_connectivity": (6, 8),
}  # fmt: skip
"""How many packets a measurement that meets no loss sends and gets over the line, at the most."""
_TELLING_TIME: Final = frozenset({"ntp"})
"""What a clock says is true once."""
_ELSEWHERE: Final = frozenset({Ill.POWER_CUT, Ill.COLLECTOR_DOWN})
"""What bears on no measurement: a device without power makes none."""
_SPARING: Final = frozenset({Ill.ALLOW_LIST, Ill.CUT})
"""What bears on all hosts but those it names."""
_CHANCE: Final = frozenset({Ill.LINE_WORSE})
"""What happens to some packets and not to others."""

_OUT_NS: Final = 2 * NS
"""A measurement that is out for so long says whether it has connected (`firmware.worker.runner`)."""
Situation = frozenset[Wrong]


Repertoire = dict[tuple[object, ...], list[Result]]
"""What a country's measurements brought, by what was measured, on which kind of line, in which situation."""


class Bearing:
    """What of a truth bears on one home's measurements, and what stands for them meanwhile."""

    def __init__(
        self,
        truth: Truth,
        home: Home,
        *,
        hosts: Hosts,
        line: Line,
        repertoire: Repertoire,
        rng: random.Random,
    ) -> None:
        self._home = home
        self._hosts = hosts
        self._line = line
        rtt_ms = line.quality.delay_up_ms + line.quality.delay_down_ms
        self._syns = sum(at_s * 1000 <= rtt_ms for at_s in SYN_AT_S)
        """How often what is asked goes out before its answer comes."""
        self._known = repertoire
        self._rng = rng
        self._wrongs = tuple(
            one
            for one in truth.wrongs
            if one.ill not in _ELSEWHERE and (not one.homes or home.number in one.homes)
        )
        self._of_host: dict[str, tuple[Wrong, ...]] = {}

    def again(self, task: Task, now_ns: int) -> Result | None:
        """Return a result that may stand for a task's that begins now; None where it is to be measured."""
        start_s = since_s(max(now_ns, task.start_boottime_ns))
        situation = self._situation(task, start_s, start_s)
        known = () if situation is None else self._known.get(key_of(self._home.place, task, situation), ())
        if len(known) < VARIANTS:
            return None
        chosen = self._rng.choice(known)
        if _says_how_far_it_came(chosen):
            return None
        until_s = start_s + chosen.runtime_ns / NS + 0.01
        if self._situation(task, start_s, until_s) is None:
            return None
        up, down = _PACKETS.get(task.test, (0, 0))
        up, down = self._syns * up, self._syns * down
        return chosen if self._line.passes(up, down, since_s=start_s, until_s=until_s) else None

    def learn(self, task: Task, result: Result, *, lost: bool) -> None:
        """Take note of what was measured, if it may stand for another; `lost` says whether the line lost anything meanwhile."""
        start_s = since_s(result.start_boottime_ns)
        situation = self._situation(task, start_s, start_s + result.runtime_ns / NS)
        if lost or situation is None or task.test in _TELLING_TIME:
            return
        known = self._known.setdefault(key_of(self._home.place, task, situation), [])
        if len(known) < VARIANTS:
            known.append(result)

    def _situation(self, task: Task, from_s: float, until_s: float) -> Situation | None:
        """Return what bears on a task all that time; None where anything begins or ends, or is left to chance."""
        found = []
        for one in self._bearing_on(task):
            if one.until_s <= from_s or one.since_s > until_s:
                continue
            if one.since_s > from_s or one.until_s <= until_s or one.ill in _CHANCE or one.share < 1:
                return None
            found.append(one)
        return frozenset(found)

    def _bearing_on(self, task: Task) -> Iterable[Wrong]:
        host = self._hosts.of_target.get(task.target_name, "")
        if host not in self._of_host:
            self._of_host[host] = tuple(
                one for one in self._wrongs if not one.hosts or one.ill in _SPARING or host in one.hosts
            )
        return self._of_host[host]


def _says_how_far_it_came(result: Result) -> bool:
    """Return whether the worker speaks of a task before its result: that is measured, and never told again."""
    return result.runtime_ns >= _OUT_NS and "connect" in result.outcome.phases


def key_of(place: str, task: Task, situation: Situation = frozenset()) -> tuple[object, ...]:
    """Return what two measurements have in common of which one may stand for the other."""
    # What is told again must have had as long to end.
    time_s = round((task.deadline_boottime_ns - task.start_boottime_ns) / NS)
    return (place, task.test, task.target_name, time_s, situation)
