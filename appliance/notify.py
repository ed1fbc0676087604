"""What the service manager is told: ready, how it goes, still alive. systemd's notify protocol in pure Python.

The protocol is one datagram a message to the socket that `$NOTIFY_SOCKET` names (sd_notify(3)); without that
variable nobody listens and every call does nothing. It must never stop or delay the device: sending does not
block, and a message that is not taken is lost.
"""

import os
import socket
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

NS_PER_US: Final = 1_000
_LONGEST: Final = 200
"""Characters of a status: systemctl shows it on one line."""


class Notifier:
    """The way to the service manager. Close it (or leave its `with` block) at the end.

    Every method returns whether the message was taken. `watchdog_ns` is how long the manager waits for a sign of
    life before it kills the service; None where it does not watch.
    """

    def __init__(self, address: str | None, *, watchdog_ns: int | None = None) -> None:
        self.watchdog_ns = watchdog_ns
        self._address: str | None = None
        self._socket: socket.socket | None = None
        if address and address[0] in "/@":
            self._address = "\0" + address[1:] if address[0] == "@" else address
            self._socket = socket.socket(
                socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Return the notifier that `$NOTIFY_SOCKET`, `$WATCHDOG_USEC` and `$WATCHDOG_PID` describe."""
        return cls(environment.get("NOTIFY_SOCKET"), watchdog_ns=watchdog_ns(environment, pid=os.getpid()))

    def ready(self, status: str) -> bool:
        """Say that the service is up."""
        return self._send("READY=1", f"STATUS={_one_line(status)}")

    def status(self, status: str) -> bool:
        """Say in one line how it goes."""
        return self._send(f"STATUS={_one_line(status)}")

    def alive(self) -> bool:
        """Say that the service still does its work."""
        return self._send("WATCHDOG=1")

    def stopping(self, status: str) -> bool:
        """Say that the service has begun to end."""
        return self._send("STOPPING=1", f"STATUS={_one_line(status)}")

    def close(self) -> None:
        """Close the socket. Closing twice is harmless."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.close()

    def _send(self, *lines: str) -> bool:
        if self._socket is None or self._address is None:
            return False
        try:
            self._socket.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)
        except OSError:  # the manager is restarting, or its queue is full: the next message will do
            return False
        return True


def watchdog_ns(environment: Mapping[str, str], *, pid: int) -> int | None:
    """Return the watchdog's time in ns if it is meant for process `pid` (sd_watchdog_enabled(3)), else None."""
    said, meant_for = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not (said.isascii() and said.isdigit()) or int(said) == 0:
        return None
    if meant_for and meant_for != str(pid):
        return None
    return int(said) * NS_PER_US


@dataclass(slots=True, kw_only=True)
class Heartbeat:
    """When to tell the watchdog that all is well: pure, times are arguments on one clock in ns.

    A sign of life is due twice in `watchdog_ns`, and is withheld once nothing has advanced for `patience_ns`: a
    loop that turns and measures nothing must be restarted, and a watchdog that is fed by the loop alone never would.
    """

    watchdog_ns: int | None
    patience_ns: int
    progressed_ns: int
    told_ns: int | None = None

    def progress(self, now_ns: int) -> None:
        """Note that the work has advanced."""
        self.progressed_ns = now_ns

    @property
    def next_due_ns(self) -> int | None:
        """When to look again; None without a watchdog."""
        if self.watchdog_ns is None:
            return None
        return 0 if self.told_ns is None else self.told_ns + self.watchdog_ns // 2

    def beat(self, now_ns: int) -> bool:
        """Return whether to tell the watchdog now; the look counts as told, so that a stalled device does not spin."""
        due_ns = self.next_due_ns
        if due_ns is None or now_ns < due_ns:
            return False
        self.told_ns = now_ns
        return now_ns - self.progressed_ns <= self.patience_ns


def _one_line(text: str) -> str:
    """Return `text` without line breaks, which would begin another assignment."""
    return " ".join(text.split())[:_LONGEST]
