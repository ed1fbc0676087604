"""Plays a truth: the country on the virtual clock, and all that its devices and its collector say meanwhile.

A play depends on its truth alone. Nothing here judges what is said: that is the oracle's.
"""

import random
import tempfile
from bisect import bisect_right
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from firmware.net.host_view import Host
from firmware.plans.load import load
from tests.country.centre import Centre, CountrySaid
from tests.country.delivery import Delivery
from tests.country.device import HomeDevice, RoundHeard, Standing, edges
from tests.country.faults import crosses_of, rules_of
from tests.country.hosts import Hosts, home_host
from tests.country.internet import Internet
from tests.country.lean import lean
from tests.country.lines import QUALITIES, Line, LineQuality
from tests.country.passages import SECOND, VANTAGE
from tests.country.rehearsal import rehearsed
from tests.country.repertoire import Bearing
from tests.country.sockets import Machine, Machines
from tests.country.truth import Home, Ill, Truth, Wrong, clock
from tests.country.virtual_time import NS, Agenda, VirtualClock, VirtualLoop, virtual

_VANTAGE_LINE: Final = LineQuality(
    name="vantage",
    delay_up_ms=3,
    delay_down_ms=3,
    jitter_ms=0.5,
    rate_up_kbit=1_000_000,
    rate_down_kbit=1_000_000,
)
_MEMORY: Final = Path("/dev/shm")
"""Where the databases are, if there is such a place: nothing here tries a disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSpoken:
    """What a device said of one round: from when to when that was, the word, the rule, and what it said of platforms.

    `targets` are a platform's name, word, rule and confidence each.
    """

    home: int
    since_s: float
    until_s: float
    verdict: str
    rule_id: str
    targets: tuple[tuple[str, str, str, str], ...] = ()
    confidence: str = ""


@dataclass(slots=True, kw_only=True)
class Story:
    """All that was said in a country."""

    rounds: list[RoundSpoken] = field(default_factory=list)
    country: list[CountrySaid] = field(default_factory=list)
    later: list[CountrySaid] = field(default_factory=list)
    """What was said of the country's earlier moments once more had come in."""
    intake_s: list[float] = field(default_factory=list)
    """When the collector took something in."""


def play(
    truth: Truth,
    *,
    tell: Callable[[str], None] = lambda _line: None,
    at_end: Callable[[Path], object] = lambda _centre: None,
) -> Story:
    """Let a country live through its truth; return what was said.

    `tell` is given lines of it as it goes, `at_end` the collector's data directory when all has been lived through.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="country-", dir=_MEMORY if _MEMORY.is_dir() else None)
        )
        story = _Play(truth, Path(folder), stack, tell).run()
        at_end(Path(folder) / "centre")
        return story


class _Play:
    """One play on its way."""

    def __init__(self, truth: Truth, folder: Path, stack: ExitStack, tell: Callable[[str], None]) -> None:
        self._truth = truth
        self._tell = tell
        self._story = Story()
        self._clock = VirtualClock()
        self._agenda = Agenda(self._clock)
        self._loop = VirtualLoop()
        stack.callback(self._loop.close)
        plan = load(truth.plan)
        hosts = Hosts(plan)
        lines = {
            VANTAGE: Line(quality=_VANTAGE_LINE, seed=f"{truth.seed}/vantage"),
            SECOND: Line(quality=_VANTAGE_LINE, seed=f"{truth.seed}/second"),
        }
        for home in truth.homes:
            lines[home.number] = Line(
                quality=QUALITIES[home.line],
                seed=f"{truth.seed}/{home.number}",
                router_resolves=home.router_resolves,
                crosses=crosses_of(truth, home.number),
            )
        internet = Internet(hosts, lines, rules_of(truth), seed=str(truth.seed))
        machines = Machines(self._clock, self._loop, internet)
        repertoire = rehearsed(truth.plan, truth.homes)
        for one in (virtual(self._clock), machines.installed(), edges(self._clock), lean()):
            stack.enter_context(one)
        self._words: dict[int, str] = {}
        self._country = ("", "")
        outside = home_host(families=(4, 6))
        self._centre = Centre(
            folder=folder / "centre",
            country=plan.country,
            agenda=self._agenda,
            machines=machines,
            machine=Machine(home=VANTAGE, view=lambda: outside),
            second=Machine(home=SECOND, view=lambda: outside) if truth.has_second else None,
            has_vantage=truth.has_vantage,
            sweep_s=truth.sweep_s,
            said=self._country_said,
            took=lambda: self._story.intake_s.append(self._clock.since_s),
            seed=str(truth.seed),
        )
        stack.callback(self._centre.close)
        self._devices: dict[int, HomeDevice] = {}
        for home in truth.homes:
            seed = f"{truth.seed}/{home.number}"
            name = f"home{home.number:02d}seed{truth.seed:06d}"[-16:].rjust(16, "0")
            self._devices[home.number] = device = HomeDevice(
                standing=Standing(
                    name=name,
                    provider=home.provider.name,
                    kind=home.provider.kind,
                    province=home.province,
                ),
                plan=plan,
                machine=Machine(home=home.number, view=self._view_of(home)),
                machines=machines,
                agenda=self._agenda,
                delivery=Delivery(
                    home=home.number,
                    device=name,
                    internet=internet,
                    agenda=self._agenda,
                    intake=self._centre,
                    seed=seed,
                ),
                folder=folder / name,
                seed=seed,
                bearing=Bearing(
                    truth,
                    home,
                    hosts=hosts,
                    line=lines[home.number],
                    repertoire=repertoire,
                    rng=random.Random(f"{seed}/repertoire"),
                ),
                heard=self._heard_by(home.number),
            )
            stack.callback(device.close)

    def run(self) -> Story:
        """Live through it."""
        for number, device in self._devices.items():
            self._agenda.at(number * 7 * NS, device.power_on)
        for wrong in self._truth.wrongs:
            for moment_s in (wrong.since_s, wrong.until_s):
                self._agenda.at(round(moment_s * NS), self._centre.stir)
            if wrong.ill is Ill.POWER_CUT:
                self._plan_power_cut(wrong)
        self._agenda.run(round(self._truth.hours * 3600 * NS), self._loop)
        self._story.later += self._centre.said_later()
        for said in self._story.later:
            told = f"{clock(said.later_s or 0.0)} the country, of {clock(said.at_s)}: {said.verdict} ({said.rule_id})"
            self._tell(f"{told} {said.where}".rstrip())
        return self._story

    def _plan_power_cut(self, wrong: Wrong) -> None:
        for number in sorted(wrong.homes & self._devices.keys()):
            device = self._devices[number]
            self._agenda.at(round(wrong.since_s * NS), device.power_off)
            self._agenda.at(round(wrong.until_s * NS), device.power_on)

    def _view_of(self, home: Home) -> Callable[[], Host]:
        """Return how a home's device sees its own network, at the moment of asking."""
        families = QUALITIES[home.line].families
        well, down = home_host(families=families), home_host(families=families, carrier=False)
        spans = [
            (one.since_s, one.until_s)
            for one in self._truth.wrongs
            if one.ill is Ill.LINK_DOWN and home.number in one.homes
        ]

        moments_s = sorted({moment_s for span in spans for moment_s in span})
        is_down = [any(since_s <= at_s < until_s for since_s, until_s in spans) for at_s in moments_s]
        # Asked for each packet: what it is from each moment on, and first of all before any.
        views = [well, *(down if one else well for one in is_down)]

        def view() -> Host:
            return views[bisect_right(moments_s, self._clock.since_s)]

        return view

    # What is said.

    def _heard_by(self, home: int) -> Callable[[RoundHeard], None]:
        return lambda told: self._heard(home, told)

    def _heard(self, home: int, told: RoundHeard) -> None:
        spoken = RoundSpoken(
            home=home,
            since_s=told.since_s,
            until_s=told.until_s,
            verdict=told.verdict.verdict,
            rule_id=told.verdict.rule_id,
            targets=tuple(
                (one.name, str(one.verdict), one.rule_id, str(one.confidence)) for one in told.targets
            ),
            confidence=str(told.verdict.probability or ""),
        )
        self._story.rounds.append(spoken)
        if self._words.get(home) != spoken.verdict:
            self._words[home] = spoken.verdict
            self._centre.stir()
            self._tell(f"{clock(spoken.until_s)} home {home}: {spoken.verdict} ({spoken.rule_id})")

    def _country_said(self, said: CountrySaid) -> None:
        self._story.country.append(said)
        if self._country != (said.verdict, said.where):
            self._country = (said.verdict, said.where)
            self._tell(
                f"{clock(said.at_s)} the country: {said.verdict} ({said.rule_id}) {said.where}".rstrip()
            )
