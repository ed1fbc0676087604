"""The folder on a USB drive: nothing a USB drive has on it leads elsewhere, or makes the device wait."""

import os
import re
from pathlib import Path

import pytest

from appliance.delivery.removable.folder import (
    ANSWERS,
    FOLDER,
    MARKER,
    MARKER_BYTES,
    PART,
    Folder,
    is_for,
    read_marker,
)

DEVICE = "abcd0123efgh4567"
STEM = f"{DEVICE}-0123456789abcdef-20261121T120000Z"


@pytest.mark.parametrize(
    ("marker", "meant"),
    [
        ("", True),
        ("# for all of them\n\n", True),
        (DEVICE, True),
        (f"zzzzzzzzzzzzzzzz # the other\r\n  {DEVICE}\r\n", True),
        ("zzzzzzzzzzzzzzzz\n", False),
        ("something else that is called so\n", False),
        (f"# {DEVICE}\nzzzzzzzzzzzzzzzz", False),
    ],
)
def test_whom_a_marker_means(marker: str, meant: bool) -> None:
    assert is_for(marker.encode(), DEVICE) is meant


def test_bytes_that_are_no_text_mean_nobody() -> None:
    assert not is_for(b"\xff\xfe\0\1", DEVICE)


def test_a_marker_that_is_a_link_a_pipe_or_a_directory_is_none(tmp_path: Path) -> None:
    marker = tmp_path / "TIDEGAUGE"
    assert read_marker(tmp_path) is None
    marker.symlink_to("/etc/passwd")
    assert read_marker(tmp_path) is None
    marker.unlink()
    os.mkfifo(marker)
    assert read_marker(tmp_path) is None
    marker.unlink()
    marker.mkdir()
    assert read_marker(tmp_path) is None
    marker.rmdir()
    marker.write_bytes(b"#" * 10_000)
    assert read_marker(tmp_path) == b"#" * MARKER_BYTES


def test_a_folder_that_leads_elsewhere_is_not_entered(tmp_path: Path) -> None:
    usb_drive, elsewhere = tmp_path / "usb_drive", tmp_path / "elsewhere"
    usb_drive.mkdir()
    elsewhere.mkdir()
    (usb_drive / "tidegauge-bundles").symlink_to(elsewhere)
    with pytest.raises(OSError, match="tidegauge-bundles"):
        Folder.open(usb_drive)
    assert list(elsewhere.iterdir()) == []


def test_nothing_that_is_there_is_written_over_or_through(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("kept")
    with Folder.open(tmp_path) as folder:
        (folder.path / (STEM + PART)).symlink_to(secret)
        (folder.path / f"{STEM}-2{ANSWERS}").write_text("an answer")
        stem, descriptor = folder.begin(STEM)
        os.write(descriptor, b"bundle")
        os.close(descriptor)
        assert folder.finish(stem) == folder.path / f"{STEM}-3.bundle"
    assert secret.read_text() == "kept"


def test_answers_of_others_and_links_are_left_alone(tmp_path: Path) -> None:
    with Folder.open(tmp_path) as folder:
        for name in (f"zzzzzzzzzzzzzzzz-1{ANSWERS}", f"{DEVICE}-1{ANSWERS}", f"{DEVICE}{ANSWERS}"):
            (folder.path / name).write_text("")
        assert folder.answers(DEVICE) == [f"{DEVICE}-1"]
        (folder.path / f"{DEVICE}-2{ANSWERS}").symlink_to("/etc/passwd")
        with pytest.raises(OSError, match=DEVICE):
            folder.read(f"{DEVICE}-2{ANSWERS}")
        (folder.path / f"{DEVICE}-3{PART}").write_text("half")
        folder.drop_parts(DEVICE)
        assert not (folder.path / f"{DEVICE}-3{PART}").exists()


def test_names_are_fit_for_fat_where_case_does_not_count(tmp_path: Path) -> None:
    assert FOLDER.lower() != MARKER.lower()
    with Folder.open(tmp_path) as folder:
        stem, descriptor = folder.begin(STEM)
        os.close(descriptor)
        folder.finish(stem)
    with Folder.open(tmp_path) as folder:
        again, descriptor = folder.begin(STEM)
        os.close(descriptor)
    names = [path.name for path in (tmp_path / FOLDER).iterdir()]
    assert len({name.lower() for name in [*names, again + ANSWERS]}) == 3
    for name in names:
        assert re.fullmatch(r"[0-9A-Za-z.-]{1,120}", name)
