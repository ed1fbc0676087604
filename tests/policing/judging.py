"""What both judgements say of a transfer that was played, and how far they are from what was built. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from firmware.judgement.throttling.policing import Limit, LimitFinding, limit_of
from firmware.judgement.throttling.policing_by_tcp_info import kernel_points, limit_by_tcp_info
from firmware.judgement.throttling.sent_packets import HeaderSeen, trace_of
from tests.policing.lines import IS, KINDS, PolicingLine


def by_packets(told: dict[str, Any]) -> LimitFinding:
    """Return what the packets say."""
    seen = [
        HeaderSeen(
            at_ns=at_ns,
            is_sent=is_sent,
            sequence=sequence,
            acknowledged=acknowledged,
            payload_bytes=payload_bytes,
            sacks=tuple((low, high) for low, high in sacks),
        )
        for at_ns, is_sent, sequence, acknowledged, payload_bytes, sacks in told["seen"]
    ]
    return limit_of(trace_of(seen, told["segment_bytes"]))


def by_counts(told: dict[str, Any]) -> LimitFinding:
    """Return what the kernel's counts say."""
    return limit_by_tcp_info(kernel_points(told["tcp"]))


WAYS: Final[dict[str, Callable[[dict[str, Any]], LimitFinding]]] = {
    "packets": by_packets,
    "tcp_info": by_counts,
}


@dataclass(slots=True)
class PolicingTally:
    """What was said, by way and kind, and by how much told rates are wrong."""

    said: dict[str, Counter[tuple[str, str]]] = field(
        default_factory=lambda: {way: Counter() for way in WAYS}
    )
    errors: dict[str, dict[str, list[float]]] = field(default_factory=lambda: {way: {} for way in WAYS})
    wrong: list[str] = field(default_factory=list)

    def add(self, told: dict[str, Any]) -> None:
        """Take a transfer."""
        line = PolicingLine(**told["line"])
        for way, judge in WAYS.items():
            found = judge(told)
            self.said[way][line.kind, found.limit] += 1
            if is_wrong(line, found):
                self.wrong.append(f"{way}: {line.kind} {line.seed} is said to be {found.limit} ({found.why})")
            if found.limit == IS.get(line.kind) and found.bytes_per_s is not None:
                error = found.bytes_per_s / line.payload_rate - 1
                self.errors[way].setdefault(found.limit, []).append(error)


def is_wrong(line: PolicingLine, found: LimitFinding) -> bool:
    """Return whether a limit is said that was not built."""
    return found.limit in (Limit.POLICED, Limit.SHAPED) and found.limit != IS.get(line.kind)


def report(tally: PolicingTally) -> Iterator[str]:
    """Yield both confusion matrices side by side, and the rates' errors."""
    words = [str(one) for one in Limit]
    yield f"{'':14}" + "".join(f"| {way:>43} " for way in WAYS)
    yield f"{'built':14}" + f"| {'  '.join(f'{word:>9}' for word in words)} " * len(WAYS)
    for kind in KINDS:
        rows = ("  ".join(f"{tally.said[way][kind, word]:9}" for word in words) for way in WAYS)
        yield f"{kind:14}" + "".join(f"| {row} " for row in rows)
    for way, errors in tally.errors.items():
        for word, found in errors.items():
            yield f"{way}: rate of {word}: {_errors(found)}"
    yield f"said what was not built: {len(tally.wrong)}"
    yield from tally.wrong


def _errors(found: Iterable[float]) -> str:
    sizes = sorted(abs(one) for one in found)
    within = sum(one <= 0.05 for one in sizes)
    return f"median error {median(sizes):.1%}, largest {sizes[-1]:.1%}, within 5 %: {within} of {len(sizes)}"
