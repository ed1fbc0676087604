"""What a batch says of its device's platforms at present: the last round in it, if that is of now. Pure.

It reads what a device sent and judges nothing. It must never take from it what to measure: names alone are read, and what is
measured under a name is the plan's (`collector.vantage.targets`).
"""

import json
from dataclasses import dataclass
from typing import Final

from collector.store.arrivals import BatchArrived, IngestRow
from collector.store.asked_columns import NAMES
from firmware.judgement import target_judgement
from firmware.judgement.confidence.accusers import concluded
from firmware.judgement.site.refusal import COMMON_FAMILY
from firmware.judgement.site.targets import FAILED
from firmware.model.jsontypes import JsonValue, RecordError
from firmware.model.verdict_words import VerdictWord

LIVE_NS: Final = 600 * 1_000_000_000
"""A round that arrives later than this after its start says nothing of now."""

PROVEN: Final = frozenset({"page-proven", "site-proven"})
"""The rules by which a platform proved itself by its certificate."""

_TEST, _VERDICT, _RULE, _START, _QUALITY = map(
    NAMES.index, ("test", "verdict", "rule_id", "start_utc_ns", "clock_quality")
)
_DARK: Final = frozenset(
    {
        VerdictWord.INTERNATIONAL_CUT,
        VerdictWord.ISP_OR_WIDER_OUTAGE,
        VerdictWord.LOCAL_FAULT,
        VerdictWord.CAPTIVE_PORTAL,
    }
)
"""Where nothing abroad answers, no platform failed by itself."""
_ELSEWHERE: Final = "through-a-tunnel"
"""The rule of a round whose device comes out elsewhere: platforms do not treat it like its country."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformReport:
    """The platforms that a device's last round lost, and those that it reached, by name.

    `proven` are those that proved themselves over `COMMON_FAMILY`, by no tunnel. `began_utc_ns` is when the round began, None where its
    device did not know, or its clock is seen to be fast.
    """

    device: str
    failed: frozenset[str]
    reached: frozenset[str]
    proven: frozenset[str] = frozenset()
    began_utc_ns: int | None = None


def report_of(batch: BatchArrived) -> PlatformReport | None:
    """Return what the last round of a batch says of platforms; None where it has no round of now."""
    rounds = [row for row in batch.rows if row.asked[_TEST] == "ladder" and row.asked[_VERDICT] is not None]
    last = max(rounds, key=lambda row: row.seq, default=None)
    if last is None or not _is_of_now(last, batch.received_ns) or _concluded(last) in _DARK:
        return None
    try:
        value: JsonValue = json.loads(last.body)
        detail = value.get("detail") if isinstance(value, dict) else None
        targets = target_judgement.from_json(detail.get("targets", []) if isinstance(detail, dict) else [])
    except (ValueError, RecordError):
        return None  # of other software: as if nothing had been said of them
    failed = frozenset(one.name for one in targets if one.step in FAILED)
    proven = frozenset(one.name for one in targets if one.rule_id in PROVEN and COMMON_FAMILY in one.families)
    return PlatformReport(
        device=batch.device,
        failed=failed,
        reached=frozenset(one.name for one in targets) - failed,
        proven=frozenset() if last.asked[_RULE] == _ELSEWHERE else proven,
        began_utc_ns=_began_utc_ns(last, batch.received_ns),
    )


def _began_utc_ns(row: IngestRow, received_ns: int) -> int | None:
    start_ns = row.asked[_START]
    if row.asked[_QUALITY] == "unsynchronised" or not isinstance(start_ns, int):
        return None
    return start_ns if start_ns <= received_ns else None


def _concluded(row: IngestRow) -> str:
    return concluded(str(row.asked[_VERDICT]), str(row.asked[_RULE]))


def _is_of_now(row: IngestRow, received_ns: int) -> bool:
    start_ns = row.asked[_START]
    if row.asked[_QUALITY] == "unsynchronised" or not isinstance(start_ns, int):
        return True  # its clock does not tell; that it was sent with what is live must do
    return abs(received_ns - start_ns) <= LIVE_NS
