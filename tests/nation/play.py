"""One scenario from beginning to end, and whether what was said is what must be said.

`judge` is pure. One wrong verdict fails a scenario, whatever comes after: a false alarm cannot be unsaid. It is played to
its end all the same, and every wrong verdict is told.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.nation.atlas import COLLECTOR
from tests.nation.centre import BROKER_PORT, Centre
from tests.nation.hearing import Said
from tests.nation.scenario import Expected, Scenario
from tests.nation.scenario.model import MOMENTS
from tests.nation.stage import PAGE, Stage

CALM_WORDS: Final = ("ok", "inconclusive")
"""What may always be said before the expected: the round during which it happened, one that does not know yet."""
HARMLESS: Final = (*CALM_WORDS, "service_down", "congestion")
"""What may be said of the other targets, which nobody blocks while a page is judged."""
_LOOK_S: Final = 0.5
_SCOPE_S: Final = 120.0
_VANTAGE_S: Final = 45.0
_SHOWN: Final = 6
_EVENT_KEYS: Final = ("rule", "proto", "direction", "to", "port", "sni", "host", "qname", "after_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a scenario came out. `seconds` is from the event to what is expected of it, None where that never came."""

    name: str
    expected: str
    got: str
    rule_id: str
    seconds: float | None
    passed: bool
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What was said after one moment: every wrong verdict, and whether what must be said was, for long enough."""

    wrong: tuple[str, ...]
    met: bool
    first_s: float | None
    """When the expected was first said, since the moment."""
    missing: str
    """What is missing, where it is not met."""


def judge(expected: Expected, said: Sequence[Said], *, event_s: float = 0.0) -> Judged:
    """Judge what `expected.who` said after its moment, in order."""
    if expected.who == "page":
        # Until the vantage has looked after a round, that round is undecided, and says so.
        said = [one for one in said if one.verdict != "inconclusive" or _is_it(expected, one)]
    first = next(
        (
            number
            for number, one in enumerate(said)
            if _is_it(expected, one) and one.at_s - event_s >= expected.after_s
        ),
        None,
    )
    wrong = Counter(
        text
        for number, one in enumerate(said)
        if (text := _wrong(expected, one, before=first is None or number < first))
    )
    return Judged(
        wrong=tuple(text if count == 1 else f"{text}, {count} times" for text, count in wrong.items()),
        met=first is not None and len(said) - first >= expected.held_for,
        first_s=None if first is None else said[first].at_s - event_s,
        missing="never said" if first is None else "not said for long enough",
    )


def _wrong(expected: Expected, said: Said, *, before: bool) -> str:
    """Return what is wrong with one verdict, said before or after the expected first was; empty where nothing is."""
    if _is_it(expected, said):
        return ""
    if not before:
        return f"then said {said.verdict} ({said.rule_id})"
    if said.verdict in CALM_WORDS or said.verdict in expected.meanwhile:
        return ""
    if said.verdict in expected.verdict:
        return f"said {said.verdict} by {said.rule_id}"
    return f"said {said.verdict} ({said.rule_id})"


def _is_wolf(expected: Expected, said: Said) -> bool:
    """Return whether a target is accused that nobody touches: one beside the page, or any where nothing is blocked."""
    if not said.about or said.verdict in HARMLESS:
        return False
    is_page = expected.who == "page" and said.about == PAGE
    something = any("blocked" in word for word in (*expected.verdict, *expected.meanwhile))
    return not is_page and (expected.who == "page" or not something)


def _is_it(expected: Expected, said: Said) -> bool:
    return said.verdict in expected.verdict and (not expected.rules or said.rule_id in expected.rules)


def play(
    scenario: Scenario,
    folder: Path,
    *,
    tell: Callable[[Said], None],
    note: Callable[[str], None],
    live: bool = False,
) -> Result:
    """Play it in the present namespaces and return how it came out; `live` notes what the censors do, too."""
    with Stage(scenario, folder, tell=tell) as stage:
        lacking = _before(stage)
        if lacking:
            return _result(scenario, stage.told.said, [], lacking)
        judged: list[Judged] = []
        wrong: list[str] = []
        for moment, expected in zip(MOMENTS[1:], scenario.expected, strict=False):
            note(f"{stage.now_s():7.1f} s  the {moment}{'' if moment == 'event' else ' event'}")
            begun = len(stage.told.said)
            judged.append(_after(stage, moment, expected, note if live else None))
            told = [f"of {one.about}: {one.verdict} ({one.rule_id})" for one in stage.told.said[begun:] if _is_wolf(expected, one)]  # fmt: skip
            wrong += [*judged[-1].wrong, *(f"said {text}" for text in dict.fromkeys(told))]
            if not judged[-1].met:
                wrong.append(f"{expected.text} {judged[-1].missing}")
        if stage.centre is not None and not wrong and stage.centre.devices() != len(stage.homes):
            wrong.append(f"the collector knows {stage.centre.devices()} of {len(stage.homes)} devices")
        return _result(scenario, stage.told.said, judged, "; ".join(wrong))


def _before(stage: Stage) -> str:
    """Wait for what must be said before the event; return what is lacking."""
    general, expected = stage.scenario.general, stage.scenario.expected[0]
    if general.before and not _await(stage, general.before, general.before_rounds):
        return f"no {general.before} before the event"
    if stage.centre is not None and stage.scenario.page is not None:
        _await_vantage(stage, stage.centre)
    if general.before and expected.who == "collector" and not _await_scope(stage):
        return "the collector did not say ok of the country before"
    return ""


def _after(stage: Stage, moment: str, expected: Expected, note: Callable[[str], None] | None) -> Judged:
    """Let a moment come, and return what was said of it, once what must be said was or its time is over."""
    event_s, begun, noted = stage.now_s(), len(stage.told.said), 0
    stage.happen(moment)
    while True:
        time.sleep(_LOOK_S)
        stage.hear()
        if note is not None:
            noted = _note_censors(stage, note, noted)
        heard = stage.told.said[begun:]
        said = [one for one in heard if one.who == expected.who and one.about in ("", PAGE)]
        judged = judge(expected, said, event_s=event_s)
        if judged.met or stage.now_s() - event_s > expected.limit_s:
            return judged


def _await_vantage(stage: Stage, centre: Centre) -> None:
    """Wait until the vantage has looked at the page, so that what is said after the event is not said without."""
    until_s = stage.now_s() + _VANTAGE_S
    while stage.now_s() < until_s and not centre.vantage_looks(PAGE):
        stage.hear()
        time.sleep(_LOOK_S)


def _await_scope(stage: Stage) -> bool:
    until_s = stage.now_s() + _SCOPE_S
    while stage.now_s() < until_s:
        stage.hear()
        if any(one.who == "collector" and one.verdict == "ok" for one in stage.told.said):
            return True
        time.sleep(_LOOK_S)
    return False


def hold(stage: Stage, after_s: float) -> str:
    """Return what to tell an operator whose shell is in the home of a scenario, its event `after_s` away."""
    home = stage.homes[0]
    return (
        f"{stage.scenario.title}\n{stage.scenario.general.why}\n\n"
        f"You are in a home on {home.access}; it happens {after_s:.0f} s from now. Try:\n"
        f"tidegauge device --plan {stage.plan} --data {stage.folder / 'mine'} --broker {COLLECTOR}:{BROKER_PORT}\n"
        f"What the censors do: {', '.join(str(path) for path in stage.logs()) or 'there is none'}\n"
        "Leaving this shell ends it all."
    )


def _note_censors(stage: Stage, note: Callable[[str], None], noted: int) -> int:
    """Note what the censors did since, at most a few lines at a time; return how many events were seen."""
    events = [(on, event) for on, censor in stage.censors.items() for event in censor.events()]
    fresh = [(on, event) for on, event in events[noted:] if event.get("did") != "count"]
    for on, event in fresh[:_SHOWN]:
        said = " ".join(f"{key}={value}" for key, value in event.items() if key in _EVENT_KEYS)
        note(f"             censor on {on}: {event.get('did')} {said}")
    if len(fresh) > _SHOWN:
        note(f"             censors: {len(fresh) - _SHOWN} more of the like")
    return len(events)


def _await(stage: Stage, verdict: str, rounds: int) -> bool:
    until_s = stage.now_s() + stage.baseline_s * rounds
    while stage.now_s() < until_s:
        stage.hear()
        if sum(one.who == "device" and one.verdict == verdict for one in stage.told.said) >= rounds:
            return True
        time.sleep(_LOOK_S)
    return False


def _result(scenario: Scenario, said: Sequence[Said], judged: Sequence[Judged], why: str) -> Result:
    last = scenario.expected[-1]
    of_last = [one for one in said if one.who == last.who]
    wanted = None if why else next((one for one in reversed(of_last) if _is_it(last, one)), None)
    heard = of_last or said
    shown = wanted or (heard[-1] if heard else None)
    return Result(
        name=scenario.name,
        expected=scenario.text,
        got=shown.verdict if shown else "nothing",
        rule_id=shown.rule_id if shown else "",
        seconds=judged[0].first_s if judged else None,
        passed=not why,
        why=why,
    )
