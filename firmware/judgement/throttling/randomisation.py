"""The randomisation test of a paired test, its alpha spending, and when to stop. Exact, without a draw. Pure.

Which of a block's two runs goes by the suspect's name is drawn by lot before the first of them. If the name makes no
difference, the two rates are what they are whichever way the lot fell, and a block's difference d = log(innocuous rate /
suspect rate) has either sign with one half, given its size. So of the 2^n ways in which n lots can fall, the share that
gives a mean difference as large as the one that is found is a p value that holds on any line: no assumption of
independence between blocks, of a distribution, or of a line that stays as it is (Fisher; Edgington, Randomization
Tests). The statistic is the mean of the differences, each held within `MOST`: the median, which is the effect that is
told, takes few values under the lots (five blocks of one sign have 1/8), and one stalled run would own a bare mean.

This file must never look at which block came when: its order says nothing that the lots do not.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import comb, log
from types import MappingProxyType
from typing import Final

MOST: Final = log(2.0)
"""A block counts for no more than a factor of two, either way."""
LOOKS: Final[Mapping[int, Fraction]] = MappingProxyType(
    {8: Fraction(1, 256), 12: Fraction(1, 1024), 16: Fraction(1, 1024)}
)
"""After so many blocks p is looked at, and what may be spent there. Fewer than eight cannot come to 1/256."""
CONFIRMATIONS: Final = 2
ATTEMPTS: Final = 3
"""So often is a test begun again in a day where it came to nothing, the first time included."""
SEEN: Final = log(2.0) / 2
"""Half of the least slow-down that is looked for: a block that shows less speaks for none."""
_FUTILE: Final[Mapping[int, int]] = MappingProxyType({3: 0, 4: 1, 5: 1, 6: 2, 7: 2})


def spent() -> Fraction:
    """Return the chance at most that one confirmation says "slower" where no name is treated otherwise."""
    return sum(LOOKS.values(), Fraction(0))


def false_alarms() -> Fraction:
    """Return the chance at most that a whole procedure does: two confirmations, each drawn anew, and the reruns."""
    return ATTEMPTS * spent() ** CONFIRMATIONS


def share_as_large(differences: Sequence[float]) -> Fraction:
    """Return p: the share of the ways in which the lots can fall whose mean is as large as the one that is found.

    A way differs from what is found by the blocks that it turns; its sum is smaller by twice theirs. So the ways are the
    subsets whose sum is zero or less, and they are counted from two halves.
    """
    held = [max(-MOST, min(MOST, one)) for one in differences]
    middle = len(held) // 2
    first, second = _sums(held[:middle]), sorted(_sums(held[middle:]))
    # A hair above zero: what is zero but for rounding counts as large, which is the careful side.
    found = sum(bisect_right(second, 1e-9 - one) for one in first)
    return Fraction(found, 2 ** len(held))


def is_significant(differences: Sequence[float]) -> bool:
    """Return whether p is what may be spent at this look; False between looks."""
    may = LOOKS.get(len(differences))
    return may is not None and share_as_large(differences) <= may


def is_futile(differences: Sequence[float], most_blocks: int) -> bool:
    """Return whether to stop, as nothing is slower: too few blocks show it, or it can no more be found in what may follow."""
    tried = len(differences)
    seen = sum(one > SEEN for one in differences)
    if tried >= 3 and seen <= _FUTILE.get(tried, tried // 2):
        return True
    ahead = [look for look in LOOKS if tried < look <= most_blocks]
    return not any(share_as_large([*differences, *[MOST] * (look - tried)]) <= LOOKS[look] for look in ahead)


def median_ranks(count: int, *, cover: float = 0.95) -> tuple[int, int] | None:
    """Return which two of `count` sorted values hold the median between them with `cover` at least (None: too few).

    By the binomial distribution of how many lie below it, hence for any distribution of the values.
    """
    best = None
    for low in range(count // 2):
        outside = 2 * sum(comb(count, below) for below in range(low + 1)) / 2**count
        if 1 - outside < cover:
            break
        best = (low, count - 1 - low)
    return best


def _sums(values: Sequence[float]) -> list[float]:
    found = [0.0]
    for one in values:
        found += [so_far + one for so_far in found]
    return found
