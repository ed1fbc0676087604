"""What makes a plan of well-formed parts unusable as a whole; and what its rounds are estimated to cost.

Pure. The estimates are upper figures for a clean line, in bytes on the wire both ways, IP and TCP headers
included: a budget that counts payload only is exceeded by a quarter. `./test` fails if a test has none.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from firmware.judgement.ladder import CONNECT_TIMEOUT_S, quick_deadline_s
from firmware.judgement.observation import AUTHENTICATING_TESTS
from firmware.model.plan import GENERIC, Network, Plan, PlanFault, PlannedTarget, PlannedTask
from firmware.model.record import Rung, Zone
from firmware.model.task import OptionValue

MIN_NETWORKS: Final = 3
"""Unrelated networks that a country's anchors, and the reference targets outside, are spread over at least."""

DAY_S: Final = 86_400

_NEAR: Final = (Rung.LINK, Rung.ADDRESS, Rung.GATEWAY, Rung.RESOLVER)
_FAR_TESTS: Final = ("ping", "tcp", "tls", "http", "web_connectivity", "dns", "ntp")
_TESTS: Final[Mapping[Rung, tuple[str, ...]]] = {
    Rung.LINK: ("link",),
    Rung.ADDRESS: ("address",),
    Rung.GATEWAY: ("ping", "tcp"),
    Rung.RESOLVER: ("dns",),
    Rung.DOMESTIC: _FAR_TESTS,
    Rung.INTERNATIONAL: _FAR_TESTS,
    Rung.PLATFORMS: _FAR_TESTS,
}
_ZONES: Final[Mapping[Rung, tuple[Zone, ...]]] = {
    Rung.LINK: (Zone.LOCAL,),
    Rung.ADDRESS: (Zone.LOCAL,),
    Rung.GATEWAY: (Zone.LOCAL,),
    Rung.RESOLVER: (Zone.LOCAL, Zone.DOMESTIC),
    Rung.DOMESTIC: (Zone.DOMESTIC,),
    Rung.INTERNATIONAL: (Zone.INTERNATIONAL,),
    Rung.PLATFORMS: (Zone.DOMESTIC, Zone.INTERNATIONAL),
}

_TLS_BYTES: Final = 6_000
"""ClientHello 0.5–1.8 kB, the server's flight with a chain of three certificates 3–4 kB, headers 0.5 kB."""
_HTTP_HEAD_BYTES: Final = 2_000
"""Connection, request, response head."""
_HTTP_BODY_BYTES: Final = 524_288
"""A page's body where the plan sets no `body_cap`: the test's own."""

_CONNECT_BYTES: Final = 500
_LOOKUP_BYTES: Final = 400
"""A and AAAA asked of one resolver: 70 bytes a question, 130 an answer, with IP and UDP headers."""
_WEB_ADDRESSES: Final = 4
"""How many of a page's addresses are tried where the plan does not say."""


def _http_bytes(target: str, options: Mapping[str, OptionValue]) -> int:
    cap = options.get("body_cap", _HTTP_BODY_BYTES)
    body = cap if isinstance(cap, int) else _HTTP_BODY_BYTES
    return _HTTP_HEAD_BYTES + body + (_TLS_BYTES if target.startswith("https:") else 0)


def _web_bytes(target: str, options: Mapping[str, OptionValue]) -> int:
    """Both resolvers, each address to try, and the page where it is fetched."""
    addresses = options.get("addresses", _WEB_ADDRESSES)
    count = addresses if isinstance(addresses, int) else _WEB_ADDRESSES
    each = _TLS_BYTES if target.startswith("https:") else _CONNECT_BYTES
    resolvers = 1 if options.get("resolver") == "none" else 2
    cap = options.get("body_cap", _HTTP_BODY_BYTES)
    body = cap if isinstance(cap, int) else _HTTP_BODY_BYTES
    page = _HTTP_HEAD_BYTES + body if options.get("fetch", True) else 0
    return resolvers * _LOOKUP_BYTES + count * each + page


def _ping_bytes(options: Mapping[str, OptionValue]) -> int:
    count = options.get("count", 3)
    return 2 * 100 * (count if isinstance(count, int) else 3)


def _traceroute_bytes(options: Mapping[str, OptionValue]) -> int:
    """Every hop's probe and the router's answer, which quotes it: 100 bytes and what the plan's `size` adds."""
    hops, queries, size = (
        value if isinstance(value := options.get(key, default), int) else default
        for key, default in (("max_hops", 30), ("queries", 3), ("size", 60))
    )
    return hops * queries * (size + 100 + min(size, 576))


def _pmtu_bytes(options: Mapping[str, OptionValue]) -> int:
    """Every byte it may spend: a path that swallows big packets takes them all."""
    most = options.get("max_bytes", 40_000)
    return most if isinstance(most, int) else 40_000


ESTIMATES: Final[Mapping[str, Callable[[str, Mapping[str, OptionValue]], int]]] = {
    "link": lambda _target, _options: 0,
    "address": lambda _target, _options: 0,
    "ping": lambda _target, options: _ping_bytes(options),
    "tcp": lambda _target, _options: _CONNECT_BYTES,
    "ntp": lambda _target, _options: 160,
    "dns": lambda _target, _options: 700,
    "tls": lambda _target, _options: _TLS_BYTES,
    "http": _http_bytes,
    "web_connectivity": _web_bytes,
    "traceroute": lambda _target, options: _traceroute_bytes(options),
    "pmtu": lambda _target, options: _pmtu_bytes(options),
}
"""Estimated bytes of one measurement, by test."""


def estimate_bytes(planned: PlannedTarget | PlannedTask) -> int:
    """Return about how many bytes one measurement costs on a clean line, on the wire, both ways."""
    return ESTIMATES[planned.test](planned.target, planned.options)


def round_bytes(plan: Plan) -> int:
    """Return about how many bytes one round costs."""
    return sum(estimate_bytes(target) for target in plan.targets)


def day_bytes(plan: Plan) -> int:
    """Return about how many bytes a calm day costs: its rounds and what is measured beside them."""
    rounds = round_bytes(plan) * DAY_S / plan.cadence.calm_s
    beside = sum(estimate_bytes(task) * DAY_S / task.every_s for task in plan.tasks)
    return round(rounds + beside)


def round_s(plan: Plan) -> float:
    """Return how long a round lasts at most before its deadline must cut it: starts, then one time-out, in s."""
    return (max(0, len(plan.targets) - 1) * plan.round.stagger_ms) / 1000 + CONNECT_TIMEOUT_S


def check(plan: Plan) -> list[PlanFault]:
    """Return everything that makes `plan` unusable as a whole."""
    return [
        *_duplicates(plan),
        *_places(plan.targets),
        *_rungs(plan),
        *_relations(plan),
        *_costs(plan),
    ]


def _duplicates(plan: Plan) -> Iterator[PlanFault]:
    names = Counter([target.name for target in plan.targets] + [task.name for task in plan.tasks])
    for name, times in names.items():
        if times > 1:
            yield PlanFault(
                place=f'name "{name}"', found=f"{times} times", allowed="each name once in a plan"
            )


def _places(targets: Iterable[PlannedTarget]) -> Iterator[PlanFault]:
    """Refuse tests, zones and networks that do not fit their rung."""
    for target in targets:
        place = f'target "{target.name}"'
        tests, zones = _TESTS[target.rung], _ZONES[target.rung]
        if target.test not in tests:
            yield PlanFault(
                place=f"{place}.test", found=f"{target.test} on rung {target.rung}", allowed=_or(tests)
            )
        if target.zone not in zones:
            yield PlanFault(
                place=f"{place}.zone", found=f"{target.zone} on rung {target.rung}", allowed=_or(zones)
            )
        if target.network is None and target.rung not in _NEAR:
            allowed = "network = { asn = …, name = … }: evidence is counted in unrelated networks"
            yield PlanFault(place=f"{place}.network", found="nothing", allowed=allowed)
        if (
            target.rung in (Rung.DOMESTIC, Rung.INTERNATIONAL)
            and target.target.startswith("http://")
            and not {"expect_status", "expect_redirect"} & set(target.options)
        ):
            allowed = "expect_status = … or expect_redirect = …: a sign-in page answers plain HTTP too"
            yield PlanFault(place=f"{place}.options", found="no expectation", allowed=allowed)


def _rungs(plan: Plan) -> Iterator[PlanFault]:
    """Refuse a ladder with a rung missing, and anchors or reference targets in too few unrelated networks."""
    for rung in _NEAR:
        if not plan.on_rung(rung):
            yield PlanFault(
                place=f"rung {rung}", found="no target", allowed="at least one: every round climbs every rung"
            )
    spread = [Rung.INTERNATIONAL] if plan.country == GENERIC else [Rung.DOMESTIC, Rung.INTERNATIONAL]
    for rung in spread:
        owners = sorted(plan.unrelated_networks(rung, AUTHENTICATING_TESTS))
        if len(owners) < MIN_NETWORKS:
            yield PlanFault(
                place=f"rung {rung}",
                found="tls and http targets in " + (_count(owners) if owners else "no network"),
                allowed=f"{MIN_NETWORKS} or more: fewer cannot tell an outage from one network's fault",
            )


def _relations(plan: Plan) -> Iterator[PlanFault]:
    """Refuse one network number under two operators: it would be counted as two unrelated networks."""
    operators: dict[int, Network] = {}
    networks = [(target.name, target.network) for target in plan.targets]
    networks += [(task.name, task.network) for task in plan.tasks]
    for name, network in networks:
        if network is None:
            continue
        first = operators.setdefault(network.asn, network)
        if first.operator != network.operator:
            yield PlanFault(
                place=f'"{name}".network.operator',
                found=f"{network.operator or 'no operator'} for AS{network.asn}",
                allowed=f"{first.operator or 'no operator'}, as elsewhere in this plan",
            )


def _costs(plan: Plan) -> Iterator[PlanFault]:
    cost, longest, day = round_bytes(plan), round_s(plan), day_bytes(plan)
    if cost > plan.round.max_bytes:
        dear = sorted(plan.targets, key=estimate_bytes, reverse=True)[:3]
        listed = ", ".join(f"{target.name} {estimate_bytes(target):,}" for target in dear)
        yield PlanFault(
            place="round.max_bytes",
            found=f"a round of about {cost:,} bytes (most: {listed})",
            allowed=f"{plan.round.max_bytes:,}",
        )
    if longest > quick_deadline_s(plan):
        yield PlanFault(
            place="round.deadline_s",
            found=f"{len(plan.targets)} starts {plan.round.stagger_ms} ms apart and a time-out of "
            f"{CONNECT_TIMEOUT_S} s: {longest:.1f} s",
            allowed=f"{quick_deadline_s(plan)} s: fewer targets, or a shorter stagger_ms",
        )
    if plan.cadence.transition_s > plan.cadence.calm_s:
        yield PlanFault(
            place="cadence.transition_s",
            found=f"{plan.cadence.transition_s}",
            allowed=f"at most calm_s, {plan.cadence.calm_s}: a transition is watched more closely",
        )
    if day > plan.cadence.budget_bytes_per_day:
        yield PlanFault(
            place="cadence.budget_bytes_per_day",
            found=f"a calm day of about {day:,} bytes",
            allowed=f"{plan.cadence.budget_bytes_per_day:,}",
        )


def _count(owners: Sequence[str]) -> str:
    return f"{len(owners)} unrelated network{'s' if len(owners) > 1 else ''} ({', '.join(owners)})"


def _or(words: Iterable[str]) -> str:
    listed = [str(word) for word in words]
    return listed[0] if len(listed) == 1 else "one of " + ", ".join(listed)
