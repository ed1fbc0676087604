"""A WebSocket (RFC 6455) on a connection whose request was read: the library `websockets` decides, asyncio's streams carry.

No extension is offered: what is measured must not be compressed. It must never log what goes over it.
"""

import asyncio
import contextlib
import logging
from typing import Final, Self

from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from collector.measurement.http1 import PIECE_BYTES, HttpExchange
from collector.measurement.refusals import refused

MAX_MESSAGE_BYTES: Final = 1 << 24
"""As large as ndt7 allows a message to be."""
CLOSE_S: Final = 3.0

_SILENT: Final = logging.getLogger(f"{__name__}.library")
_SILENT.disabled = True


class WebSocketChannel:
    """An accepted WebSocket. One task may send and another receive."""

    def __init__(self, exchange: HttpExchange, protocol: ServerProtocol) -> None:
        self._reader = exchange.reader
        self._exchange = exchange
        self._writer = exchange.writer
        self._protocol = protocol
        self._waiting = list[Frame]()
        self._is_over = False

    @classmethod
    async def accept(cls, exchange: HttpExchange, subprotocol: str) -> Self:
        """Accept the request as a WebSocket of `subprotocol`. Raises `RefusedError`, `OSError`."""
        protocol = ServerProtocol(
            subprotocols=[Subprotocol(subprotocol)], max_size=MAX_MESSAGE_BYTES, logger=_SILENT
        )
        protocol.receive_data(exchange.raw_head)
        events = protocol.events_received()
        if not events or not isinstance(events[0], Request):
            raise refused(400, f"allowed is a WebSocket of the subprotocol {subprotocol}")
        response = protocol.accept(events[0])
        if response.status_code != 101:
            raise refused(400, f"allowed is a WebSocket of the subprotocol {subprotocol}")
        exchange.taken_over = True
        protocol.send_response(response)
        channel = cls(exchange, protocol)
        channel._waiting = [one for one in events[1:] if isinstance(one, Frame)]
        await channel._flush()
        return channel

    @property
    def is_open(self) -> bool:
        """Whether something can still be sent."""
        return self._protocol.state is State.OPEN

    async def send(self, message: bytes | str) -> None:
        """Send a message: bytes as a binary one, text as a text. Raises `OSError`, also where the other side has closed."""
        try:
            if isinstance(message, str):
                self._protocol.send_text(message.encode())
            else:
                self._protocol.send_binary(message)
        except InvalidState as error:
            raise ConnectionResetError("the WebSocket is closed") from error
        await self._flush()

    async def receive(self) -> tuple[Frame, ...]:
        """Return the frames that came next, none where the other side has closed. Raises `OSError`."""
        while not self._waiting and not self._is_over:
            piece = await self._reader.read(PIECE_BYTES)
            if piece:
                self._protocol.receive_data(piece)
            else:
                self._protocol.receive_eof()
            self._waiting = [one for one in self._protocol.events_received() if isinstance(one, Frame)]
            await self._flush()
            if not piece:
                self._is_over = True
        found, self._waiting = tuple(self._waiting), []
        return found

    async def close(self) -> None:
        """Close it, and wait a moment for the other side's close. Raises `OSError`."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(1000)
            await self._flush()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                while await self.receive():
                    pass

    async def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._writer.write(data)
            else:
                self._is_over = (
                    True  # both have said that they close: the server closes the connection (RFC 6455, 7.1.1)
                )
        await self._exchange.drained()


def size_of(frame: Frame) -> int:
    """Return how many bytes of messages a frame holds; a control frame holds none."""
    return len(frame.data) if frame.opcode in {Opcode.BINARY, Opcode.TEXT, Opcode.CONT} else 0


def is_binary(frame: Frame) -> bool:
    """Return whether a frame begins a binary message."""
    return frame.opcode is Opcode.BINARY
