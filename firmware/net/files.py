"""Small files of the kernel's and the system's, read whole. Without pathlib: it costs the worker 2 MB resident."""

import os
from typing import TypeAlias

FilePath: TypeAlias = "str | os.PathLike[str]"


def read_text(path: FilePath) -> str:
    """Return the file's text; "" for one that cannot be read, since that is an answer too."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123  # see above
            return file.read()
    except OSError:
        return ""


def modified_ns(path: FilePath) -> int | None:
    """Return when the file was last modified (CLOCK_REALTIME, ns); None where there is none."""
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116  # see above
    except OSError:
        return None
