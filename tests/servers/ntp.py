"""An NTP server on loopback whose clock and manners are one function: question in, datagrams out."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from typing import Self, TypeAlias

from firmware.protocols.ntp_wire import ntp_timestamp

Answer: TypeAlias = Callable[[bytes], Sequence[bytes]]
"""What to send back, any number of datagrams, for one question."""


def truthful(
    question: bytes, *, ahead_ns: int = 0, stratum: int = 1, leap: int = 0, reference: bytes = b"TEST"
) -> bytes:
    """Answer as a good server does whose clock is `ahead_ns` ahead of this machine's."""
    (nonce,) = struct.unpack_from(">Q", question, 40)
    now = ntp_timestamp(time.time_ns() + ahead_ns)
    return struct.pack(
        ">BBbbII4sQQQQ",
        *(leap << 6 | 4 << 3 | 4, stratum, 0, -20, 0, 66, reference),
        *(now, nonce, now, ntp_timestamp(time.time_ns() + ahead_ns)),
    )


class NtpServer:
    """Answers on a UDP port of its own, or `port`, in a thread, for as long as the `with` block runs."""

    def __init__(self, answer: Answer, *, address: str = "127.0.0.1", port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.bind((address, port))
        self._answer = answer
        self._thread = threading.Thread(target=self._serve, name="ntp")
        self.questions: list[bytes] = []

    @property
    def port(self) -> int:
        """The port it answers on."""
        return int(self._socket.getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(self._socket.family, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            question, sender = self._socket.recvfrom(2048)
            if not question:
                return
            self.questions.append(question)
            for datagram in self._answer(question):
                self._socket.sendto(datagram, sender)
