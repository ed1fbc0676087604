"""A paired test as it goes: what has come in, and which run is asked for next. Pure; the time is an argument.

`next_run` is asked again after every result. It must never ask for a run that, at its most, would bring the test over
`CONFIRMATION_MOST_BYTES`, and a test that ends clean must never have cost more than `CLEAN_MOST_BYTES`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Final

from firmware.judgement.throttling.counted_run import CountedRun, counted
from firmware.judgement.throttling.design import BlockDesign, block_design, screen_design
from firmware.judgement.throttling.pace_of_run import CONVERGED, RunPace
from firmware.judgement.throttling.randomisation import is_futile, is_significant
from firmware.judgement.throttling.runs import OVERHEAD_BYTES, NameRole, PairedRun, Purpose, RunResult, Way
from firmware.judgement.throttling.sizes import (
    CONFIRMATION_MOST_BYTES,
    MOST_BLOCKS,
    MOST_RUN_S,
    PAYLOADS,
    SCREEN_GO,
    SCREEN_PAYLOAD,
    slower_in_screen,
)

BLOCK_S: Final = 120.0
"""A block of which the second run could not begin so soon after the first is begun anew: they are no pair any more."""
MOST_BROKEN: Final = 3
"""After so many blocks of which a run said nothing, the test ends."""
AFTER_BLOCKS: Final = (5, 7)
"""After so many whole blocks the control is asked for on the suspect's address at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedPlan:
    """What a test is of: lots, a way, how many addresses (two at least), how long one is left alone after a suspect's run.

    `screened` begins with the two cheap runs; without, all blocks are of `payload_bytes`. `not_before_s` is when all
    addresses have been left alone for long enough.
    """

    seed: str
    way: Way
    addresses: int
    wash_out_s: float
    not_before_s: float = 0.0
    screened: bool = True
    payload_bytes: int = PAYLOADS[-1]

    def __post_init__(self) -> None:
        """Raise ValueError for fewer than two addresses, or a payload that has no number of blocks."""
        if self.addresses < 2:
            raise ValueError(f"addresses: found {self.addresses}; allowed is 2 or more")
        if self.payload_bytes not in MOST_BLOCKS:
            raise ValueError(f"payload_bytes: found {self.payload_bytes}; allowed is one of {PAYLOADS}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedTest:
    """A test so far: its plan, and what is kept of all results, in the order in which they came."""

    plan: PairedPlan
    results: tuple[CountedRun, ...] = ()

    def having(self, result: RunResult) -> "PairedTest":
        """Return the test with one more result."""
        return replace(self, results=(*self.results, counted(result)))

    @property
    def cost_bytes(self) -> int:
        """Return what it has cost on the wire."""
        return sum(one.cost_bytes for one in self.results)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A whole block: the logarithm of how many times slower the suspect's run was, where and when that was, and the two runs."""

    innocuous_role: NameRole
    suspect_address: int
    suspect_first: bool
    difference: float
    suspect: RunPace
    innocuous: RunPace


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What the results of a test are so far: its blocks that count, how many do not, and whether it goes on."""

    screen: float | None = None
    screen_broken: bool = False
    blocks: tuple[Block, ...] = ()
    broken: int = 0
    payload_bytes: int = PAYLOADS[-1]

    @property
    def differences(self) -> list[float]:
        """Return the blocks' differences."""
        return [one.difference for one in self.blocks]

    @property
    def is_clean(self) -> bool:
        """Return whether the screen ended it."""
        return self.screen is not None and self.screen <= SCREEN_GO

    @property
    def is_over(self) -> bool:
        """Return whether no block more is wanted."""
        if self.is_clean or self.screen_broken or self.broken >= MOST_BROKEN:
            return True
        return is_significant(self.differences) or is_futile(
            self.differences, MOST_BLOCKS[self.payload_bytes]
        )


def next_run(test: PairedTest, now_s: float) -> PairedRun | None:
    """Return the run that is wanted next, None where the test has ended: what it came to says `conclude`."""
    plan, results = test.plan, test.results
    last = results[-1].run if results else None
    if plan.screened and len(results) < 2:
        design = screen_design(plan.seed, plan.addresses)
        return _affordable(test, _screen_run(test, design, len(results)))
    open_block = _open_block(results)
    if open_block is not None and now_s - results[-1].finished_at_s <= BLOCK_S:
        design = block_design(plan.seed, plan.addresses, open_block)
        payload = results[-1].run.payload_bytes
        run = _run(design, 1, block=open_block, payload=payload, not_before_s=results[-1].finished_at_s)
        return _affordable(test, run)
    progress = progress_of(test)
    if progress.is_over:
        return None
    if last is not None and last.purpose is Purpose.PAIR and _is_after_due(test, progress):
        return PairedRun(
            purpose=Purpose.AFTER,
            block=last.block,
            role=NameRole.CONTROL,
            address=block_design(plan.seed, plan.addresses, last.block).suspect_address,
            payload_bytes=progress.payload_bytes,
            most_s=MOST_RUN_S,
            not_before_s=results[-1].finished_at_s,
        )
    number = 1 + max((one.run.block for one in results if one.run.purpose is not Purpose.SCREEN), default=-1)
    design = block_design(plan.seed, plan.addresses, number)
    not_before_s = results[-1].finished_at_s + plan.wash_out_s if results else plan.not_before_s
    run = _run(design, 0, block=number, payload=progress.payload_bytes, not_before_s=not_before_s)
    return _affordable(test, run, of=2)


def progress_of(test: PairedTest) -> Progress:
    """Return what the results come to so far."""
    screen, screen_broken, payload = _screen(test)
    blocks, broken = _blocks(test.results)
    return Progress(
        screen=screen,
        screen_broken=screen_broken,
        blocks=blocks,
        broken=broken,
        payload_bytes=payload,
    )


def _screen(test: PairedTest) -> tuple[float | None, bool, int]:
    """Return how much slower the suspect's run of the screen was, whether one of the two says nothing, and how large blocks are."""
    if not test.plan.screened:
        return None, False, test.plan.payload_bytes
    if len(test.results) < 2:
        return None, False, PAYLOADS[-1]
    by_role = {one.run.role: one for one in test.results[:2]}
    control, suspect = by_role[NameRole.CONTROL], by_role[NameRole.SUSPECT]
    if not isinstance(control.pace, RunPace) or not isinstance(suspect.pace, RunPace):
        return None, True, PAYLOADS[-1]
    early = suspect.early_bytes_per_s
    slower = slower_in_screen(
        (control.early_bytes_per_s, control.late_bytes_per_s), (early, suspect.late_bytes_per_s)
    )
    # The smaller runs are for a throttle that shows in the part that they have as it does after it.
    late, froze = suspect.late_bytes_per_s or early, suspect.pace.frozen_after_bytes is not None
    is_early = slower > SCREEN_GO and not froze and early <= CONVERGED * late
    return slower, False, PAYLOADS[0] if is_early else PAYLOADS[-1]


def _blocks(results: Sequence[CountedRun]) -> tuple[tuple[Block, ...], int]:
    """Return the blocks of which both runs say something, and how many others have ended."""
    members: dict[int, list[CountedRun]] = {}
    for one in results:
        if one.run.purpose is Purpose.PAIR:
            members.setdefault(one.run.block, []).append(one)
    found, broken = [], 0
    still_open = _open_block(results)
    for number, both in members.items():
        block = _block(both)
        if block is not None:
            found.append(block)
        else:
            broken += number != still_open
    return tuple(found), broken


def _block(both: Sequence[CountedRun]) -> Block | None:
    if len(both) < 2:
        return None
    suspect, innocuous = sorted(both, key=lambda one: one.run.role is not NameRole.SUSPECT)
    if not isinstance(suspect.pace, RunPace) or not isinstance(innocuous.pace, RunPace):
        return None
    return Block(
        innocuous_role=innocuous.run.role,
        suspect_address=suspect.run.address,
        suspect_first=suspect is both[0],
        difference=log(innocuous.pace.bytes_per_s / suspect.pace.bytes_per_s),
        suspect=suspect.pace,
        innocuous=innocuous.pace,
    )


def _open_block(results: Sequence[CountedRun]) -> int | None:
    """Return the block of which one run is in and said something, and the other has not been asked for."""
    if not results or results[-1].run.purpose is not Purpose.PAIR:
        return None
    number = results[-1].run.block
    is_alone = sum(one.run.block == number and one.run.purpose is Purpose.PAIR for one in results) == 1
    return number if is_alone and isinstance(results[-1].pace, RunPace) else None


def _is_after_due(test: PairedTest, progress: Progress) -> bool:
    asked = sum(one.run.purpose is Purpose.AFTER for one in test.results)
    due = asked < len(AFTER_BLOCKS) and len(progress.blocks) >= AFTER_BLOCKS[asked]
    blocks_left = MOST_BLOCKS[progress.payload_bytes] - len(progress.blocks)
    most = progress.payload_bytes + OVERHEAD_BYTES
    return due and test.cost_bytes + most * (1 + 2 * blocks_left) <= CONFIRMATION_MOST_BYTES


def _screen_run(test: PairedTest, design: BlockDesign, place: int) -> PairedRun:
    return PairedRun(
        purpose=Purpose.SCREEN,
        block=-1,
        role=design.roles[place],
        address=design.addresses[place],
        payload_bytes=SCREEN_PAYLOAD,
        most_s=MOST_RUN_S,
        not_before_s=test.results[-1].finished_at_s if test.results else test.plan.not_before_s,
    )


def _run(design: BlockDesign, place: int, *, block: int, payload: int, not_before_s: float) -> PairedRun:
    return PairedRun(
        purpose=Purpose.PAIR,
        block=block,
        role=design.roles[place],
        address=design.addresses[place],
        payload_bytes=payload,
        most_s=MOST_RUN_S,
        not_before_s=not_before_s,
    )


def _affordable(test: PairedTest, run: PairedRun, *, of: int = 1) -> PairedRun | None:
    """Return the run where so many of its kind can still be paid for."""
    return run if test.cost_bytes + of * run.most_bytes <= CONFIRMATION_MOST_BYTES else None
