"""Which file systems are mounted under the directories that are watched, by /proc/self/mountinfo (proc(5)). Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ESCAPED: Final = re.compile(rb"\\([0-7]{3})")
_FIELDS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One mount: the kernel's number for it, which file system it is (`major:minor`), and where."""

    number: int
    device: str
    path: Path


def parse(text: bytes, watched: Sequence[Path]) -> tuple[Mount, ...]:
    """Return the mounts strictly below `watched`, in the kernel's order; lines that cannot be read are left out."""
    found: list[Mount] = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < _FIELDS or not fields[0].isdigit():
            continue
        path = Path(
            _ESCAPED.sub(lambda one: bytes([int(one[1], 8) & 0xFF]), fields[4]).decode(
                errors="surrogateescape"
            )
        )
        if any(root in path.parents for root in watched):
            found.append(Mount(number=int(fields[0]), device=fields[2].decode("ascii", "replace"), path=path))
    return tuple(found)
