"""Plays one scenario: builds the country, starts devices and what they need, lets it happen, hears what is said.

Runs inside namespaces made for it (`tests.nation.inside`). It must never judge by itself: verdicts are read from
the device's own `ladder` records, and from the collector.
"""

import datetime as dt
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from appliance.outbox.box import Outbox
from tests import namespaces
from tests.english import lines
from tests.nation.atlas import BY_NAME, COLLECTOR, COUNTRY, NEXT_DOOR
from tests.nation.censor.process import Censor
from tests.nation.centre import BROKER_PORT, Centre
from tests.nation.changes import CHANGES, Scene
from tests.nation.country import Country
from tests.nation.device import Device
from tests.nation.scenario import Scenario
from tests.nation.toml_text import rules_text
from tests.nation.wiring import Home

PLAN: Final = Path(__file__).with_name("plan.toml")
CALM_S: Final = 5
QUICK_S: Final = 2
BASELINE_S: Final = 60.0
SCOPE_AGAIN_S: Final = 10.0
NEXT_DOOR_PLAN: Final = "next-door.toml"
PAGE: Final = "page"
"""The name of the scenario's page in the plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One verdict: who said it, about which target (empty: the whole line), when since the beginning, by which rule."""

    who: str
    about: str = ""
    at_s: float
    verdict: str
    rule_id: str
    evidence: tuple[str, ...] = ()


@dataclass(slots=True)
class Told:
    """All that was said, in order; `tell` is called with each as it comes."""

    tell: Callable[[Said], None]
    said: list[Said] = field(default_factory=list)

    def add(self, said: Said) -> None:
        """Take one."""
        self.said.append(said)
        self.tell(said)


class Stage:
    """A scenario's country, running. Enter it, let its event `happen`, and `hear`.

    `calm_s` and `quick_s` are the device's cadence. With `rehearsal` there is a collector and no device in the first home: an operator's own comes there.
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
        self.told = Told(tell)
        self._rehearsal = rehearsal
        self._calm_s, self._quick_s = calm_s, quick_s
        self.censors: dict[str, Censor] = {}
        self.devices: list[Device] = []
        self.homes = [
            Home(
                number=1,
                access=scenario.access,
                node="",
                families=scenario.families,
                province=scenario.province,
            ),
            *(
                Home(number=number, access=one.access, node=f"device{number}", province=one.province)
                for number, one in enumerate(scenario.devices, start=2)
            ),
        ]
        self.centre: Centre | None = None
        self._heard_round = 0
        self._ask_s = 0.0
        self._scope_said, self._scope_s = ("", ""), 0.0
        self._targets_said: dict[tuple[str, str], tuple[str, str, str]] = {}
        self._told_rounds = 0
        self._stack = ExitStack()
        self._began_s = time.monotonic()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._build(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def now_s(self) -> float:
        """Return the seconds since the stage began."""
        return time.monotonic() - self._began_s

    def happen(self, when: str) -> None:
        """Let what the scenario has for `when` come true."""
        for change in self.scenario.changes:
            if change.when == when:
                CHANGES[change.do].do(self._scene, change.given)
        for censor in self.scenario.censors:
            if censor.when == when:
                self.censors[censor.on].change(rules_text(self._rules(censor.on, when)))

    def relent(self) -> None:
        """Let every censor pass everything from now on."""
        for censor in self.censors.values():
            censor.change("")

    def hear(self) -> None:
        """Take in what the device and the collector have said since."""
        self._hear_device()
        if self.centre is not None and self.now_s() >= self._ask_s:
            self._ask_s = self.now_s() + 1
            self._hear_targets(self.centre)
            self._hear_scope(self.centre)

    def _hear_device(self) -> None:
        device = self.devices[0]
        if sum(line.startswith("verdict ") for line in device.lines) <= self._told_rounds:
            return  # looking at the outbox is for when there is something new
        self._told_rounds += 1
        with Outbox.open_read_only(device.data / "outbox.sqlite3") as outbox:
            for record in reversed(outbox.recent_rounds(200)):
                number = record.round_id or 0
                if record.verdict is None or number <= self._heard_round:
                    continue
                self._heard_round = number
                self.told.add(
                    Said(
                        who="device",
                        at_s=self.now_s(),
                        verdict=record.verdict.verdict,
                        rule_id=record.verdict.rule_id,
                        evidence=lines(record.verdict),
                    )
                )

    def _hear_targets(self, centre: Centre) -> None:
        """Take in the collector's verdicts: again for the same round when a vantage has come since."""
        for one in centre.targets():
            said = (one.round, one.verdict, one.rule_id)
            if self._targets_said.get((one.device, one.target_name)) == said:
                continue
            self._targets_said[(one.device, one.target_name)] = said
            self.told.add(
                Said(
                    who="page",
                    about=one.target_name,
                    at_s=self.now_s(),
                    verdict=one.verdict,
                    rule_id=one.rule_id,
                    evidence=one.evidence,
                )
            )

    def _hear_scope(self, centre: Centre) -> None:
        """Take in the collector's verdict on the country: when it is another than before, and now and then."""
        verdict, rule_id, evidence = centre.scope(COUNTRY)
        is_new = (verdict, rule_id) != self._scope_said
        if verdict and (is_new or self.now_s() - self._scope_s >= SCOPE_AGAIN_S):
            self._scope_said, self._scope_s = (verdict, rule_id), self.now_s()
            self.told.add(
                Said(who="collector", at_s=self.now_s(), verdict=verdict, rule_id=rule_id, evidence=evidence)
            )

    def logs(self) -> list[Path]:
        """Return the files in which the censors write what they do."""
        return [self.folder / f"censor-{on}.log" for on in self.censors]

    def _rules(self, on: str, when: str) -> list[Mapping[str, Any]]:
        """Return what is in force on one link: what was from the start, and what the event adds."""
        whens = ("start",) if when == "start" else ("start", "event")
        return [
            rule
            for censor in self.scenario.censors
            if censor.on == on and censor.when in whens
            for rule in censor.rules
        ]

    def _build(self, stack: ExitStack) -> None:
        scenario = self.scenario
        self.country = Country(
            self.folder,
            homes=self.homes,
            walls={censor.on for censor in scenario.censors},
            ahead=dt.timedelta(days=scenario.ahead_days),
            dead=scenario.dead,
            dns64=scenario.dns64,
        )
        self.country.begin()
        for on in sorted({censor.on for censor in scenario.censors}):
            with namespaces.inside(f"wall-{on}"):
                made = Censor(("inside", "outside"), rules_text([]), self.folder / f"censor-{on}.log")
                self.censors[on] = stack.enter_context(made)
        if scenario.cached:  # every censor stands by now, and lets all pass
            self.country.learn(scenario.access)
        # Never closed: what stands on the way ends with the process, as the country does.
        self._scene = Scene(country=self.country, homes=tuple(self.homes), stack=ExitStack())
        plans = self.folder / "plans"
        plans.mkdir()
        self.plan = plans / "plan.toml"
        text = self._plan_text()
        self.plan.write_text(text, encoding="utf-8")
        next_door = text.replace(f'country = "{COUNTRY}"', f'country = "{NEXT_DOOR}"')
        (plans / NEXT_DOOR_PLAN).write_text(next_door, encoding="utf-8")
        if scenario.collector or self._rehearsal:
            centre = Centre(self.folder / "centre", plans, environment=self.country.trusted)
            self.centre = stack.enter_context(centre)
        self._settle_home()
        self.happen("start")
        for home in self.homes[1:] if self._rehearsal else self.homes:
            self.devices.append(stack.enter_context(self._device(home)))

    def _settle_home(self) -> None:
        """Give the caller's own namespace, the first home, what its network would: resolvers, and leave to ping."""
        namespaces.open_ping()
        text = self.country.resolv_conf(self.homes[0], *self.scenario.resolvers)
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
            f"[schedule]\ncalm_s = {self._calm_s}\ntransition_s = {self._quick_s}\nbudget_bytes_per_day = 1_000_000_000\n"
            f'[broker]\nhost = "{COLLECTOR}"\nport = {BROKER_PORT}\nretry_max_s = 5\n',
            encoding="utf-8",
        )
        servers = self.scenario.resolvers if home.number == 1 else ()
        resolv_conf = self.country.resolv_conf(home, *servers)
        with namespaces.inside(home.node) if home.node else nullcontext():
            namespaces.open_ping()
            running = Device(folder, settings, environment=self.country.trusted, resolv_conf=resolv_conf)
        with running:
            yield running

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
