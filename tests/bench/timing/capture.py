"""The truth: an AF_PACKET capture of one interface with the kernel's stamps, in a process of its own.

`python -m tests.bench.timing.capture INTERFACE FILE` says `ready`, and at the end of its standard input writes
what it saw and how many frames the kernel had to drop. The kernel takes the stamps as the frame leaves for, and
comes from, the driver, whatever this process is doing meanwhile. It copies the first bytes of each into a ring
that both see (TPACKET_V2) and holds on to no packet, so that TCP may join segments as it does without a capture. A
capture switches receive stamping on for the whole machine: what happens without it must be looked for without it.
"""

import json
import mmap
import select
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.bench.timing.wire import Frame, pack

_SO_TIMESTAMPNS: Final = 35
_SOL_PACKET: Final = 263
_PACKET_RX_RING: Final = 5
_PACKET_STATISTICS: Final = 6
_PACKET_VERSION: Final = 10
_TPACKET_V2: Final = 1
_ETH_P_ALL: Final = 3
_LOOK_S: Final = 0.02
_FRAME_BYTES: Final = 256
_BLOCK_BYTES: Final = 64 * 1024
_BLOCKS: Final = 128
_HEADER: Final = struct.Struct("=IIIHHII")
"""`struct tpacket2_hdr` (linux/if_packet.h): status, length, bytes kept, where they are, (net), seconds, nanoseconds."""
_KERNELS: Final = 0
_TYPE_AT: Final = 32 + 10
"""Where the frame's `sll_pkttype` is: in the sockaddr_ll behind the header."""


class Ring:
    """A socket that sees every frame of an interface, both ways, and the ring it puts them into."""

    def __init__(self, interface: str) -> None:
        self.socket = socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(_ETH_P_ALL)
        )
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.socket.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V2)
        frames = _BLOCKS * _BLOCK_BYTES // _FRAME_BYTES
        wanted = struct.pack("=IIII", _BLOCK_BYTES, _BLOCKS, _FRAME_BYTES, frames)
        self.socket.setsockopt(_SOL_PACKET, _PACKET_RX_RING, wanted)
        self._ring = mmap.mmap(self.socket.fileno(), _BLOCKS * _BLOCK_BYTES)
        self._place = 0
        self.socket.bind((interface, _ETH_P_ALL))

    def frames(self) -> Iterator[Frame]:
        """Give what has come since, and the room back to the kernel."""
        while True:
            status, length, kept, at, _, seconds, nanoseconds = _HEADER.unpack_from(self._ring, self._place)
            if status == _KERNELS:
                return
            start = self._place + at
            yield Frame(
                seconds * 1_000_000_000 + nanoseconds,
                self._ring[self._place + _TYPE_AT] == socket.PACKET_OUTGOING,
                length,
                self._ring[start : start + kept],
            )
            struct.pack_into("=I", self._ring, self._place, _KERNELS)
            self._place = (self._place + _FRAME_BYTES) % (_BLOCKS * _BLOCK_BYTES)

    def dropped(self) -> int:
        """Return how many frames found no room."""
        return int(struct.unpack("=II", self.socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))[1])


def main(interface: str, path: str) -> None:
    """Capture until the standard input ends."""
    ring = Ring(interface)
    frames: list[bytes] = []
    print("ready", flush=True)
    # Never wait for a frame: the kernel would have to wake us up between a packet's stamp and its delivery,
    # which every prober would see as a longer round trip.
    while not select.select([sys.stdin], [], [], _LOOK_S)[0]:
        frames += map(pack, ring.frames())
    frames += map(pack, ring.frames())
    Path(path).write_bytes(b"".join(frames))
    print(json.dumps({"frames": len(frames), "dropped": ring.dropped()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
