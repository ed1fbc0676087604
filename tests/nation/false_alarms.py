"""The false-alarm drill: a day of an ugly but free network, in which nobody may be accused.

What is compressed: time between rounds. A device of the plan's cadence makes a round in 180 s; here the next one begins
about a second after the last has ended, and the weather changes from round to round as if 180 s had passed. What is
not: every socket, packet, time-out, loss and delay is real, and so are the device, its collector and the vantage
outside. The past that rules ask for is closer here than in a real day, so what they confirm by a round before is
confirmed more readily: a harder trial, not an easier one.
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from firmware.model.verdict_words import VerdictWord
from tests import namespaces
from tests.nation.country import leave_after
from tests.nation.hearing import Said
from tests.nation.scenario import Scenario, read
from tests.nation.stage import Stage
from tests.nation.weather import Drop, Weather, day
from tests.nation.wiring import HOME

ALARMS: Final = frozenset(
    {
        VerdictWord.ISP_OR_WIDER_OUTAGE,
        VerdictWord.INTERNATIONAL_CUT,
        VerdictWord.PROTOCOL_FILTERING,
        VerdictWord.BLOCKED_DNS,
        VerdictWord.BLOCKED_TCP,
        VerdictWord.BLOCKED_TLS,
        VerdictWord.BLOCKED_HTTP,
        VerdictWord.THROTTLED_TARGETED,
        VerdictWord.THROTTLED_GENERAL,
        VerdictWord.ISP_OUTAGE,
        VerdictWord.TOTAL_SHUTDOWN,
        VerdictWord.MOBILE_SHUTDOWN,
        VerdictWord.PARTIAL_SHUTDOWN,
        VerdictWord.PLATFORM_BLOCKED,
        VerdictWord.REGIONAL_SHUTDOWN,
        VerdictWord.TRANSIT_FAULT,
    }
)
"""No such word is right in this drill: the line itself is never dark, only bad; the Wi-Fi is, and that is local."""
_ROUND_LIMIT_S: Final = 90.0
_SITE_DOWN: Final = "www.uni.out"
_MAINTAINED: Final = "web.messenger.out"


@dataclass(slots=True)
class Tally:
    """What was said: by the device of each round, by the collector of each target of each round."""

    device: Counter[str] = field(default_factory=Counter)
    targets: Counter[str] = field(default_factory=Counter)
    alarms: list[str] = field(default_factory=list)

    def add(self, said: Said, *, of: str, number: int) -> None:
        """Count one verdict; keep it whole where it is an alarm."""
        (self.device if said.who == "device" else self.targets)[said.verdict] += 1
        if said.verdict in ALARMS:
            lines = "\n    ".join(said.evidence)
            self.alarms.append(f"round {number}: {of}: {said.verdict} ({said.rule_id})\n    {lines}")


def run(seed: int, rounds: int, first: int, folder: Path, *, delay: Mapping[str, float]) -> Tally:
    """Live through `rounds` rounds of the seed's day from round `first` on, in the present namespaces.

    `delay` is a scenario's table of delays per zone; the weather's own comes on top.
    """
    tally = Tally()
    began_s = time.monotonic()
    with Stage(_scenario(delay), folder, tell=lambda _said: None, calm_s=1, quick_s=1) as stage:
        namespaces.ip("link add mute type bridge", node="router1")
        namespaces.ip("link set mute up", node="router1")
        with namespaces.inside("router1"):
            namespaces.sysctl("net.ipv6.conf.lan.keep_addr_on_down", 1)
        _await_round(stage, 0)
        for number, weather in enumerate(day(seed, rounds, first=first), start=1):
            before = len(stage.told.said)
            _bring(stage, weather)
            _await_round(stage, before, weather)
            for said in stage.told.said[before:]:
                tally.add(said, of=said.about or "the device", number=first + number)
            if number % 10 == 0 or number == rounds:
                passed_s = time.monotonic() - began_s
                print(f"round {number} of {rounds}, {passed_s:.0f} s: {dict(tally.device)}", flush=True)
    return tally


def _bring(stage: Stage, weather: Weather) -> None:
    country = stage.country
    impair = {
        "loss": weather.loss,
        "delay_ms": weather.delay_ms,
        "jitter_ms": weather.jitter_ms,
        "reorder": weather.reorder,
    }
    stage.impose(HOME, [{"name": "weather", "match": {}, "do": "impair", **impair}])
    country.resolvers["north"].dropped = weather.resolver_drops
    for name, fault, wanted in (
        (_SITE_DOWN, "refused", weather.site_down),
        (_MAINTAINED, "maintenance", weather.maintenance),
    ):
        if (country.site(name).fault == fault) != wanted:
            country.become(name, fault if wanted else "")


def _await_round(stage: Stage, before: int, weather: Weather | None = None) -> None:
    """Wait for the next round's verdict, with the weather's drop meanwhile."""
    began_s = stage.now_s()
    drops = _drops(weather) if weather is not None else iter(())
    due_s, node_line = next(drops, (None, ""))
    while stage.now_s() - began_s < _ROUND_LIMIT_S:
        if due_s is not None and stage.now_s() - began_s >= due_s:
            namespaces.ip(node_line, node="router1")
            due_s, node_line = next(drops, (None, ""))
        stage.hear()
        if due_s is None and any(said.who == "device" for said in stage.told.said[before:]):
            return
        time.sleep(0.2)
    raise AssertionError(f"no verdict for {_ROUND_LIMIT_S} s: {stage.devices[0].errors}")


def _drops(weather: Weather) -> Iterator[tuple[float | None, str]]:
    """Yield when, in seconds from the round's beginning, which line is to be given to the router's `ip`."""
    how = {
        Drop.CARRIER: ("link set lan down", "link set lan up"),
        Drop.MUTE: ("link set lan master mute", "link set lan nomaster"),
    }
    if weather.drop is Drop.NONE:
        return
    begin, end = how[weather.drop]
    yield weather.drop_after_s, begin
    yield weather.drop_after_s + weather.drop_s, end


def _scenario(delay: Mapping[str, float]) -> Scenario:
    return read(
        "false-alarms",
        {
            "title": "An ugly but free network",
            "why": "Nobody is to be accused.",
            "collector": True,
            "delay": delay,
            "censor": [{"on": HOME, "when": "start", "rule": [{"name": "calm", "do": "impair"}]}],
            "expected": {"who": "page", "verdict": "ok"},
        },
    )


def main(arguments: list[str]) -> int:
    """Run inside fresh namespaces, as `tests.nation.drills` starts it; write the tally and return 0 without alarms."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--outside", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--delay", required=True, help="a scenario's table of delays per zone, JSON")
    parser.add_argument("--result", type=Path, required=True)
    options = parser.parse_args(arguments)
    namespaces.settle_in(options.outside)
    with tempfile.TemporaryDirectory(prefix="nation-") as made:
        delay = json.loads(options.delay)
        tally = run(options.seed, options.rounds, options.first, Path(made), delay=delay)
    options.result.write_text(
        json.dumps({"device": tally.device, "targets": tally.targets, "alarms": tally.alarms}),
        encoding="utf-8",
    )
    return 1 if tally.alarms else 0


if __name__ == "__main__":
    leave_after(main)
