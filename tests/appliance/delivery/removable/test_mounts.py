"""The kernel's table of mounts: what is below the watched directories is found, whatever else stands there."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from appliance.delivery.removable.mounts import Mount, parse

MEDIA = Path("/media")
TABLE = rb"""22 1 179:2 / / rw,noatime shared:1 - ext4 /dev/root rw
30 22 0:26 / /run rw,nosuid,nodev shared:9 - tmpfs tmpfs rw
88 30 8:1 / /run/media/pi/A\040STICK rw shared:40 - vfat /dev/sda1 rw
89 22 8:17 / /media rw - vfat /dev/sdb1 rw
90 22 8:33 / /mediatheque/x rw - vfat /dev/sdc1 rw
91 22 8:49 / /media/b\134c rw - vfat /dev/sdd1 rw
short line
"""


def test_those_strictly_below_the_watched_are_found_with_their_names_as_they_are() -> None:
    assert parse(TABLE, [MEDIA, Path("/run/media")]) == (
        Mount(number=88, device="8:1", path=Path("/run/media/pi/A STICK")),
        Mount(number=91, device="8:49", path=Path("/media/b\\c")),
    )
    assert parse(TABLE, []) == ()


@given(st.binary(max_size=300))
def test_no_bytes_raise(text: bytes) -> None:
    assert all(MEDIA in mount.path.parents for mount in parse(text, [MEDIA]))


def test_this_machines_own_table_is_read() -> None:
    assert len(parse(Path("/proc/self/mountinfo").read_bytes(), [Path("/")])) > 1
