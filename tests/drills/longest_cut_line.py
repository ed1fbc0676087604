"""The line of a device through the longest cut: what it is like at each hour, and what each measurement brings on it.

Drawn from a seed. The cut begins some hours in, after precursors: an evening of lost connections abroad. Then abroad is
dark for the rest, but for false dawns (minutes to hours in which some targets answer, the collector not among them) and
some hours in which the provider is gone as well. At home a single anchor or the resolver fails now and then, and on some
days one of them for hours. Results are whole: those of two rounds that were measured in the made country (`tests/data/rounds`) and of
NTP against a server on loopback, with the plan's names and addresses in the place of theirs and times of their own.
It must never know what a record is worth.
"""

import json
import random
import socket
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from firmware.measurements.ntp import Ntp
from firmware.model.jsontypes import JsonObject, Reader
from firmware.model.plan import Plan, PlannedTarget, PlannedTask
from firmware.model.record import Outcome, Zone, outcome_from_json, outcome_to_json
from firmware.model.task import Result, Task
from firmware.worker.single import measure_once
from tests.drills.week import shaken, told_round
from tests.servers.ntp import NtpServer, truthful

NS: Final = 1_000_000_000
HOUR_NS: Final = 3600 * NS
_TIMEOUT_NS: Final = 20 * NS
"""What a connect waits for, as the plan's rounds ask it."""
_PAGE_NS: Final = 28 * NS
"""After how long a page gives up: its names, then its connects."""
_VARIANTS: Final = 50
"""So many different results of one target that answers, and of one that does not. Times and context are each record's own."""
_PROBE_NS: Final = 2_500_000_000


class Sky(StrEnum):
    """What the line is like."""

    WELL = "well"
    PRECURSOR = "precursor"
    CUT = "cut"
    DAWN = "false dawn"
    DARK = "provider gone"


@dataclass(frozen=True, slots=True)
class Spell:
    """A time, in ns since the beginning, in which the sky is one."""

    since_ns: int
    until_ns: int
    sky: Sky


@dataclass(slots=True, kw_only=True)
class Line:
    """The line over `days` days."""

    plan: Plan
    days: float
    seed: int
    spells: list[Spell] = field(default_factory=list)
    _sick: list[tuple[int, int, str]] = field(default_factory=list)
    _well: dict[str, JsonObject] = field(default_factory=dict)
    _gone: dict[str, JsonObject] = field(default_factory=dict)
    _made: dict[tuple[str, bool, int], Outcome] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Draw the spells, and give each target of the plan its results."""
        rng = random.Random(self.seed)
        end_ns = round(self.days * 24) * HOUR_NS
        began_ns = min(end_ns // 8, 20 * HOUR_NS)
        # What is not named here is the cut. Where two overlap, the one that was drawn first counts.
        self.spells = [
            Spell(0, began_ns * 3 // 4, Sky.WELL),
            Spell(began_ns * 3 // 4, began_ns, Sky.PRECURSOR),
        ]
        for sky, every_days, longest_h in ((Sky.DAWN, 6.0, 5.0), (Sky.DARK, 12.0, 9.0)):
            for _ in range(max(1, round(self.days / every_days))):
                since_ns = rng.randrange(began_ns, end_ns)
                self.spells.append(
                    Spell(since_ns, since_ns + round(rng.uniform(0.05, longest_h) * HOUR_NS), sky)
                )
        anchors = [one.name for one in self.plan.targets if one.zone is Zone.DOMESTIC] + ["isp-resolver"]
        for _ in range(max(1, round(self.days / 4))):
            since_ns = rng.randrange(end_ns)
            self._sick.append(
                (since_ns, since_ns + round(rng.uniform(0.1, 12) * HOUR_NS), rng.choice(anchors))
            )
        self._make_results()

    def sky(self, now_ns: int) -> Sky:
        """Return what the line is like, so long after the beginning."""
        return next((one.sky for one in self.spells if one.since_ns <= now_ns < one.until_ns), Sky.CUT)

    def measured(self, task: Task, now_ns: int, rng: random.Random) -> tuple[Outcome, int]:
        """Return what `task` brings if it begins `now_ns` after the beginning, and how long it takes in ns."""
        reached = self._is_reached(task, now_ns, rng)
        if task.target_name not in self._well or task.test == "tcp":
            return (
                (Outcome(), 60_000_000) if reached else (Outcome(failure="generic_timeout_error"), _PROBE_NS)
            )
        outcome = self._one_of(task.target_name, rng, reached=reached)
        if reached:
            return outcome, rng.randrange(20_000_000, 900_000_000)
        if task.test == "dns":
            return outcome, 5 * NS
        took_ns = _PAGE_NS if task.test in ("web_connectivity", "http") else _TIMEOUT_NS
        return outcome, 3 * took_ns // 4 if task.test == "ntp" else took_ns

    def _one_of(self, name: str, rng: random.Random, *, reached: bool) -> Outcome:
        """Return a result like the one that was measured: one of `_VARIANTS`, each made when it is first drawn."""
        key = (name, reached, rng.randrange(_VARIANTS))
        if key not in self._made:
            told = shaken("", (self._well if reached else self._gone)[name], rng)
            self._made[key] = outcome_from_json(Reader(told, where="outcome"))
        return self._made[key]

    def _is_reached(self, task: Task, now_ns: int, rng: random.Random) -> bool:
        if task.test in ("link", "address", "ping"):
            return True
        sky = self.sky(now_ns)
        if sky is Sky.DARK:
            return False
        if any(since <= now_ns < until and name == task.target_name for since, until, name in self._sick):
            return rng.random() < 0.1
        if task.zone is not Zone.INTERNATIONAL:
            return rng.random() >= 0.004
        match sky:
            case Sky.WELL:
                return rng.random() >= 0.002
            case Sky.PRECURSOR:
                return rng.random() >= 0.3
            case Sky.DAWN:
                # Some networks are let through, the same ones for an hour.
                return random.Random(f"{self.seed} {now_ns // HOUR_NS} {task.target_name}").random() < 0.5
            case _:
                return rng.random() < 0.0004

    def _make_results(self) -> None:
        """Give every target of the plan a result that was measured, with its own names, for well and for gone."""
        well, gone = ({_kind(one): one for one in told_round(name)} for name in ("ok", "cut"))
        time_told, time_gone = _measure_time()
        asked: list[PlannedTarget | PlannedTask] = [*self.plan.targets, *self.plan.tasks]
        for number, one in enumerate(asked):
            if one.test == "tcp":
                continue  # nothing but its times, as `measured` gives it
            by_name = one.test == "tls" and one.target[0].isalpha()
            kind = f"{one.test} by name" if by_name else one.test
            if one.test == "ntp":
                self._well[one.name], self._gone[one.name] = time_told, time_gone
                continue
            self._well[one.name] = _renamed(well[kind], one.target, one.options, number)
            self._gone[one.name] = _renamed(_failed(kind, well, gone), one.target, one.options, number)


def _kind(told: JsonObject) -> str:
    detail = told["detail"]
    assert isinstance(detail, dict)
    return f"{told['test']} by name" if told["test"] == "tls" and detail["queries"] else str(told["test"])


def _failed(kind: str, well: dict[str, JsonObject], gone: dict[str, JsonObject]) -> JsonObject:
    """Return what a target of this kind brings when nothing answers."""
    timed_out = next(one for one in _read_gone() if one["test"] == "tls")
    match kind:
        case "tls":
            return timed_out
        case "tls by name":
            # As the pinned one, and the answers of the resolver, which has them.
            asked, silent = well[kind]["detail"], timed_out["detail"]
            assert isinstance(asked, dict)
            assert isinstance(silent, dict)
            detail = {**silent, "resolved_from": "dns", "queries": asked["queries"]}
            detail["server_name"], detail["tcp_connect"] = asked["server_name"], silent["tcp_connect"]
            return {**timed_out, "detail": detail, "phases": {}, "target": well[kind]["target"]}
        case "dns":
            asked = well[kind]["detail"]
            assert isinstance(asked, dict)
            failure = "generic_timeout_error"
            detail = {**asked, "queries_sent": 2, "failure": failure, "answers": []}
            return {
                **well[kind],
                "failure": failure,
                "failed_operation": "resolve",
                "phases": {},
                "detail": detail,
            }
        case _:
            return gone.get(kind, well[kind])


def _read_gone() -> list[JsonObject]:
    return [one for one in told_round("cut") if one["failure"] is not None]


def _renamed(told: JsonObject, target: str, options: object, number: int) -> JsonObject:
    """Return a result's outcome with the target's own name and address in the place of those it was measured with."""
    detail = told["detail"]
    assert isinstance(detail, dict)
    host = target.removeprefix("https://").removeprefix("http://").split("/")[0].rpartition(":")[0] or target
    name = options.get("sni", host) if isinstance(options, dict) else host
    outcome = {
        key: told[key]
        for key in ("failure", "failed_operation", "phases", "bytes_up", "bytes_down", "detail")
    }
    text = json.dumps(outcome)
    was = str(detail.get("server_name") or detail.get("url") or "")
    if was.startswith("http"):
        text = text.replace(was, target)
        was = was.split("/")[2]
    if was:
        text = text.replace(was, str(name))
    connects = detail.get("tcp_connect") or []
    if isinstance(connects, list) and connects and isinstance(connects[0], dict):
        own = host if host[0].isdigit() else f"185.{20 + number}.{7 * number % 256}.{3 + number}"
        text = text.replace(str(connects[0]["address"]), own)
    found: JsonObject = json.loads(text)
    return found


def _measure_time() -> tuple[JsonObject, JsonObject]:
    """Return what NTP brings from a server that is right, and from one that is silent."""
    with NtpServer(lambda question: [truthful(question)]) as server:
        told = measure_once("ntp", f"127.0.0.1:{server.port}", {}).outcome
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        gone = measure_once("ntp", f"127.0.0.1:{silent.getsockname()[1]}", {"timeout_ms": 50}).outcome
    # Its clock readings are of this machine: what a device does with them is not tried here.
    detail = {**told.detail}
    detail.pop("t4_boottime_ns", None)
    return outcome_to_json(replace(told, detail=detail)), outcome_to_json(gone)


def result(task: Task, outcome: Outcome, *, start_ns: int, start_utc_ns: int, runtime_ns: int) -> Result:
    """Return a worker's result."""
    return Result(
        task_id=task.task_id,
        test_version=Ntp.version,
        target=task.target,
        uplink="ethernet",
        start_boottime_ns=start_ns,
        start_utc_ns=start_utc_ns,
        runtime_ns=runtime_ns,
        outcome=outcome,
    )
