"""One scenario from beginning to end, and whether what was said is what must be said.

`judge` is pure. A scenario fails at the first wrong verdict, whatever comes after: a false alarm cannot be unsaid.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.nation.atlas import COLLECTOR
from tests.nation.centre import BROKER_PORT, Centre
from tests.nation.scenario import Expected, Scenario
from tests.nation.stage import BASELINE_S, PAGE, Said, Stage

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
    """How a scenario came out. `seconds` is from the event to the expected verdict, None where it never came."""

    name: str
    expected: str
    got: str
    rule_id: str
    seconds: float | None
    passed: bool
    why: str = ""


def judge(
    expected: Expected, said: Sequence[Said], *, event_s: float = 0.0, over: bool
) -> tuple[bool, str] | None:
    """Return whether the scenario is passed, and why not; None while that is open.

    `said` is what `expected.who` said after the event, in order; `over` says that nothing more will come.
    """
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
    for number, one in enumerate(said):
        before = first is None or number < first
        if before and one.verdict not in (*CALM_WORDS, *expected.meanwhile, *expected.verdicts):
            return False, f"said {one.verdict} ({one.rule_id})"
        if (
            before
            and one.verdict in expected.verdicts
            and not _is_it(expected, one)
            and one.verdict not in CALM_WORDS
        ):
            return False, f"said {one.verdict} by {one.rule_id}"
        if not before and not _is_it(expected, one):
            return False, f"then said {one.verdict} ({one.rule_id})"
    if first is not None and len(said) - first >= expected.rounds:
        return True, ""
    if over:
        return False, "never said" if first is None else "not said for long enough"
    return None


def _is_wolf(expected: Expected, said: Said) -> bool:
    """Return whether a target is accused that nobody touches: one beside the page, or any where nothing is blocked."""
    if not said.about or said.verdict in HARMLESS:
        return False
    is_page = expected.who == "page" and said.about == PAGE
    something = any(word.startswith("blocked") for word in expected.verdicts)
    return not is_page and (expected.who == "page" or not something)


def _is_it(expected: Expected, said: Said) -> bool:
    return said.verdict in expected.verdicts and (not expected.rules or said.rule_id in expected.rules)


def play(
    scenario: Scenario,
    folder: Path,
    *,
    tell: Callable[[Said], None],
    note: Callable[[str], None],
    live: bool = False,
) -> Result:
    """Play it in the present namespaces and return how it came out; `live` notes what the censors do, too."""
    expected = scenario.expected
    with Stage(scenario, folder, tell=tell) as stage:
        if scenario.before and not _await(stage, scenario.before, scenario.before_rounds):
            return _result(scenario, stage.told.said, None, f"no {scenario.before} before the event")
        if stage.centre is not None and scenario.page is not None:
            _await_vantage(stage, stage.centre)
        if scenario.before and expected.who == "collector" and not _await_scope(stage):
            return _result(
                scenario, stage.told.said, None, "the collector did not say ok of the country before"
            )
        event_s = stage.now_s()
        stage.happen("event")
        note(f"{event_s:7.1f} s  the event")
        noted = 0
        begun = len(stage.told.said)
        while True:
            time.sleep(_LOOK_S)
            stage.hear()
            if live:
                noted = _note_censors(stage, note, noted)
            heard = stage.told.said[begun:]
            wolf = next((one for one in heard if _is_wolf(expected, one)), None)
            if wolf is not None:
                why = f"said {wolf.verdict} ({wolf.rule_id}) of {wolf.about}"
                return _result(scenario, [wolf], None, why)
            said = [one for one in heard if one.who == expected.who and one.about in ("", PAGE)]
            over = stage.now_s() - event_s > expected.limit_s
            judged = judge(expected, said, event_s=event_s, over=over)
            if judged is not None:
                passed, why = judged
                if passed and stage.centre is not None and stage.centre.devices() != len(stage.homes):
                    passed, why = (
                        False,
                        f"the collector knows {stage.centre.devices()} of {len(stage.homes)} devices",
                    )
                since = [one.at_s - event_s for one in said if _is_it(expected, one)]
                first = next((seconds for seconds in since if seconds >= expected.after_s), None)
                return _result(scenario, said, first, why, passed=passed)


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
        f"{stage.scenario.title}\n{stage.scenario.why}\n\n"
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
    until_s = stage.now_s() + BASELINE_S * rounds
    while stage.now_s() < until_s:
        stage.hear()
        if sum(one.who == "device" and one.verdict == verdict for one in stage.told.said) >= rounds:
            return True
        time.sleep(_LOOK_S)
    return False


def _result(
    scenario: Scenario, said: Sequence[Said], seconds: float | None, why: str, *, passed: bool = False
) -> Result:
    wanted = next((one for one in said if _is_it(scenario.expected, one)), None) if passed else None
    shown = wanted or (said[-1] if said else None)
    return Result(
        name=scenario.name,
        expected=scenario.expected.text,
        got=shown.verdict if shown else "nothing",
        rule_id=shown.rule_id if shown else "",
        seconds=seconds,
        passed=passed,
        why=why,
    )
