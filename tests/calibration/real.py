"""Plays a case in network namespaces: the device, real packets, and the case's line and happening as a scenario.

`tree` is pure and is the scenario; `main` runs inside fresh namespaces, as `tests.calibration.many` starts it. This file must
never read what the other play brought.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests import namespaces
from tests.calibration.cases import ABROAD_MS, DOMESTIC_MS, Case, Happening, Way, draw
from tests.calibration.heard import Round, rounds_in, to_json
from tests.calibration.pace import CALM_S, LIMIT_S, QUICK_S, ROUNDS, START_S
from tests.nation.atlas import site_of
from tests.nation.country import leave_after
from tests.nation.scenario import read
from tests.nation.stage import Stage

_AMPLE_KBIT: Final = 20_000.0
"""A rate that what is asked here never fills."""
_SPARED: Final = ("www.uni.out", "www.registry.out")
_GONE: Final = "foundation"


def tree(case: Case) -> dict[str, Any]:
    """Return the case as a scenario."""
    rules: dict[str, list[dict[str, Any]]] = {
        "home": list(_line_rules(case)),
        "north": [_impaired("domestic", "both", DOMESTIC_MS)],
        "border": [_impaired("abroad", "both", ABROAD_MS - DOMESTIC_MS)],
    }
    for on, rule in _happening_rules(case):
        # Before what delays: what is stopped is stopped at once, as in the other play.
        rules.setdefault(on, []).insert(0, rule)
    changes = [{"do": "lie", "at": "north", "when": "start", **lie} for lie in _lies(case)]
    return {
        "title": case.text,
        "why": f"calibration, seed {case.seed}",
        "home": {"access": "north", "families": list(case.families), "cached": True},
        "censor": [{"on": on, "when": "start", "rule": made} for on, made in rules.items() if made],
        "change": changes,
        "expected": {"verdict": "ok"},
    }


def _line_rules(case: Case) -> Iterator[dict[str, Any]]:
    if case.hole_bytes:
        match = {"direction": "down", "larger_than": case.hole_bytes}
        yield {"name": "hole", "match": match, "do": "drop"}
    if case.bursts is not None:
        bursts = case.bursts
        yield {
            "name": "bursts",
            "match": {"share": bursts.loss, "lot": "packets", "seed": case.seed},
            "do": "drop",
            "from_s": bursts.first_s,
            "until_s": bursts.first_s + bursts.lasts_s,
            "every_s": bursts.every_s,
        }
    for direction, way in (("up", case.up), ("down", case.down)):
        if way.rate_kbit < _AMPLE_KBIT:
            yield {
                "name": f"rate {direction}",
                "match": {"direction": direction},
                "do": "throttle",
                "how": "shape",
                "rate_bit_s": round(way.rate_kbit * 1000),
                "burst_bytes": 1500,
            }
        yield _impaired(f"line {direction}", direction, way.delay_ms, way=way, seed=case.seed)


def _impaired(
    name: str, direction: str, delay_ms: float, *, way: Way | None = None, seed: int = 1
) -> dict[str, Any]:
    rule: dict[str, Any] = {"name": name, "match": {"direction": direction}, "do": "impair", "seed": seed}
    half_ms = 0.0 if way is None else way.jitter_ms / 2
    return {
        **rule,
        "delay_ms": delay_ms + half_ms,
        "jitter_ms": half_ms,
        "loss": 0.0 if way is None else way.loss,
    }


def _happening_rules(  # noqa: C901, PLR0912  # a case for each happening
    case: Case,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield on which link stands which rule; of one link, the last first."""

    def rule(do: str, **match: Any) -> dict[str, Any]:
        return {"name": case.happening.value, "match": match, "do": do}

    spared = [address for name in _SPARED for address in site_of(name).addresses]
    match case.happening:
        case Happening.CUT_DROP:
            yield "border", rule("drop")
        case Happening.CUT_RESET:
            yield "border", rule("reset")
        case Happening.FOUR_CUT:
            yield "border", rule("drop", to="0.0.0.0/0")
        case Happening.ALLOW_LIST:
            yield "border", rule("drop")
            # A forward would keep the delay behind it from holding: what goes on is delayed with it.
            yield "border", {**rule("forward", to=spared), "name": "spared"}
            yield (
                "border",
                {**_impaired("spared, delayed", "both", ABROAD_MS - DOMESTIC_MS), "match": {"to": spared}},
            )
        case Happening.DARK:
            yield "home", rule("drop")
        case Happening.TLS_DROPPED:
            yield "border", rule("drop", sni="*")
        case Happening.NAME_DROPPED:
            yield "border", rule("drop", sni=case.platform)
        case Happening.NAME_RESET:
            yield "border", rule("reset", sni=case.platform)
        case Happening.NAME_RESET_SOMETIMES:
            yield "border", rule("reset", sni=case.platform, share=0.5, seed=case.seed)
        case Happening.ADDRESS_DROPPED:
            yield "border", rule("drop", to=list(site_of(case.platform).addresses))
        case Happening.ADDRESS_RESET:
            yield "border", rule("reset", to=list(site_of(case.platform).addresses))
        case Happening.SERVER_GONE:
            yield _GONE, rule("drop")
        case _:
            return


def _lies(case: Case) -> Iterator[dict[str, Any]]:
    if case.happening is Happening.RESOLVER_DEAD:
        yield {"name": "*", "silent": True}
    if case.happening is Happening.NAME_DENIED:
        yield {"name": case.platform, "rcode": "NXDOMAIN"}


def play(case: Case, folder: Path) -> list[Round]:
    """Play it in the present namespaces; return its rounds."""
    scenario = read(f"case-{case.seed}", tree(case))
    with Stage(scenario, folder, tell=lambda _said: None, calm_s=CALM_S, quick_s=QUICK_S) as stage:
        outbox = stage.devices[0].data / "outbox.sqlite3"
        until_s, has_begun = stage.now_s() + START_S, False
        while stage.now_s() < until_s and sum(said.who == "device" for said in stage.told.said) < ROUNDS:
            if not has_begun and outbox.exists():
                until_s, has_begun = stage.now_s() + LIMIT_S, True
            stage.hear()
            time.sleep(0.25)
        return rounds_in(outbox)


def main(arguments: list[str]) -> int:
    """Play one case, and write its rounds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--outside", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--result", type=Path, required=True)
    options = parser.parse_args(arguments)
    namespaces.settle_in(options.outside)
    with tempfile.TemporaryDirectory(prefix="calibration-") as made:
        rounds = play(draw(options.seed), Path(made))
    options.result.write_text(json.dumps(to_json(rounds)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    leave_after(main)
