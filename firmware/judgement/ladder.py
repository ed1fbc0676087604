"""The ladder: what a round asks, rung by rung, and how far it has been climbed.

Pure: times are arguments, results come as observations. Every rung is asked in every round and nothing aborts
one: the moment of failure is the product. This file counts; it must never conclude, that is
`firmware.judgement.round.verdict`'s. See docs/explanation/ladder.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from statistics import median_low
from typing import Final

from firmware.judgement.observation import Observation, Outlook, settle
from firmware.model.jsontypes import JsonObject, JsonValue, Reader, RecordError
from firmware.model.plan import Plan, PlannedTarget
from firmware.model.record import Rung
from firmware.model.task import Task

NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000

CONNECT_TIMEOUT_S: Final = 20
"""One network injected its reset 12.2 s after the first SYN (Iran, November 2019): 10 s would mislabel it."""

QUICK_DEADLINE_S: Final = 29
"""How long a round may last on a line whose handshakes are quick (`firmware.judgement.pace`), to its deadline."""

AGAIN_S: Final = 30
"""How long what is asked again may take: the 20 s of a connect and the 10 s of a handshake, also past the round's end."""

AFRESH: Final = 3
"""So many reference targets that were silent are asked again: as many unrelated networks as silence must be of."""

PATIENCE_S: Final = 5
"""How long the confirmation waits for anchors that have not answered yet."""

_FAR: Final = frozenset({Rung.DOMESTIC, Rung.INTERNATIONAL, Rung.PLATFORMS})
_CONFIRMED_AGAIN: Final = frozenset({Rung.LINK, Rung.ADDRESS, Rung.GATEWAY, Rung.RESOLVER, Rung.DOMESTIC})


class RungProgress(StrEnum):
    """How far one rung is climbed."""

    PENDING = "pending"
    """Some of its targets are not measured yet, and none of those that are was reached."""
    REACHED = "reached"
    """Every target that could be measured was reached."""
    PARTLY = "partly"
    """Some were reached and some not."""
    FAILED = "failed"
    """None was reached."""
    UNKNOWN = "unknown"
    """The plan asks nothing here that could tell, or nothing could be measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RungState:
    """One rung: `reached` of `tried` targets, `waiting` of them not measured yet.

    `best_ns` is the shortest time of those reached, `usual_ns` the median of all whose connection was accepted (None also
    in records of before it was kept); `failures` says `name: what failed` for the others.
    """

    rung: Rung
    state: RungProgress
    reached: int
    tried: int
    waiting: int
    best_ns: int | None
    failures: tuple[str, ...]
    usual_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """All rungs, lowest first, as far as they are known."""

    rungs: tuple[RungState, ...]

    def rung(self, rung: Rung) -> RungState:
        """Return the state of one rung."""
        return next(state for state in self.rungs if state.rung is rung)

    @property
    def complete(self) -> bool:
        """Return whether nothing is waited for any more."""
        return all(state.waiting == 0 for state in self.rungs)


def quick_deadline_s(plan: Plan) -> int:
    """Return how long a round of a plan may last on a line whose handshakes are quick, in s."""
    return min(QUICK_DEADLINE_S, plan.round.deadline_s)


def round_tasks(plan: Plan, round_id: int, start_ns: int, *, is_quick: bool = True) -> tuple[Task, ...]:
    """Return the tasks of one round that starts at `start_ns` (CLOCK_BOOTTIME), on a line that is quick or not.

    Starts are `stagger_ms` apart so that bursts do not queue behind each other, and domestic and
    international targets take turns, so that a line that fails midway fails for both.
    """
    deadline_s = quick_deadline_s(plan) if is_quick else plan.round.deadline_s
    return tuple(
        _task(
            target,
            task_id=f"r{round_id}/{target.name}",
            round_id=round_id,
            start_ns=start_ns + index * plan.round.stagger_ms * NS_PER_MS,
            deadline_ns=start_ns + deadline_s * NS_PER_S,
        )
        for index, target in enumerate(_in_turns(plan.targets))
    )


def confirmation_tasks(
    plan: Plan, round_id: int, start_ns: int, observations: Iterable[Observation], now_ns: int
) -> tuple[Task, ...]:
    """Return what to ask once more before the round that began at `start_ns` ends; often nothing.

    Call it each time an observation of the round comes in, until it returns tasks; then never again in that
    round. Once every international reference target is measured and none was reached, what was reached of the local
    rungs, the resolver and the domestic anchors is asked again: a line that dropped while the reference targets were
    still silent shows now, and a line that stands makes their silence mean something, in this very round.
    `AFRESH` of the silent reference targets are asked again with them, and first: on a line that is back the kernel
    waits for seconds before it sends a SYN again, and an attempt begun now is answered at once.
    """
    given = tuple(observations)
    references = [target.name for target in plan.on_rung(Rung.INTERNATIONAL)]
    if not references or not {one.target_name for one in given}.issuperset(references):
        return ()
    seen = latest_by_target(given)
    if any(seen[name].is_connectivity and seen[name].outlook is Outlook.REACHED for name in references):
        return ()
    candidates = [target for target in plan.targets if target.rung in _CONFIRMED_AGAIN]
    if any(target.name not in seen for target in candidates) and now_ns < start_ns + PATIENCE_S * NS_PER_S:
        return ()  # the reference targets were refused at once, and the anchors have hardly been asked
    deadline_ns = start_ns + plan.round.deadline_s * NS_PER_S
    reached = [one for one in candidates if one.name in seen and seen[one.name].outlook is Outlook.REACHED]
    again = [*_afresh(plan, seen), *reached]
    starts_ns = [now_ns + index * plan.round.stagger_ms * NS_PER_MS for index in range(len(again))]
    return tuple(
        _task(
            target,
            task_id=f"r{round_id}/{target.name}/again",
            round_id=round_id,
            start_ns=begin_ns,
            deadline_ns=begin_ns + AGAIN_S * NS_PER_S,
        )
        for target, begin_ns in zip(again, starts_ns, strict=True)
        if begin_ns < deadline_ns
    )


def _afresh(plan: Plan, seen: Mapping[str, Observation]) -> list[PlannedTarget]:
    """Return silent reference targets in unrelated networks; where none was silent, those that failed otherwise."""
    down = [
        target
        for target in plan.on_rung(Rung.INTERNATIONAL)
        if target.network is not None and seen[target.name].outlook is Outlook.DOWN
    ]
    down.sort(key=lambda target: not seen[target.name].is_silent)
    by_network: dict[str, PlannedTarget] = {}
    for target in down:
        if target.network is not None:
            by_network.setdefault(target.network.owner, target)
    return list(by_network.values())[:AFRESH]


def climb(plan: Plan, results: Mapping[str, Observation], *, ended: bool = False) -> Ladder:
    """Return the ladder from what is known so far: observations by task id.

    A target asked twice counts as it was found last. With `ended`, what is still missing will not come: a
    rung without any observation is `unknown`, not `pending`.
    """
    latest = latest_by_target(results.values())
    return Ladder(rungs=tuple(_state(plan.on_rung(rung), rung, latest, ended=ended) for rung in Rung))


def latest_by_target(observations: Iterable[Observation]) -> dict[str, Observation]:
    """Return the last observation of each target, by its name, in the order of the names.

    The order in which observations are given does not matter. What the host itself explains is void in them.
    """
    latest: dict[str, Observation] = {}
    for seen in settle(observations):
        if (known := latest.get(seen.target_name)) is None or _is_later(seen, known):
            latest[seen.target_name] = seen
    return {name: latest[name] for name in sorted(latest)}


def _is_later(one: Observation, other: Observation) -> bool:
    times, others = (one.start_ns, one.end_ns), (other.start_ns, other.end_ns)
    # Two of one moment cannot be told apart by time; their text makes the choice the same every time.
    return times > others if times != others else repr(one) > repr(other)


def counts(observation: Observation) -> bool:
    """Return whether an observation counts as tried on its rung.

    One that is not evidence does not; on the far rungs neither does a DNS answer, which is never connectivity.
    """
    if observation.outlook is Outlook.EXCLUDED:
        return False
    return observation.rung not in _FAR or observation.is_connectivity


def to_json(ladder: Ladder) -> JsonObject:
    """Return the ladder's JSON form, as kept in a round's `ladder` record. `from_json` is its inverse."""
    return {
        str(state.rung): {
            "state": str(state.state),
            "reached": state.reached,
            "tried": state.tried,
            "waiting": state.waiting,
            "best_ns": state.best_ns,
            "usual_ns": state.usual_ns,
            "failures": list(state.failures),
        }
        for state in ladder.rungs
    }


def from_json(value: JsonValue) -> Ladder:
    """Read a ladder from its JSON form. Raises `RecordError`."""
    reader = Reader(value, where="ladder")
    return Ladder(rungs=tuple(_state_from_json(reader.child(rung), rung) for rung in Rung))


def _state_from_json(reader: Reader, rung: Rung) -> RungState:
    failures = reader.array("failures")
    texts = tuple(line for line in failures if isinstance(line, str))
    if len(texts) != len(failures):
        raise RecordError(f"ladder: {rung}: failures: every line must be text")
    return RungState(
        rung=rung,
        state=RungProgress(reader.word("state", tuple(RungProgress))),
        reached=reader.integer("reached", low=0),
        tried=reader.integer("tried", low=0),
        waiting=reader.integer("waiting", low=0),
        best_ns=reader.optional_integer("best_ns"),
        usual_ns=reader.optional_integer("usual_ns") if reader.has("usual_ns") else None,
        failures=texts,
    )


def _state(
    targets: tuple[PlannedTarget, ...], rung: Rung, latest: Mapping[str, Observation], *, ended: bool
) -> RungState:
    seen = [latest[target.name] for target in targets if target.name in latest]
    tried = [observation for observation in seen if counts(observation)]
    reached = [observation for observation in tried if observation.outlook is Outlook.REACHED]
    waiting = 0 if ended else len(targets) - len(seen)
    times = [observation.best_ns for observation in reached if observation.best_ns is not None]
    handshakes = [taken for observation in tried if (taken := observation.handshake_ns) is not None]
    return RungState(
        rung=rung,
        state=_progress(reached=len(reached), tried=len(tried), waiting=waiting),
        reached=len(reached),
        tried=len(tried),
        waiting=waiting,
        best_ns=min(times, default=None),
        usual_ns=median_low(handshakes) if handshakes else None,
        failures=tuple(
            f"{observation.target_name}: {observation.why}" for observation in tried if observation.why
        ),
    )


def _progress(*, reached: int, tried: int, waiting: int) -> RungProgress:
    if reached:
        return RungProgress.REACHED if reached == tried else RungProgress.PARTLY
    if waiting:
        return RungProgress.PENDING
    return RungProgress.FAILED if tried else RungProgress.UNKNOWN


def _in_turns(targets: Iterable[PlannedTarget]) -> list[PlannedTarget]:
    """Order targets by rung, the domestic and the international ones taking turns."""
    by_rung: dict[Rung, list[PlannedTarget]] = {rung: [] for rung in Rung}
    for target in targets:
        by_rung[target.rung].append(target)
    domestic, international = by_rung[Rung.DOMESTIC], by_rung[Rung.INTERNATIONAL]
    turns: list[PlannedTarget] = []
    for index in range(max(len(domestic), len(international))):
        turns += international[index : index + 1] + domestic[index : index + 1]
    near = [target for rung in Rung if rung not in _FAR for target in by_rung[rung]]
    return near + turns + by_rung[Rung.PLATFORMS]


def _task(target: PlannedTarget, *, task_id: str, round_id: int, start_ns: int, deadline_ns: int) -> Task:
    return Task(
        task_id=task_id,
        test=target.test,
        target=target.target,
        target_name=target.name,
        options=target.options,
        zone=target.zone,
        rung=target.rung,
        round_id=round_id,
        start_boottime_ns=start_ns,
        deadline_boottime_ns=deadline_ns,
    )
