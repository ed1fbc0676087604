"""CAP_NET_RAW, where an operator gave it: held by the thread that opens a capture, in force while it opens one, and nobody else's.

Programs that this process starts must never have it. It is root's anyway: a server that runs as root keeps what root has.
"""

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterator
from typing import Final

_VERSION_3: Final = 0x20080522
_NET_RAW: Final = 1 << 13
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4


def keep_net_raw_alone() -> bool:
    """Give up every capability but CAP_NET_RAW, and let no program that is started have it; return whether it is had.

    To be called once what needs others (a port below 1024) is open, before threads are started. Raises `OSError`.
    """
    _call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    effective, permitted = _held()
    if os.geteuid() == 0:
        return bool(effective & _NET_RAW)
    _hold(effective=0, permitted=permitted & _NET_RAW)
    return bool(permitted & _NET_RAW)


@contextlib.contextmanager
def net_raw() -> Iterator[None]:
    """Have CAP_NET_RAW in force meanwhile, if it is had at all."""
    effective, permitted = _held()
    if effective & _NET_RAW or not permitted & _NET_RAW:
        yield
        return
    _hold(effective=effective | _NET_RAW, permitted=permitted)
    try:
        yield
    finally:
        _hold(effective=effective, permitted=permitted)


def _held() -> tuple[int, int]:
    """Return what this thread has in force, and what it may have (`capget`; of 64 bits those that there are)."""
    data = ctypes.create_string_buffer(24)
    _call("capget", struct.pack("=Ii", _VERSION_3, 0), data)
    low = struct.unpack_from("=III", data, 0)
    high = struct.unpack_from("=III", data, 12)
    return low[0] | high[0] << 32, low[1] | high[1] << 32


def _hold(*, effective: int, permitted: int) -> None:
    words = [(one & 0xFFFFFFFF, one >> 32) for one in (effective, permitted, 0)]
    data = struct.pack("=6I", *(one[0] for one in words), *(one[1] for one in words))
    _call("capset", struct.pack("=Ii", _VERSION_3, 0), data)


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name)
