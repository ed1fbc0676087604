"""An observation: what a record says, reduced to what the ladder and the verdict may reason from.

Pure, and the same whether the device makes it from a result or the collector from a record. It must never
judge a country: it says only whether this one target, this once, was reached, and if not, in what way.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from firmware.model.failures import UNKNOWN_PREFIX, Failure
from firmware.model.jsontypes import JsonValue
from firmware.model.plan import Plan
from firmware.model.record import Outcome, Record, Rung, Zone
from firmware.model.task import Result, Task
from firmware.net.targets import family_of

CONNECTIVITY_TESTS: Final = frozenset({"ping", "tcp", "tls", "http", "web_connectivity"})
"""Tests whose success says that packets travelled to the target and back, now. `dns` is not one: resolvers
answer from their cache in a cut. Nor is `ntp`: networks answer it in the server's place."""

CONNECTING_TESTS: Final = frozenset({"tcp", "tls", "http", "web_connectivity"})
"""Tests that connect by TCP before they ask for anything."""

AUTHENTICATING_TESTS: Final = frozenset({"tls", "http", "web_connectivity"})
"""Tests whose success also says that the right peer answered: by its certificate, or by what it sent. A page asked
for by `web_connectivity` in clear text is no proof: a portal or a block page answers as well."""

BEST_PHASES: Final = ("rtt", "connect", "tls_handshake", "first_byte", "resolve")
"""Whose time stands for an observation: the first of these that it has."""


SILENCE_NS: Final = 10_000_000_000
"""What has been asked for so long without an answer is silent so far, on a line that is quick: only there a task has less
time than a connect may take."""
SILENT: Final = "silent so far"
CONNECTED: Final = "connected, nothing more so far"
"""How a ladder says that nothing, or no more than a connection, had come of a target when its round was judged."""


class Outlook(StrEnum):
    """What became of one observation."""

    REACHED = "reached"
    """The target answered as it should."""
    TAMPERED = "tampered"
    """Something answered, and it was not the target, or not as it should: a wrong certificate, a redirect."""
    DOWN = "down"
    """Silence, an unreachable, a refusal, a reset."""
    STALLED = "stalled"
    """Its connection was accepted, and what was asked over it did not come in time: somebody is there, so no silence."""
    UNRESOLVED = "unresolved"
    """Its name was not resolved, so it was never asked: says something of resolvers, nothing of the target."""
    UNKNOWN_FAILURE = "unknown_failure"
    """It failed in a way that has no word yet, perhaps by a mistake of ours: never taken for silence."""
    EXCLUDED = "excluded"
    """Not evidence: it was not measured, or the device lacks what it takes (an address family, a right)."""


_EXCLUDED: Final = frozenset(
    {
        Failure.MISSED_SLOT,
        Failure.WORKER_DIED,
        Failure.RESULT_LOST,
        Failure.PERMISSION_DENIED,
        Failure.ADDRESS_FAMILY_NOT_SUPPORTED,
        Failure.INTERRUPTED,
    }
)
_OURS: Final = frozenset({"parse", "measure", "run"})
"""Where a fault of our own program shows (`firmware.worker.runner`, `firmware.worker.process`)."""
_BEFORE_CONNECTED: Final = ("connect", "resolve")
"""The steps before a connection stands."""
_TAMPERED: Final = frozenset(
    {
        Failure.SSL_FAILED_HANDSHAKE,
        Failure.SSL_INVALID_HOSTNAME,
        Failure.SSL_UNKNOWN_AUTHORITY,
        Failure.SSL_INVALID_CERTIFICATE,
        Failure.HTTP_REQUEST_FAILED,
        Failure.HTTP_UNEXPECTED_REDIRECT_URL,
        Failure.HTTP_UNEXPECTED_STATUS_CODE,
        Failure.HTTP_INVALID_REDIRECT_LOCATION_HOST,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one measurement of one target came to.

    `network` is the owner of the target's network as the plan counts them (`AS13335`, or an operator's name),
    empty where unknown. `start_ns` and `end_ns` are CLOCK_BOOTTIME, `best_ns` the time that stands for it.
    `http_status` is the answer's, where there was one. `routes` and `next_hops` are what an `address`
    observation saw: the address families (4, 6) with a default route, and those whose route has a next hop.
    """

    test: str
    rung: Rung | None
    zone: Zone
    target: str
    target_name: str
    network: str = ""
    failure: str | None = None
    failed_operation: str | None = None
    best_ns: int | None = None
    start_ns: int
    end_ns: int
    http_status: int | None = None
    routes: frozenset[int] | None = None
    next_hops: frozenset[int] | None = None
    uplink: str = ""
    """The kind of interface it left by, as `firmware.net.host_view` names them."""
    is_out: bool = False
    """Whether it was still out when its round was judged: nothing, or a connection and no more, had come of it."""
    is_connected: bool = False
    """Of what was still out: whether a connection to it had been accepted."""
    retransmitted: bool = False
    """Whether the kernel had to send something again before the target answered."""
    small_segments: bool = False
    """Whether it asked for small packets, both ways."""
    void: bool = False
    """Set by `settle` where the host itself lacks what the target takes."""
    outlook: Outlook = field(init=False, repr=False, compare=False)
    """What became of it: of the rest, told once since the rules ask for it hundreds of times a round."""

    def __post_init__(self) -> None:
        """Tell what became of it."""
        object.__setattr__(self, "outlook", self._outlook())

    def _outlook(self) -> Outlook:
        if self.is_out:
            return Outlook.STALLED if self.is_connected else Outlook.DOWN
        if self.failure is None:
            return Outlook.REACHED
        if self.void or self.failure in _EXCLUDED or self.failed_operation in _OURS:
            return Outlook.EXCLUDED
        if self.failed_operation == "resolve" and self.test != "dns":
            return Outlook.UNRESOLVED
        if self.failure.startswith(UNKNOWN_PREFIX):
            return Outlook.UNKNOWN_FAILURE
        is_late = self.failure == Failure.TIMEOUT and self.failed_operation not in _BEFORE_CONNECTED
        if is_late and self.test in CONNECTING_TESTS:
            return Outlook.STALLED
        return Outlook.TAMPERED if self.failure in _TAMPERED else Outlook.DOWN

    @property
    def is_silent(self) -> bool:
        """Return whether nothing at all came back, by the end of its time or of its round."""
        is_late = self.is_out or self.failure == Failure.TIMEOUT
        return is_late and self.outlook is Outlook.DOWN

    @property
    def handshake_ns(self) -> int | None:
        """Return how long the target took to answer at all, also where no more came in time; None where it did not."""
        return self.best_ns if self.outlook in (Outlook.REACHED, Outlook.STALLED) else None

    @property
    def is_connectivity(self) -> bool:
        """Return whether its success is end-to-end connectivity."""
        return self.test in CONNECTIVITY_TESTS

    @property
    def is_by_name(self) -> bool:
        """Return whether a name had to be resolved before the target could be asked."""
        return self.is_connectivity and "@" not in self.target and self.family is None

    @property
    def family(self) -> int | None:
        """Return the address family (4 or 6) of a target that is pinned to an address; None for a name."""
        return _family(self.target)

    @property
    def is_authenticated(self) -> bool:
        """Return whether it reached its target, and the target proved to be the right one."""
        if self.test == "web_connectivity" and not self.target.startswith("https://"):
            return False
        return self.test in AUTHENTICATING_TESTS and self.outlook is Outlook.REACHED

    @property
    def has_connected(self) -> bool:
        """Return whether its connection stood, whatever came of it then."""
        if self.is_out:
            return self.is_connected
        return self.failed_operation not in _BEFORE_CONNECTED and self.outlook is not Outlook.EXCLUDED

    @property
    def why(self) -> str:
        """Return the failure as people read it: `tls_handshake: connection_reset`; empty for a success."""
        if self.is_out:
            return CONNECTED if self.is_connected else SILENT
        if self.failure is None:
            return ""
        return f"{self.failed_operation}: {self.failure}" if self.failed_operation else self.failure


def settle(observations: Iterable[Observation]) -> tuple[Observation, ...]:
    """Return the observations of one round, those void that the host itself explains.

    A pinned address of a family without a default route says nothing of the network beyond, and a
    point-to-point line has no gateway to ask.
    """
    given = tuple(observations)
    host = max((one for one in given if one.routes is not None), key=lambda one: one.start_ns, default=None)
    return tuple(replace(one, void=True) if _host_explains(one, host) else one for one in given)


def _host_explains(observation: Observation, host: Observation | None) -> bool:
    if observation.failure == Failure.NETWORK_UNREACHABLE and observation.failed_operation != "resolve":
        routes = frozenset({4}) if host is None or host.routes is None else host.routes
        family = _family(observation.target)
        return family is not None and bool(routes) and family not in routes
    if observation.failure == Failure.NO_GATEWAY and host is not None:
        return bool(host.routes) and not host.next_hops
    return False


@lru_cache(maxsize=1024)  # a plan's targets are few, and each is asked about in every round
def _family(target: str) -> int | None:
    """Return 4 or 6 for a target pinned to an address, None for a name or a URL of one."""
    if "[" in target:
        return 6
    host = urlsplit(target).hostname if "//" in target else target.rsplit(":", 1)[0]
    return family_of(target) or family_of(host or "")


def from_result(task: Task, result: Result, *, network: str) -> Observation:
    """Return the device's view: a task and what the worker brought back for it.

    `network` is the owner of the target's network (`owner_of`).
    """
    return _observation(
        result.outcome,
        test=task.test,
        rung=task.rung,
        zone=task.zone,
        target=task.target,
        target_name=task.target_name,
        network=network,
        start_ns=result.start_boottime_ns,
        runtime_ns=result.runtime_ns,
        uplink=result.uplink,
        small_segments="max_segment" in task.options,
    )


def from_record(record: Record) -> Observation:
    """Return anyone's view: a stored record. Its network is what `context_of` put into its context."""
    network = record.context.get("network", "")
    return _observation(
        record.outcome,
        test=record.test,
        rung=record.rung,
        zone=record.zone,
        target=record.target,
        target_name=record.target_name,
        network=network if isinstance(network, str) else "",
        start_ns=record.start.boottime_ns,
        runtime_ns=record.runtime_ns,
        uplink=record.uplink,
        small_segments="max_segment" in record.outcome.detail,
    )


def owner_of(plan: Plan, target_name: str) -> str:
    """Return the owner of the network a plan's target stands in; empty where the plan says none."""
    target = plan.target(target_name)
    return target.network.owner if target is not None and target.network is not None else ""


def context_of(plan: Plan, target_name: str) -> dict[str, JsonValue]:
    """Return what a record's context must hold for the record alone to be evidence: plan and network."""
    context: dict[str, JsonValue] = {"plan": plan.label}
    owner = owner_of(plan, target_name)
    if owner:
        context["network"] = owner
    return context


def _observation(
    outcome: Outcome,
    *,
    test: str,
    rung: Rung | None,
    zone: Zone,
    target: str,
    target_name: str,
    network: str,
    start_ns: int,
    runtime_ns: int,
    uplink: str,
    small_segments: bool,
) -> Observation:
    return Observation(
        test=test,
        rung=rung,
        zone=zone,
        target=target,
        target_name=target_name,
        network=network,
        failure=outcome.failure,
        failed_operation=outcome.failed_operation,
        best_ns=_best_ns(outcome),
        start_ns=start_ns,
        end_ns=start_ns + runtime_ns,
        http_status=_status(outcome.detail),
        uplink=uplink,
        is_out=_is_silent_so_far(outcome),
        small_segments=small_segments,
        retransmitted=_retransmitted(outcome.detail),
        routes=_families(outcome.detail, "default_route") if test == "address" else None,
        next_hops=_families(outcome.detail, "gateway") if test == "address" else None,
    )


def _is_silent_so_far(outcome: Outcome) -> bool:
    """Return whether a connect was cut short by its task's end, after so long without an answer that it counts as silent."""
    if outcome.failure != Failure.INTERRUPTED or outcome.failed_operation != "connect":
        return False
    attempts = outcome.detail.get("tcp_connect")
    tried = attempts if isinstance(attempts, list) else [dict(outcome.detail)]
    waited = [one.get("elapsed_ns") for one in tried if isinstance(one, dict)]
    return any(isinstance(ns, int) and ns >= SILENCE_NS for ns in waited)


def _best_ns(outcome: Outcome) -> int | None:
    return next((outcome.phases[name].ns for name in BEST_PHASES if name in outcome.phases), None)


def _status(detail: Mapping[str, JsonValue]) -> int | None:
    status = detail.get("status")
    return status if isinstance(status, int) and not isinstance(status, bool) else None


def _retransmitted(detail: Mapping[str, JsonValue]) -> bool:
    attempts = detail.get("tcp_connect")
    ways = [
        detail,
        *(one for one in (attempts if isinstance(attempts, list) else []) if isinstance(one, dict)),
    ]
    counts = [one.get("retransmissions") for one in ways]
    return any(isinstance(count, int) and count > 0 for count in counts)


def _families(detail: Mapping[str, JsonValue], key: str) -> frozenset[int] | None:
    """Return the families for which an `address` measurement's detail says `key`; None if it says nothing."""
    parts = {4: detail.get("ipv4"), 6: detail.get("ipv6")}
    known = {family: part for family, part in parts.items() if isinstance(part, dict) and key in part}
    return frozenset(family for family, part in known.items() if part[key] is True) if known else None
