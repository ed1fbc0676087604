"""The truth: an AF_PACKET capture of one interface with the kernel's stamps, in a process of its own.

`python -m tests.bench.timing.capture INTERFACE FILE` says `ready`, and at the end of its standard input writes
what it saw and how many frames the kernel had to drop. The kernel takes the stamps as the frame leaves for, and
comes from, the driver, whatever this process is doing meanwhile. A capture switches receive stamping on for
the whole machine: what happens without it must be looked for without it.
"""

import contextlib
import json
import select
import socket
import struct
import sys
from pathlib import Path
from typing import Final

from tests.bench.timing.wire import Frame, pack

_SO_TIMESTAMPNS: Final = 35
_SO_RCVBUFFORCE: Final = 33
_SOL_PACKET: Final = 263
_PACKET_STATISTICS: Final = 6
_ETH_P_ALL: Final = 3
_LOOK_S: Final = 0.02
_BUFFER_BYTES: Final = 64 * 1024 * 1024
_STAMP: Final = struct.Struct("=qq")


def open_capture(interface: str) -> socket.socket:
    """Return a socket that sees every frame of `interface`, both ways, stamped by the kernel."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(_ETH_P_ALL))
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    except OSError:  # an unprivileged user namespace: as much as net.core.rmem_max allows
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    sock.bind((interface, _ETH_P_ALL))
    return sock


def read_frames(sock: socket.socket) -> list[bytes]:
    """Return what has come since, packed for the file."""
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            data, ancillary, _, address = sock.recvmsg(65535, 64)
            for level, kind, payload in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                    seconds, nanoseconds = _STAMP.unpack_from(payload)
                    at_ns = seconds * 1_000_000_000 + nanoseconds
                    outgoing = address[2] == socket.PACKET_OUTGOING
                    found.append(pack(Frame(at_ns, outgoing, len(data), data)))
    return found


def main(interface: str, path: str) -> None:
    """Capture until the standard input ends."""
    frames: list[bytes] = []
    with open_capture(interface) as sock:
        print("ready", flush=True)
        # Never wait for a frame: the kernel would have to wake us up between a packet's stamp and its delivery,
        # which every prober would see as a longer round trip.
        while not select.select([sys.stdin], [], [], _LOOK_S)[0]:
            frames += read_frames(sock)
        frames += read_frames(sock)
        _, dropped = struct.unpack("=II", sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
    Path(path).write_bytes(b"".join(frames))
    print(json.dumps({"frames": len(frames), "dropped": dropped}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
