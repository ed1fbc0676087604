"""Looks from where platforms treat whoever asks like a country's devices: a second vantage's, and those devices' own. Pure.

What refuses a whole country refuses these too, and what is blocked for its devices by somebody on their way need not be for
them. This file must never take a page that did not prove itself over IPv4 for one that was reached, nor a second vantage's
failure that was not in its connects, or that was its own line's.
"""

from collections.abc import Iterable, Sequence

from collector.store.second_looks import SecondLook
from collector.vantage.own_line import OwnLine, key_of
from collector.vantage.reports import PlatformReport
from collector.vantage.targets import VantageTarget
from firmware.judgement.site.evidence import Stand
from firmware.judgement.site.from_record import evidence_of
from firmware.judgement.site.journey import OUR_SIDE, Stage
from firmware.judgement.site.refusal import COMMON_FAMILY
from firmware.judgement.site.verdict import judge
from firmware.model.record import Record
from firmware.model.verdict_words import VerdictWord


def looks_of(country: str, records: Sequence[Record], line: OwnLine) -> list[SecondLook]:
    """Return what a second vantage found, by its own records; nothing where it reached too few of its reference targets."""
    if not line.is_connected:
        return []
    return [look for one in records if line.believes(one) and (look := _look(country, one)) is not None]


def _look(country: str, record: Record) -> SecondLook | None:
    """Return what one record tells: that its target proved itself, or that no connection was had; None for all else."""
    evidence = evidence_of(record)
    if evidence is None or record.outcome.failure in OUR_SIDE:
        return None
    judged = judge(evidence, None)
    is_proven = judged.verdict.verdict == VerdictWord.OK
    failure = record.outcome.failure
    if is_proven and COMMON_FAMILY not in judged.families:
        return None
    if not is_proven and (judged.step != Stage.TCP or failure is None):
        return None
    return SecondLook(
        stand=Stand.SECOND,
        country=country,
        key=key_of(record),
        utc_ns=record.start.utc_ns,
        failure=None if is_proven else failure,
    )


class Reached:
    """When each platform proved itself last for each device, by what devices say of their rounds of now."""

    def __init__(self) -> None:
        self._by_device: dict[str, dict[str, int]] = {}

    def note(self, report: PlatformReport) -> None:
        """Take what a device's round found proven; of a round whose time its device did not know, nothing."""
        if report.began_utc_ns is not None:
            proven = dict.fromkeys(report.proven, report.began_utc_ns)
            self._by_device[report.device] = self._by_device.get(report.device, {}) | proven

    def looks(
        self, country: str, devices: Iterable[str], targets: Iterable[VantageTarget]
    ) -> list[SecondLook]:
        """Return the last of each platform's for a country, by any of its `devices`."""
        last: dict[str, int] = {}
        for device in devices:
            for name, utc_ns in self._by_device.get(device, {}).items():
                last[name] = max(last.get(name, 0), utc_ns)
        return [
            SecondLook(stand=Stand.INSIDE, country=country, key=one.key, utc_ns=last[one.key.target_name])
            for one in targets
            if one.in_rounds and one.key.target_name in last
        ]
