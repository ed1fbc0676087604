"""A damaged log costs what stood on the damaged frames and no more: tried at each of its frames and each part of one."""

from pathlib import Path
from typing import Final

import pytest

from appliance.outbox.box import Outbox
from appliance.storage.recovery import pages
from tests.appliance.outbox import snapshots
from tests.appliance.outbox.snapshots import DEVICE, NAME, Told

WAL = f"{NAME}-wal"
HEAD, FRAME, PAGE = 32, 24, 4096
ON_A_PAGE = 16
"""More rows than one page can hold of `snapshots.record`."""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    folder = tmp_path_factory.mktemp("killed") / "data"
    return folder, snapshots.make(folder, commits=20, per_commit=20, acknowledged=40, checkpoint_at=10)


def frames(wal: Path) -> int:
    """Return how many frames of the log's present use there are, by its salts alone."""
    data = wal.read_bytes()
    salts = data[16:24]
    count = 0
    while data[HEAD + count * (FRAME + PAGE) :][8:16] == salts:
        count += 1
    return count


def flipped(source: Path, folder: Path, at: int, bit: int) -> Path:
    path = snapshots.copy(source, folder)
    data = bytearray((folder / WAL).read_bytes())
    data[at] ^= 1 << bit
    (folder / WAL).write_bytes(data)
    return path


def check(path: Path, told: Told) -> int:
    """Open it as a start does; return how many were lost with account."""
    return snapshots.lost(told, snapshots.start(path, told))


PARTS: Final = (3, 7, 8, 15, 19, 23, FRAME, FRAME + 9, FRAME + PAGE // 2, FRAME + PAGE - 40)
"""A byte of a frame's page number, commit, salts and sums, and of its image at its head, middle and end."""


def flip_in_frames(tmp_path: Path, killed: tuple[Path, Told], *, parts: int) -> None:
    """Flip a bit in `parts` of each frame's parts, other ones in each frame, and open what is left."""
    folder, told = killed
    worst = 0
    for frame in range(frames(folder / WAL)):
        for turn in range(parts):
            at = HEAD + frame * (FRAME + PAGE) + PARTS[(frame * parts + turn) % len(PARTS)]
            gone = check(flipped(folder, tmp_path / f"{frame}-{turn}", at, bit=(frame + turn) % 8), told)
            assert gone <= ON_A_PAGE, f"frame {frame}, byte {at}: {gone} lost"
            worst = max(worst, gone)
    assert worst > 0, "no flip cost anything: what was flipped was not what is read"


def test_one_bit_in_any_frame_costs_a_page_at_most(tmp_path: Path, killed: tuple[Path, Told]) -> None:
    flip_in_frames(tmp_path, killed, parts=1)


@pytest.mark.long
def test_one_bit_in_any_part_of_any_frame_costs_a_page_at_most(
    tmp_path: Path, killed: tuple[Path, Told]
) -> None:
    flip_in_frames(tmp_path, killed, parts=len(PARTS))


def test_one_bit_in_the_logs_head_costs_nothing(tmp_path: Path, killed: tuple[Path, Told]) -> None:
    folder, told = killed
    for at in range(0, HEAD, 3):
        assert check(flipped(folder, tmp_path / str(at), at, bit=at % 8), told) == 0, at


@pytest.mark.parametrize("kept", range(0, 40, 3))
def test_a_log_that_was_cut_is_accounted_for(tmp_path: Path, killed: tuple[Path, Told], kept: int) -> None:
    folder, told = killed
    path = snapshots.copy(folder, tmp_path / "cut")
    data = (tmp_path / "cut" / WAL).read_bytes()
    (tmp_path / "cut" / WAL).write_bytes(data[: HEAD + kept * (FRAME + PAGE) + (kept % 2) * 100])
    check(path, told)


@pytest.mark.parametrize("first", range(0, 30, 4))
def test_frames_that_were_zeroed_leave_those_behind_them(
    tmp_path: Path, killed: tuple[Path, Told], first: int
) -> None:
    folder, told = killed
    path = snapshots.copy(folder, tmp_path / "zeroed")
    wal = tmp_path / "zeroed" / WAL
    data = bytearray(wal.read_bytes())
    at = HEAD + first * (FRAME + PAGE)
    data[at : at + 2 * (FRAME + PAGE)] = bytes(2 * (FRAME + PAGE))
    wal.write_bytes(data)
    assert check(path, told) <= 2 * ON_A_PAGE


def test_what_a_power_cut_leaves_of_the_last_transaction_is_no_damage(
    tmp_path: Path, killed: tuple[Path, Told]
) -> None:
    """Its end without its beginning: the last transaction of the log was never told durable then."""
    folder, _ = killed
    path = snapshots.copy(folder, tmp_path / "torn")
    log = pages.log_of(path)
    ends = [at for at, frame in enumerate(log.frames) if frame.commit_pages]
    assert ends[-1] - ends[-2] > 1, "the last transaction has one frame: nothing can be torn"
    data = bytearray((tmp_path / "torn" / WAL).read_bytes())
    at = HEAD + (ends[-2] + 1) * (FRAME + PAGE)
    data[at : at + FRAME + PAGE] = bytes(FRAME + PAGE)
    (tmp_path / "torn" / WAL).write_bytes(data)
    with Outbox.open(path, device=DEVICE) as outbox:
        assert outbox.recovered is None


def test_an_older_use_of_the_log_is_not_taken_for_the_present_one(
    tmp_path: Path, killed: tuple[Path, Told]
) -> None:
    folder, told = killed
    path = snapshots.copy(folder, tmp_path / "whole")
    log = pages.log_of(path)
    size = (tmp_path / "whole" / WAL).stat().st_size
    assert log.is_whole
    assert len(log.frames) == frames(tmp_path / "whole" / WAL)
    assert HEAD + len(log.frames) * (FRAME + PAGE) < size, "nothing stands behind the present frames"
    with Outbox.open(path, device=DEVICE) as outbox:
        assert outbox.recovered is None
        assert snapshots.lost(told, snapshots.look(outbox)) == 0
