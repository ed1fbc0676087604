"""Plays a case in virtual time: the device of `tests.country`, over its networks, with the plan of the made country.

What the namespaces have of another size than `tests.country` draws is set to theirs: delays beyond the line, and how much
a server says in a handshake. This file must never read what the other play brought.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final
from unittest import mock

from appliance.outbox.box import Outbox
from firmware.model.task import Task
from firmware.plans.load import load
from tests.calibration.cases import ABROAD_MS, DOMESTIC_MS, Case, Happening
from tests.calibration.heard import Round, rounds_in
from tests.calibration.pace import CALM_S, LIMIT_S, QUICK_S, ROUNDS
from tests.country import device as country_device
from tests.country import hosts as far
from tests.country import resolver, streams
from tests.country.delivery import Delivery
from tests.country.device import HomeDevice, RoundHeard, Standing, edges
from tests.country.hosts import Hosts, home_host
from tests.country.internet import Internet
from tests.country.lines import Line, LineQuality
from tests.country.repertoire import Bearing, Measured
from tests.country.rules import Act, Kind, Place, Rule
from tests.country.sockets import Machine, Machines
from tests.country.virtual_time import NS, Agenda, VirtualClock, VirtualLoop, virtual
from tests.nation.atlas import site_of
from tests.nation.stage import PLAN

_BORDER_MS: Final = 6.0
"""What `tests.country.internet` has between provider and border, one way."""
FLIGHT: Final = (1067,)
"""Bytes of a segment each that a server of the made country says in a handshake: two certificates of elliptic curves."""
_ALL: Final = 1.0
"""The share of names that the provider's resolver has in its cache: here, as in the namespaces, all."""
_SPARED: Final = ("www.uni.out", "www.registry.out")
_GONE: Final = "A foundation"
"""The network that is gone, as the plan calls it, with all that stands in it."""
_HOME: Final = 0
BURST_BYTES: Final = 1_500
BUFFER_BYTES: Final = 100_000
"""What a shaper of the namespaces lets pass at once, and holds."""


class _NoCollector:
    """In the place of the collector: it takes nothing, so that all stays in the outbox."""

    def converse(self, outbox: object) -> bool:
        """Take nothing."""
        return False

    def presence(self, device: str, *, online: bool, take_news: object) -> None:
        """Take no note."""


class _Anew(Bearing):
    """Nothing stands for a measurement: each is made."""

    def __init__(self) -> None:
        """Know nothing."""

    def again(self, task: Task, now_ns: int) -> Measured | None:
        """Return nothing."""
        return None

    def learn(self, task: Task, measured: Measured) -> None:
        """Take no note."""


def play(case: Case) -> list[Round]:
    """Return the rounds of a case."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="calibration-")))
        stack.enter_context(mock.patch.object(country_device, "LeanOutbox", Outbox))
        stack.enter_context(mock.patch.object(streams, "SERVER_FLIGHT", FLIGHT))
        stack.enter_context(mock.patch.object(resolver, "CACHED", _ALL))
        logging.disable(logging.WARNING)  # a device in a cut has much to say
        stack.callback(logging.disable, logging.NOTSET)
        return _play(case, folder, stack)


def _play(case: Case, folder: Path, stack: ExitStack) -> list[Round]:
    clock = VirtualClock()
    agenda, loop = Agenda(clock), VirtualLoop()
    stack.callback(loop.close)
    plan = load(path=PLAN)
    plan = replace(
        plan, cadence=replace(plan.cadence, calm_s=CALM_S, transition_s=QUICK_S, budget_bytes_per_day=10**11)
    )
    line = Line(quality=_quality(case), seed=f"{case.seed}/line")
    internet = Internet(_hosts(Hosts(plan)), {_HOME: line}, rules(case), seed=str(case.seed))
    machines = Machines(clock, loop, internet)
    for one in (virtual(clock), machines.installed(), edges(clock)):
        stack.enter_context(one)
    view = home_host(families=case.families)
    heard: list[RoundHeard] = []
    name = f"case{case.seed:012d}"
    device = HomeDevice(
        standing=Standing(name=name, provider="AS65021", kind="fixed", province=""),
        plan=plan,
        machine=Machine(home=_HOME, view=lambda: view),
        machines=machines,
        agenda=agenda,
        delivery=Delivery(
            home=_HOME, device=name, internet=internet, agenda=agenda, intake=_NoCollector(), seed=name
        ),
        folder=folder / name,
        seed=name,
        bearing=_Anew(),
        heard=heard.append,
    )
    stack.callback(device.close)
    agenda.at(0, device.power_on)
    second = 0
    while len(heard) < ROUNDS and second < LIMIT_S:
        second += 1
        agenda.run(second * NS, loop)
    return rounds_in(folder / name / "outbox.sqlite3")


def _quality(case: Case) -> LineQuality:
    """Return the case's line. Jitter is added to both ways of a line alike there: theirs is the mean of the two."""
    return LineQuality(
        name=case.kind,
        delay_up_ms=case.up.delay_ms,
        delay_down_ms=case.down.delay_ms,
        jitter_ms=(case.up.jitter_ms + case.down.jitter_ms) / 2,
        loss_up=case.up.loss,
        loss_down=case.down.loss,
        rate_up_kbit=case.up.rate_kbit,
        rate_down_kbit=case.down.rate_kbit,
        buffer_up_ms=_buffer_ms(case.up.rate_kbit),
        buffer_down_ms=_buffer_ms(case.down.rate_kbit),
        burst_bytes=BURST_BYTES,
        families=case.families,
    )


def _buffer_ms(rate_kbit: float) -> float:
    return 8 * BUFFER_BYTES / rate_kbit


@cache
def _standing_in(network: str) -> frozenset[str]:
    """Return the hosts of the plan's targets in a network."""
    plan = load(path=PLAN)
    hosts = Hosts(plan)
    return frozenset(
        hosts.of_target[one.name] for one in plan.targets if one.network and one.network.name == network
    )


def _hosts(hosts: Hosts) -> Hosts:
    """Give every host the delay that the namespaces have."""
    for name, server in hosts.by_name.items():
        if name in (far.RESOLVER, far.GATEWAY):
            continue
        delay_ms = ABROAD_MS - _BORDER_MS if server.abroad else DOMESTIC_MS
        hosts.by_name[name] = replace(server, delay_ms=delay_ms)
    for address, server in list(hosts.by_address.items()):
        hosts.by_address[address] = hosts.by_name[server.host]
    return hosts


def rules(case: Case) -> list[Rule]:
    """Return what stands on the ways of the case's packets."""
    return [*_line_rules(case), *_happening_rules(case)]


def _line_rules(case: Case) -> Iterator[Rule]:
    if case.hole_bytes:
        yield Rule(place=Place.PROVIDER, act=Act.DROP, up=False, larger_than=case.hole_bytes)
    if case.bursts is not None:
        begins_s = case.bursts.first_s
        while begins_s < LIMIT_S:
            yield Rule(
                place=Place.PROVIDER,
                act=Act.DROP,
                since_s=begins_s,
                until_s=begins_s + case.bursts.lasts_s,
                share=case.bursts.loss,
            )
            begins_s += case.bursts.every_s


def _happening_rules(case: Case) -> list[Rule]:  # noqa: C901  # a case for each happening
    name = frozenset({case.platform})
    match case.happening:
        case Happening.NOTHING:
            return []
        case Happening.CUT_DROP | Happening.CUT_RESET:
            if case.happening is Happening.CUT_DROP:
                return [Rule(place=Place.BORDER, act=Act.DROP, abroad=True)]
            # Nothing resets a datagram: those pass in the namespaces, too.
            return [Rule(place=Place.BORDER, act=Act.RESET, abroad=True, kinds=frozenset({Kind.SYN}))]
        case Happening.FOUR_CUT:
            return [Rule(place=Place.BORDER, act=Act.DROP, abroad=True, family=4)]
        case Happening.ALLOW_LIST:
            return [Rule(place=Place.BORDER, act=Act.DROP, abroad=True, spared=frozenset(_SPARED))]
        case Happening.DARK:
            return [Rule(place=Place.PROVIDER, act=Act.DROP)]
        case Happening.TLS_DROPPED:
            return [Rule(place=Place.BORDER, act=Act.DROP, abroad=True, kinds=frozenset({Kind.HELLO}))]
        case Happening.NAME_DROPPED | Happening.NAME_RESET | Happening.NAME_RESET_SOMETIMES:
            act = Act.DROP if case.happening is Happening.NAME_DROPPED else Act.RESET
            share = 0.5 if case.happening is Happening.NAME_RESET_SOMETIMES else 1.0
            kinds = frozenset({Kind.HELLO})
            return [Rule(place=Place.BORDER, act=act, names=name, kinds=kinds, share=share, by_flow=True)]
        case Happening.ADDRESS_DROPPED | Happening.ADDRESS_RESET:
            act = Act.DROP if case.happening is Happening.ADDRESS_DROPPED else Act.RESET
            hosts = frozenset(site_of(case.platform).names)
            return [Rule(place=Place.BORDER, act=act, hosts=hosts)]
        case Happening.RESOLVER_DEAD:
            return [Rule(place=Place.RESOLVER, act=Act.DROP)]
        case Happening.NAME_DENIED:
            return [Rule(place=Place.RESOLVER, act=Act.DENY, names=name)]
        case Happening.SERVER_GONE:
            return [Rule(place=Place.SERVER, act=Act.DROP, hosts=_standing_in(_GONE))]
