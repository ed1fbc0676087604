"""What a calibration comes to, as lines: how many cases of which kind, how many agree in what, and every disagreement. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence

from tests.calibration.cases import HARD
from tests.calibration.compare import CHANCE, TOLERANCE_MS, TOLERANCE_SHARE
from tests.calibration.many import Played

_WHATS = ("verdict", "failures", "connect", "handshake", "rounds")


def report(played: Sequence[Played]) -> Iterator[str]:
    """Yield the lines."""
    ordered = sorted(played, key=lambda one: one.case.seed)
    kinds = Counter(one.case.kind for one in ordered)
    hard = sum(kinds[kind] for kind in HARD)
    yield ""
    yield f"{len(ordered)} cases: {', '.join(f'{count} {kind}' for kind, count in kinds.most_common())}"
    yield f"{hard} of them slow, lossy or lopsided; {sum(one.case.is_drawn_by_lot for one in ordered)} with losses by lot"
    yield f"rounds compared: {sum(min(len(one.virtual), len(one.real)) for one in ordered)}"
    yield f"times agree within {TOLERANCE_MS:.0f} ms and {TOLERANCE_SHARE:.0%}; lots at {CHANCE:.0%}"
    for what in _WHATS:
        differ = sum(any(each.what == what for each in one.disagreements) for one in ordered)
        yield f"agree in {what}: {len(ordered) - differ} of {len(ordered)}"
    whole = sum(not one.disagreements for one in ordered)
    yield f"agree in all: {whole} of {len(ordered)}"
    yield ""
    yield f"{'seed':>6}  {'what':<10} {'where':<14} virtual | namespaces"
    for one in ordered:
        if one.disagreements:
            yield f"{one.case.seed:>6}  {one.case.text}"
        for each in one.disagreements:
            yield f"{'':>6}  {each.what:<10} {each.where:<14} {each.virtual} | {each.real}"
