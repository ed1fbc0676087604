"""What is in force on each link of a scenario, at any moment: delays, translation, the rules of censors. Pure, but for its memory.

The order is fixed: what delays, then what censors do, with translation last, which rules do not see. So what is forged on a link
comes as late as the packet it answers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.nation.atlas import ACCESS, BY_NAME, CARRIER_OUTER
from tests.nation.scenario.model import CensorAt, Delay, NatAt, Scenario
from tests.nation.toml_text import rules_text
from tests.nation.wiring import Home

_BORDER: Final = "border"
_NEXT_DOOR: Final = "neighbour"


@dataclass(slots=True)
class _Standing:
    """One censor of the scenario: from when to when it is in force, as far as that is known."""

    censor: CensorAt
    since_s: float | None = None
    until_s: float | None = None


class Links:
    """The links of one scenario that have anything on them."""

    def __init__(self, scenario: Scenario, homes: Sequence[Home]) -> None:
        self._fixed: dict[str, list[dict[str, Any]]] = {}
        self._imposed: dict[str, list[Mapping[str, Any]]] = {}
        for on, rule in delays(scenario.delay, homes):
            self._fixed.setdefault(on, []).append(rule)
        self._translated = {nat.on: _translation(nat, homes) for nat in scenario.nats}
        self._standing = [_Standing(censor) for censor in scenario.censors]
        on_links = {censor.on for censor in scenario.censors}
        self.walls = tuple(sorted({*self._fixed, *self._translated, *on_links}))
        """The links that need a place for a censor."""

    def happen(self, moment: str, now_s: float) -> Iterator[tuple[str, float]]:
        """Take note of a moment; yield each link where rules change with it, and in how many seconds."""
        for one in self._standing:
            timing = one.censor.timing
            if timing.when == moment:
                one.since_s = now_s + timing.after_s
                if timing.for_s:
                    one.until_s = one.since_s + timing.for_s
                    yield one.censor.on, one.until_s - now_s
                yield one.censor.on, timing.after_s
            if timing.until == moment:
                one.until_s = now_s
                yield one.censor.on, 0.0

    def impose(self, on: str, rules: Sequence[Mapping[str, Any]]) -> None:
        """Have rules on a link beside the scenario's, instead of those imposed before."""
        self._imposed[on] = list(rules)

    def text(self, on: str, now_s: float) -> str:
        """Return the rules file of a link as of now."""
        rules: list[Mapping[str, Any]] = [*self._fixed.get(on, ()), *self._imposed.get(on, ())]
        for one in self._standing:
            begun = one.since_s is not None and one.since_s <= now_s
            ended = one.until_s is not None and one.until_s <= now_s
            if one.censor.on == on and begun and not ended:
                rules += one.censor.rules
        if on in self._translated:
            rules.append(self._translated[on])
        return rules_text(rules)


def delays(delay: Delay, homes: Sequence[Home]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield, for each link that delays, its rule: so that all links to a zone come to that zone's delay."""
    parts = [(home.link, delay.local_ms) for home in homes]
    for access in sorted({home.access for home in homes}):
        beyond_ms = delay.international_ms if access == _NEXT_DOOR else delay.domestic_ms
        parts.append((access, beyond_ms - delay.local_ms))
    if any(home.access != _NEXT_DOOR for home in homes):
        parts.append((_BORDER, delay.international_ms - delay.domestic_ms))
    for on, delay_ms in parts:
        if delay_ms > 0:
            yield on, {"name": "the zone's delay", "match": {}, "do": "impair", "delay_ms": delay_ms}


def _translation(nat: NatAt, homes: Sequence[Home]) -> dict[str, Any]:
    if nat.on in ACCESS:
        outer = BY_NAME[nat.on].address(CARRIER_OUTER)
    else:
        outer = next(home.outer for home in homes if home.link == nat.on)
    return {
        "name": "the translation",
        "do": "translate",
        "address": outer,
        "most": nat.most,
        "idle_s": nat.idle_s,
        "tcp_idle_s": nat.tcp_idle_s,
    }
