"""Which word a transfer's end has, by what was raised: asyncio's own words have no errno, the kernel's have."""

import asyncio
import errno
import ssl

import pytest

from collector.measurement.ended import end_of
from collector.measurement.refusals import refused
from firmware.model.server_half import HalfEnd


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (refused(429, "enough"), HalfEnd.REFUSED),
        (refused(408, "too long"), HalfEnd.TIMED_OUT),
        (TimeoutError(), HalfEnd.TIMED_OUT),
        (OSError(errno.ETIMEDOUT, "x"), HalfEnd.UNANSWERED),
        (OSError(errno.EHOSTUNREACH, "x"), HalfEnd.UNANSWERED),
        (ConnectionResetError(errno.ECONNRESET, "x"), HalfEnd.RESET_RECEIVED),
        (BrokenPipeError(errno.EPIPE, "x"), HalfEnd.RESET_RECEIVED),
        (ConnectionResetError("Connection lost"), HalfEnd.CLOSED_EARLY),
        (ssl.SSLEOFError(8, "x"), HalfEnd.CLOSED_EARLY),
        (ssl.SSLError(1, "x"), HalfEnd.BROKEN_TLS),
        (asyncio.CancelledError(), HalfEnd.STOPPED),
    ],
)
def test_each_end_has_its_word(error: BaseException, end: HalfEnd) -> None:
    assert end_of(error) is end


@pytest.mark.parametrize(("state", "end"), [(7, HalfEnd.RESET_RECEIVED), (8, HalfEnd.CLOSED_EARLY)])
def test_where_asyncio_does_not_say_the_kernels_state_tells_a_reset_from_a_close(
    state: int, end: HalfEnd
) -> None:
    assert end_of(ConnectionResetError("Connection lost"), state) is end
    assert end_of(TimeoutError(), state) is HalfEnd.TIMED_OUT
    assert end_of(OSError(errno.ETIMEDOUT, "x"), state) is HalfEnd.UNANSWERED
