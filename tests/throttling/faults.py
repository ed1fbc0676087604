"""Faults put into the rules on purpose, which the drill must find: a drill that finds none of them would prove nothing."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final
from unittest.mock import patch

from firmware.judgement.throttling.carry_over import CarryOver
from firmware.judgement.throttling.design import BlockDesign, block_design
from firmware.judgement.throttling.runs import NameRole

RULES: Final = "firmware.judgement.throttling"


def _never_swapped(seed: str, addresses: int, number: int) -> BlockDesign:
    """Return a block whose suspect has always the second address."""
    lots = block_design(seed, addresses, number)
    is_first = lots.roles[0] is NameRole.SUSPECT
    return BlockDesign(addresses=(1, 0) if is_first else (0, 1), roles=lots.roles)


def _never_drawn(seed: str, addresses: int, number: int) -> BlockDesign:
    """Return a block whose suspect has always the second turn."""
    lots = block_design(seed, addresses, number)
    innocuous = next(one for one in lots.roles if one is not NameRole.SUSPECT)
    return BlockDesign(addresses=lots.addresses, roles=(innocuous, NameRole.SUSPECT))


def _without_random_names(seed: str, addresses: int, number: int) -> BlockDesign:
    lots = block_design(seed, addresses, number)
    roles = [NameRole.SUSPECT if one is NameRole.SUSPECT else NameRole.CONTROL for one in lots.roles]
    return BlockDesign(addresses=lots.addresses, roles=(roles[0], roles[1]))


def _by_the_mean(differences: Sequence[float]) -> bool:
    return len(differences) >= 2 and sum(differences) > 0


FAULTS: Final[dict[str, dict[str, object]]] = {
    "roles-not-swapped": {
        f"{RULES}.paired_test.block_design": _never_swapped,
        f"{RULES}.conclude.is_swapped": lambda _: True,
    },
    "order-not-drawn": {
        f"{RULES}.paired_test.block_design": _never_drawn,
        f"{RULES}.conclude.is_swapped": lambda _: True,
    },
    "lots-not-counted": {
        f"{RULES}.paired_test.is_significant": _by_the_mean,
        f"{RULES}.conclude.share_as_large": lambda found: 0 if sum(found) > 0 else 1,
        f"{RULES}.conclude.is_swapped": lambda _: True,
        f"{RULES}.conclude.LOOKS": dict.fromkeys(range(1, 17), 1),
    },
    "carry-over-ignored": {f"{RULES}.conclude.carry_over": lambda _: CarryOver()},
    "no-random-name": {
        f"{RULES}.paired_test.block_design": _without_random_names,
        f"{RULES}.conclude.LEAST_EITHER": -9.0,
    },
}
"""Name → what stands in whose place."""


@contextmanager
def fault(name: str | None) -> Iterator[None]:
    """Put a fault in for as long as this lasts; none for None."""
    with ExitStack() as stack:
        for where, what in FAULTS[name].items() if name else ():
            stack.enter_context(patch(where, what))
        yield
