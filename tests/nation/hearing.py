"""What is said on a stage, as it comes: the device's own verdicts from its records, the collector's from its API.

This file must never judge by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from appliance.outbox.box import Outbox
from tests.english import lines
from tests.nation.atlas import COUNTRY
from tests.nation.centre import Centre
from tests.nation.device import Device

SCOPE_AGAIN_S: Final = 10.0
_ASK_S: Final = 1.0
"""The collector is asked so often at most."""


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


class Ear:
    """Takes in what is said; `now_s` is the time since the stage began."""

    def __init__(self, told: Told, now_s: Callable[[], float]) -> None:
        self._told = told
        self._now_s = now_s
        self._heard_round = 0
        self._ask_s = 0.0
        self._scope_said, self._scope_s = ("", ""), 0.0
        self._targets_said: dict[tuple[str, str], tuple[str, str, str]] = {}
        self._told_rounds = 0

    def hear_centre(self, centre: Centre) -> None:
        """Take in what the collector says, now and then."""
        if self._now_s() >= self._ask_s:
            self._ask_s = self._now_s() + _ASK_S
            self._hear_targets(centre)
            self._hear_scope(centre)

    def hear_device(self, device: Device) -> None:
        """Take in what a device has concluded since."""
        if sum(line.startswith("verdict ") for line in device.lines) <= self._told_rounds:
            return  # looking at the outbox is for when there is something new
        self._told_rounds += 1
        with Outbox.open_read_only(device.data / "outbox.sqlite3") as outbox:
            for record in reversed(outbox.recent_rounds(200)):
                number = record.round_id or 0
                if record.verdict is None or number <= self._heard_round:
                    continue
                self._heard_round = number
                self._told.add(
                    Said(
                        who="device",
                        at_s=self._now_s(),
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
            self._told.add(
                Said(
                    who="page",
                    about=one.target_name,
                    at_s=self._now_s(),
                    verdict=one.verdict,
                    rule_id=one.rule_id,
                    evidence=one.evidence,
                )
            )

    def _hear_scope(self, centre: Centre) -> None:
        """Take in the collector's verdict on the country: when it is another than before, and now and then."""
        verdict, rule_id, evidence = centre.scope(COUNTRY)
        is_new = (verdict, rule_id) != self._scope_said
        if verdict and (is_new or self._now_s() - self._scope_s >= SCOPE_AGAIN_S):
            self._scope_said, self._scope_s = (verdict, rule_id), self._now_s()
            self._told.add(
                Said(who="collector", at_s=self._now_s(), verdict=verdict, rule_id=rule_id, evidence=evidence)
            )
