"""A virtual private network on the host: everything of the home leaves through a tunnel to a place abroad.

Two TUN devices and two UDP sockets, unencrypted: what matters is where packets come out. Namespaces only.
"""

import contextlib
import fcntl
import os
import select
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Final

from tests import namespaces

_TUNSETIFF: Final = 0x400454CA
_TUN_NO_PI: Final = 0x1001
_PORT: Final = 51820


@contextlib.contextmanager
def tunnel(exit_node: str, exit_address: str, *, via: str, inner: str = "10.8.0") -> Iterator[None]:
    """Send all of the caller's IPv4 traffic to `exit_node`, which is reached at `exit_address` through `via`."""
    stop, stopper = socket.socketpair()
    with contextlib.ExitStack() as stack:
        stack.callback(stop.close)
        near = _end(stack, "tun0", f"{inner}.2", "")
        with namespaces.inside(exit_node):
            far = _end(stack, "tun0", f"{inner}.1", exit_node, bind=exit_address)
        near[1].connect((exit_address, _PORT))
        namespaces.ip(f"route add {exit_address}/32 via {via}")
        namespaces.ip("route replace default dev tun0")
        namespaces.ip("-6 route del default")
        threads = [threading.Thread(target=_carry, args=(*end, stop), name="tunnel") for end in (near, far)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stopper.close()
            for thread in threads:
                thread.join()


def _end(
    stack: contextlib.ExitStack, name: str, address: str, node: str, *, bind: str = ""
) -> tuple[int, socket.socket]:
    device = os.open("/dev/net/tun", os.O_RDWR)
    stack.callback(os.close, device)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH", name.encode(), _TUN_NO_PI))
    namespaces.ip(f"addr add {address}/24 dev {name}", node=node)
    namespaces.ip(f"link set {name} mtu 1400 up", node=node)
    carrier = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    if bind:
        carrier.bind((bind, _PORT))
    return device, carrier


def _carry(device: int, carrier: socket.socket, stop: socket.socket) -> None:
    peer: tuple[str, int] | None = None
    with contextlib.suppress(OSError):
        while True:
            ready, _, _ = select.select([device, carrier.fileno(), stop.fileno()], [], [])
            if stop.fileno() in ready:
                return
            if device in ready:
                packet = os.read(device, 2000)
                if peer is not None:
                    carrier.sendto(packet, peer)
                else:
                    with contextlib.suppress(OSError):
                        carrier.send(packet)
            if carrier.fileno() in ready:
                packet, sender = carrier.recvfrom(2000)
                peer = sender
                os.write(device, packet)
