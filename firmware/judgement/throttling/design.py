"""The design of a paired test: what is drawn by lot before anything is measured, from a seed. Pure.

A block is one run by the suspect's name and one by an innocuous one, at once after each other, on two addresses that no
suspect has used for a wash-out. By lot: which two addresses and in which order, which of the two runs is the suspect's,
and whether the innocuous name of the first of two blocks is the control (the other has the random name). The lot of
roles is apart from all others: that is what the randomisation test rests on. This file must never see a result.
"""

from dataclasses import dataclass
from random import Random

from firmware.judgement.throttling.runs import NameRole


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDesign:
    """A block: its two addresses in the order in which they are used, and the names in that order."""

    addresses: tuple[int, int]
    roles: tuple[NameRole, NameRole]

    @property
    def suspect_address(self) -> int:
        """Return where the suspect's run goes."""
        return self.addresses[self.roles.index(NameRole.SUSPECT)]


def screen_design(seed: str, addresses: int) -> BlockDesign:
    """Return the screen: the control and then the suspect, each on its own address drawn by lot.

    The control goes first, on a line that no suspect has been on: a throttle that then slows all of the line is seen. What
    a line does in this order by itself costs no more than the blocks that follow.
    """
    first, second = Random(f"{seed} screen").sample(range(addresses), 2)  # noqa: S311 - a lot, and no secret
    return BlockDesign(addresses=(first, second), roles=(NameRole.CONTROL, NameRole.SUSPECT))


def block_design(seed: str, addresses: int, number: int) -> BlockDesign:
    """Return block `number`, from 0."""
    pair = Random(f"{seed} names {number // 2}")  # noqa: S311
    first_is_control = pair.random() < 0.5
    is_control = first_is_control is (number % 2 == 0)
    lot = Random(f"{seed} block {number}")  # noqa: S311
    return _block(lot, addresses, NameRole.CONTROL if is_control else NameRole.RANDOM)


def _block(lot: Random, addresses: int, innocuous: NameRole) -> BlockDesign:
    first, second = lot.sample(range(addresses), 2)
    roles = (NameRole.SUSPECT, innocuous) if lot.random() < 0.5 else (innocuous, NameRole.SUSPECT)
    return BlockDesign(addresses=(first, second), roles=roles)
