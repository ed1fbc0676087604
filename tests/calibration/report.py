"""What a calibration comes to, as lines: how many cases of which kind, how many agree in what, and every disagreement. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from tests.calibration.cases import HARD
from tests.calibration.compare import CHANCE, TOLERANCE_MS, TOLERANCE_SHARE
from tests.calibration.many import Played

_CALM: Final = 4.0
"""Above this load per processor a namespace's packets wait for the programs that carry them."""
_WHATS: Final = ("verdict", "failures", "again", "connect", "handshake", "rounds")


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
    calm = [one for one in ordered if one.load <= _CALM]
    yield f"agree in: all cases; those played while at most {_CALM:.0f} programs a processor waited"
    for what in _WHATS:
        yield f"  {what:<10} {_agreeing(ordered, what)}; {_agreeing(calm, what)}"
    whole = sum(not one.disagreements for one in ordered)
    yield f"agree in all: {whole} of {len(ordered)}"
    yield ""
    yield f"{'seed':>6}  {'what':<10} {'where':<14} virtual | namespaces"
    for one in ordered:
        if one.disagreements:
            yield f"{one.case.seed:>6}  {one.case.text} (load {one.load:.1f})"
        for each in one.disagreements:
            yield f"{'':>6}  {each.what:<10} {each.where:<14} {each.virtual} | {each.real}"


def _agreeing(played: Sequence[Played], what: str) -> str:
    differ = sum(any(each.what == what for each in one.disagreements) for one in played)
    return f"{len(played) - differ} of {len(played)}"
