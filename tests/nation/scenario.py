"""A scenario: a short file that says what goes wrong in the made country, and what must be said of it. Pure.

`load` reads one of `scenarios/*.toml` and refuses whatever is not known, with its place and what is allowed. It
must never touch a network: `tests.nation.stage` does what is written here.
"""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from firmware.model.verdict_words import VerdictWord
from tests.nation.atlas import ACCESS, BY_NAME
from tests.nation.changes import CHANGES
from tests.nation.sites import FAULTS
from tests.nation.wiring import HOME

SCENARIOS: Final = Path(__file__).with_name("scenarios")
Table: TypeAlias = Mapping[str, Any]

_TOP: Final = {
    "title",
    "why",
    "home",
    "censor",
    "change",
    "page",
    "expected",
    "before",
    "before_rounds",
    "collector",
    "ahead_days",
    "dead",
    "device",
}
_HOME: Final = {"access", "families", "resolvers", "dns64", "province", "cached"}
_EXPECTED: Final = {"who", "verdict", "rules", "rounds", "limit_s", "meanwhile", "after_s"}
_HOME_LINKS: Final = (HOME, *(f"{HOME}{number}" for number in range(2, 10)))
WHENS: Final = ("start", "event")


class ScenarioError(ValueError):
    """A scenario file cannot be used: where, what was found, what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CensorAt:
    """A censor on the link above `on`, with `rules` in the censor's own form, in force from `when`."""

    on: str
    when: str
    rules: tuple[Table, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that changes in the country: `do` is one of the words of `tests.nation.changes.CHANGES`, `given` its keys."""

    do: str
    when: str
    given: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A web page the device also measures whole, and of which a verdict is asked."""

    url: str
    options: Table
    instead_of: tuple[str, ...]
    """Platforms that make room for it in the round's bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceAt:
    """A further device: its access network, and the province its operator typed."""

    access: str
    province: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What must be said: by `who`, one of the words in `verdicts`, by one of `rules` (any where empty).

    `rounds` is for how many rounds after the event it must hold. `meanwhile` are further words that may come
    before it, beside `ok` and `inconclusive`; any other is a wrong verdict, and fails the scenario.
    """

    who: str
    verdicts: tuple[str, ...]
    rules: tuple[str, ...]
    rounds: int
    limit_s: float
    meanwhile: tuple[str, ...]
    after_s: float = 0.0
    """What is said sooner after the event than this is not counted as the expected."""

    @property
    def text(self) -> str:
        """Return it as the table shows it."""
        return "/".join(self.verdicts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One scenario. `devices` are those beside the first; `collector` says whether one runs.

    `before` is the verdict awaited, `before_rounds` times, before the event.
    """

    name: str
    title: str
    why: str
    access: str
    families: tuple[int, ...]
    resolvers: tuple[str, ...]
    dns64: bool
    cached: bool
    """Whether the provider's resolver has every name in its cache."""
    ahead_days: int
    dead: tuple[str, ...]
    province: str
    devices: tuple[DeviceAt, ...]
    censors: tuple[CensorAt, ...]
    changes: tuple[Change, ...]
    page: Page | None
    before: str
    before_rounds: int
    collector: bool
    expected: Expected


def names() -> list[str]:
    """Return the names of all scenarios."""
    return sorted(path.stem for path in SCENARIOS.glob("*.toml"))


def load(name: str) -> Scenario:
    """Return the scenario `name`. Raises `ScenarioError`."""
    path = SCENARIOS / f"{name}.toml"
    if not path.exists():
        raise ScenarioError(
            f"scenario {name}: no such file; `python -m tests.nation list` shows what there is"
        )
    try:
        return read(name, tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path.name}: {error}") from error


def read(name: str, tree: Table) -> Scenario:
    """Return the scenario written as `tree`. Raises `ScenarioError`."""
    _known(name, "", tree, _TOP)
    home = tree.get("home", {})
    _known(name, "home", home, _HOME)
    expected = tree.get("expected", {})
    _known(name, "expected", expected, _EXPECTED)
    access = _one(name, "home.access", home.get("access", "north"), ACCESS)
    page = tree.get("page")
    return Scenario(
        name=name,
        title=_text(name, tree, "title"),
        why=_text(name, tree, "why"),
        access=access,
        families=tuple(home.get("families", (4, 6))),
        resolvers=tuple(home.get("resolvers", ())),
        dns64=bool(home.get("dns64", False)),
        cached=bool(home.get("cached", False)),
        ahead_days=int(tree.get("ahead_days", 0)),
        dead=tuple(tree.get("dead", ())),
        province=str(home.get("province", "")),
        devices=tuple(_device(name, one) for one in tree.get("device", ())),
        censors=tuple(_censor(name, one) for one in tree.get("censor", ())),
        changes=tuple(_change(name, one) for one in tree.get("change", ())),
        page=None if page is None else _page(name, page),
        before=tree.get("before", "ok"),
        before_rounds=int(tree.get("before_rounds", 1)),
        collector=bool(tree.get("collector", False)) or expected.get("who", "device") != "device",
        expected=_expected(name, expected),
    )


def _expected(name: str, given: Table) -> Expected:
    words = given.get("verdict", ())
    verdicts = (words,) if isinstance(words, str) else tuple(words)
    for word in (*verdicts, *given.get("meanwhile", ())):
        _one(name, "expected.verdict", word, tuple(VerdictWord))
    if not verdicts:
        raise ScenarioError(
            f"{name}: expected.verdict: found nothing; allowed is a verdict's word or several"
        )
    quiet = bool(set(verdicts) & {"ok", "inconclusive"})  # said too easily in one round
    return Expected(
        who=_one(name, "expected.who", given.get("who", "device"), ("device", "page", "collector")),
        verdicts=verdicts,
        rules=tuple(given.get("rules", ())),
        rounds=int(given.get("rounds", 3 if quiet else 1)),
        limit_s=float(given.get("limit_s", 180)),
        meanwhile=tuple(given.get("meanwhile", ())),
        after_s=float(given.get("after_s", 0)),
    )


def _device(name: str, given: Table) -> DeviceAt:
    _known(name, "device", given, {"access", "province"})
    access = _one(name, "device.access", given.get("access"), ACCESS)
    return DeviceAt(access=access, province=str(given.get("province", "")))


def _censor(name: str, given: Table) -> CensorAt:
    _known(name, "censor", given, {"on", "when", "rule"})
    return CensorAt(
        on=_one(name, "censor.on", given.get("on"), (*BY_NAME, *_HOME_LINKS)),
        when=_one(name, "censor.when", given.get("when", "event"), WHENS),
        rules=tuple(given.get("rule", ())),
    )


def _change(name: str, given: Table) -> Change:
    do = _one(name, "change.do", given.get("do"), tuple(CHANGES))
    rest = {key: value for key, value in given.items() if key not in ("do", "when")}
    _known(name, f"change {do}", rest, CHANGES[do].keys)
    if do == "site":
        _one(name, "change.fault", rest.get("fault"), tuple(FAULTS))
    return Change(do=do, when=_one(name, "change.when", given.get("when", "event"), WHENS), given=rest)


def _page(name: str, given: Table) -> Page:
    _known(name, "page", given, {"url", "options", "instead_of"})
    return Page(
        url=_text(name, given, "url"),
        options=given.get("options", {}),
        instead_of=tuple(given.get("instead_of", ())),
    )


def _known(name: str, place: str, given: Table, allowed: Collection[str]) -> None:
    unknown = sorted(set(given) - set(allowed))
    if unknown:
        where = f"{place}: " if place else ""
        raise ScenarioError(
            f"{name}: {where}found {', '.join(unknown)}; allowed is {', '.join(sorted(allowed))}"
        )


def _one(name: str, place: str, found: object, allowed: tuple[str, ...]) -> str:
    if not isinstance(found, str) or found not in allowed:
        raise ScenarioError(f"{name}: {place}: found {found!r}; allowed is one of {', '.join(allowed)}")
    return str(found)


def _text(name: str, given: Table, key: str) -> str:
    found = given.get(key)
    if not isinstance(found, str) or not found:
        raise ScenarioError(f"{name}: {key}: found {found!r}; allowed is a text")
    return found
