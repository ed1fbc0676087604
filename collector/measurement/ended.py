"""How a transfer ended, by what ended it here and how the kernel had the connection then. Pure."""

import errno
import ssl
from typing import Final

from collector.measurement.refusals import RefusedError
from firmware.model.server_half import HalfEnd

_RESET: Final = frozenset({errno.ECONNRESET, errno.EPIPE})
_NO_WAY: Final = frozenset({errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN})
_TOOK_TOO_LONG: Final = 408
_CLOSE: Final = 7
"""TCP_CLOSE (include/net/tcp_states.h): the connection is gone, and not by a FIN."""


def end_of(error: BaseException, tcp_state: int | None = None) -> HalfEnd:
    """Return how a transfer ended that `error` was raised in, with the connection in the kernel's `tcp_state` (None: not known).

    A time limit of ours has no errno, the kernel's has; what asyncio raises for a connection that is lost has one or none.
    """
    match error:
        case RefusedError():
            return HalfEnd.TIMED_OUT if error.refusal.status == _TOOK_TOO_LONG else HalfEnd.REFUSED
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return HalfEnd.CLOSED_EARLY
        case ssl.SSLError():
            return HalfEnd.BROKEN_TLS
        case OSError(errno=number) if number in _RESET:
            return HalfEnd.RESET_RECEIVED
        case OSError(errno=number) if number in _NO_WAY:
            return HalfEnd.UNANSWERED
        case TimeoutError():
            return HalfEnd.TIMED_OUT
        case OSError():
            return HalfEnd.RESET_RECEIVED if tcp_state == _CLOSE else HalfEnd.CLOSED_EARLY
        case _:
            return HalfEnd.STOPPED
