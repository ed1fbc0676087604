"""Plays one scenario: builds the country, starts devices and what they need, lets it happen, hears what is said.

Runs inside namespaces made for it (`tests.nation.inside`). It must never judge by itself: verdicts are read from
the device's own `ladder` records, and from the collector.
"""

import datetime as dt
import heapq
import itertools
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final, Self

from tests import namespaces
from tests.nation.atlas import BY_NAME, COLLECTOR, COUNTRY, HOME_OUTER, NEXT_DOOR
from tests.nation.censor.process import Censor
from tests.nation.centre import BROKER_PORT, SWEEP_S, Centre
from tests.nation.changes import CHANGES, Scene
from tests.nation.country import Country
from tests.nation.device import Device
from tests.nation.hearing import Ear, Said, Told
from tests.nation.links import Links
from tests.nation.scenario import Change, Scenario
from tests.nation.wiring import HOME, Home

PLAN: Final = Path(__file__).with_name("plan.toml")
CALM_S: Final = 5
QUICK_S: Final = 2
BASELINE_S: Final = 60.0
_SHIPPED_CALM_S: Final = 180.0
"""The made country's plan has this from round to round, as the country plans that ship."""
NEXT_DOOR_PLAN: Final = "next-door.toml"
PAGE: Final = "page"
"""The name of the scenario's page in the plan."""


class Stage:
    """A scenario's country, running. Enter it, let its event `happen`, and `hear`.

    `calm_s` and `quick_s` are the devices' cadence, unless the scenario says theirs is as shipped. With `rehearsal` there is a collector and no device in the first home: an operator's own comes there.
    """

    def __init__(
        self,
        scenario: Scenario,
        folder: Path,
        *,
        tell: Callable[[Said], None],
        rehearsal: bool = False,
        calm_s: int = CALM_S,
        quick_s: int = QUICK_S,
    ) -> None:
        self.scenario = scenario
        self.folder = folder
        self._began_s = time.monotonic()
        self.told = Told(tell)
        self._rehearsal = rehearsal
        self._pace = None if scenario.general.cadence == "shipped" else (calm_s, quick_s)
        self.censors: dict[str, Censor] = {}
        self.devices: list[Device] = []
        first = scenario.home
        self.homes = [
            Home(
                number=1,
                access=first.access,
                node="",
                families=first.families,
                province=first.province,
                outer=self._outer(HOME, 1, first.access),
            ),
            *(
                Home(
                    number=number,
                    access=one.access,
                    node=f"device{number}",
                    province=one.province,
                    outer=self._outer(f"{HOME}{number}", number, one.access),
                )
                for number, one in enumerate(scenario.devices, start=2)
            ),
        ]
        self._links = Links(scenario, self.homes)
        self._coming: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self.centre: Centre | None = None
        self._ear = Ear(self.told, self.now_s)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._build(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def baseline_s(self) -> float:
        """Return how long a round may be waited for, at the pace of the devices."""
        return BASELINE_S if self._pace is not None else BASELINE_S + _SHIPPED_CALM_S

    def now_s(self) -> float:
        """Return the seconds since the stage began."""
        return time.monotonic() - self._began_s

    def happen(self, moment: str) -> None:
        """Let what the scenario has for a moment come true: at once, or later, which `hear` sees to."""
        for change in self.scenario.changes:
            if change.timing.until == moment:
                self._do(change, undo=True)
        for change in self.scenario.changes:
            if change.timing.when == moment:
                after_s, for_s = change.timing.after_s, change.timing.for_s
                self._in(after_s, lambda change=change: self._do(change))  # type: ignore[misc]
                if for_s:
                    self._in(after_s + for_s, lambda change=change: self._do(change, undo=True))  # type: ignore[misc]
        for link, wait_s in self._links.happen(moment, self.now_s()):
            self._in(wait_s, lambda link=link: self._turn(link))  # type: ignore[misc]

    def impose(self, on: str, rules: Sequence[Mapping[str, Any]]) -> None:
        """Have `rules` on a link from now on, beside what the scenario has there; instead of those imposed before."""
        self._links.impose(on, rules)
        self._turn(on)

    def hear(self) -> None:
        """Take in what the device and the collector have said since; let happen what is due."""
        while self._coming and self._coming[0][0] <= self.now_s():
            heapq.heappop(self._coming)[2]()
        self._ear.hear_device(self.devices[0])
        if self.centre is not None:
            self._ear.hear_centre(self.centre)

    def _outer(self, link: str, number: int, access: str) -> str:
        """Return the address that a home's router translates to, if it does."""
        is_on = any(nat.on == link for nat in self.scenario.nats)
        return BY_NAME[access].address(HOME_OUTER + number) if is_on else ""

    def _in(self, wait_s: float, act: Callable[[], None]) -> None:
        if wait_s <= 0:
            act()
        else:
            heapq.heappush(self._coming, (self.now_s() + wait_s, next(self._numbers), act))

    def _do(self, change: Change, *, undo: bool = False) -> None:
        kind = CHANGES[change.do]
        act = kind.undo if undo else kind.do
        assert act is not None
        act(self._scene, change.given)

    def _turn(self, link: str) -> None:
        self.censors[link].change(self._links.text(link, self.now_s()))

    def logs(self) -> list[Path]:
        """Return the files in which the censors write what they do."""
        return [self.folder / f"censor-{on}.log" for on in self.censors]

    def _build(self, stack: ExitStack) -> None:
        scenario = self.scenario
        self.country = Country(
            self.folder,
            homes=self.homes,
            walls=self._links.walls,
            ahead=dt.timedelta(days=scenario.general.ahead_days),
            dead=scenario.general.dead,
            dns64=scenario.home.dns64,
        )
        self.country.begin()
        for on in self._links.walls:
            with namespaces.inside(f"wall-{on}"):
                made = Censor(
                    ("inside", "outside"), self._links.text(on, 0.0), self.folder / f"censor-{on}.log"
                )
                self.censors[on] = stack.enter_context(made)
        if scenario.home.cached:  # every censor stands by now, and lets all pass
            self.country.learn(scenario.home.access)
        # Never closed: what stands on the way ends with the process, as the country does.
        self._scene = Scene(country=self.country, homes=tuple(self.homes), stack=ExitStack())
        plans = self.folder / "plans"
        plans.mkdir()
        self.plan = plans / "plan.toml"
        text = self._plan_text()
        self.plan.write_text(text, encoding="utf-8")
        next_door = text.replace(f'country = "{COUNTRY}"', f'country = "{NEXT_DOOR}"')
        (plans / NEXT_DOOR_PLAN).write_text(next_door, encoding="utf-8")
        if scenario.has_collector or self._rehearsal:
            is_quick = scenario.general.sweep == "quick"
            second = scenario.second_vantage
            centre = Centre(
                self.folder / "centre",
                plans,
                environment=self.country.trusted,
                sweep_s=SWEEP_S if is_quick else None,
                second="" if second is None else second.network,
            )
            self.centre = stack.enter_context(centre)
        self._settle_home()
        self.happen("start")
        for home in self.homes[1:] if self._rehearsal else self.homes:
            self.devices.append(stack.enter_context(self._device(home)))

    def _settle_home(self) -> None:
        """Give the caller's own namespace, the first home, what its network would: resolvers, and leave to ping."""
        namespaces.open_ping()
        text = self.country.resolv_conf(self.homes[0], *self.scenario.home.resolvers)
        namespaces.write_file("/etc/resolv.conf", text)

    @contextmanager
    def _device(self, home: Home) -> Iterator[Device]:
        folder = self.folder / f"device{home.number}"
        folder.mkdir()
        settings = folder / "device.toml"
        network = BY_NAME[home.access]
        plan = self.plan.with_name(NEXT_DOOR_PLAN) if home.access == "neighbour" else self.plan
        settings.write_text(
            f'data = "{folder / "data"}"\nplan = "{plan}"\nprovince = "{home.province}"\n'
            f'provider = "{network.label}"\n'
            f'network_kind = "{"mobile" if network.kind == "mobile" else "fixed"}"\n'
            f"{self._schedule()}"
            f'[broker]\nhost = "{COLLECTOR}"\nport = {BROKER_PORT}\nretry_max_s = 5\n',
            encoding="utf-8",
        )
        servers = self.scenario.home.resolvers if home.number == 1 else ()
        resolv_conf = self.country.resolv_conf(home, *servers)
        with namespaces.inside(home.node) if home.node else nullcontext():
            namespaces.open_ping()
            running = Device(folder, settings, environment=self.country.trusted, resolv_conf=resolv_conf)
        with running:
            yield running

    def _schedule(self) -> str:
        if self._pace is None:
            return ""
        calm_s, quick_s = self._pace
        return f"[schedule]\ncalm_s = {calm_s}\ntransition_s = {quick_s}\nbudget_bytes_per_day = 100_000_000_000\n"

    def _plan_text(self) -> str:
        """Return the country's plan, with the scenario's page among the platforms."""
        text = PLAN.read_text(encoding="utf-8")
        page = self.scenario.page
        if page is None:
            return text
        for name in page.instead_of:
            text = re.sub(rf'\[\[target\]\]\nname = "{name}"\n.*?\n\n', "", text, flags=re.DOTALL)
        options = {"body_cap": 4096, "addresses": 1, **page.options}
        shown = ", ".join(f"{key} = {json.dumps(value)}" for key, value in options.items())
        return text + (
            f'\n[[target]]\nname = "{PAGE}"\nrung = "platforms"\nzone = "international"\n'
            f'test = "web_connectivity"\ntarget = {json.dumps(page.url)}\noptions = {{ {shown} }}\n'
            'network = { asn = 65054, name = "A web host" }\nsource = "the scenario"\nwhy = "the scenario"\n'
        )
