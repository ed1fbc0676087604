"""A transfer on a stream that never has to wait lets others run after every record: by order, on streams of the test's own."""

from typing import cast

import pytest

from firmware.net.access import Net, TcpStream
from firmware.net.loop import Loop, boottime_ns
from firmware.net.stamps import ArrivalStamp, Departure, depart, read_clock_offset
from firmware.protocols.tls_records import RECORD_BYTES
from firmware.protocols.tls_stream import TlsStream
from firmware.protocols.transfer_exchange import TransferEnd, TransferRequest, TransferStory, run_transfer
from tests.probing import probe

RECORDS = 20


class Endless:
    """Both layers of a stream at once: all that is asked for is there at once, and all that is sent is taken."""

    def __init__(self, order: list[str], answer: list[bytes]) -> None:
        self.sent: Departure | None = None
        self.first_arrival: ArrivalStamp | None = None
        self.on_arrival = None
        self.most_at_once = 0
        self.sent_bytes = self.received_bytes = self.waited_ns = 0
        self._order = order
        self._answer = answer

    async def send_all(self, data: bytes, *, deadline_ns: int) -> None:
        self.sent = depart()
        self.sent_bytes += len(data)
        self._order.append("piece")

    async def receive(self, *, deadline_ns: int) -> bytes:
        self.first_arrival = ArrivalStamp(boottime_ns(), None, read_clock_offset())
        self._order.append("piece")
        return self._answer.pop(0)

    def raw_info(self) -> bytes:
        return b""

    def settle(self) -> int:
        return 0

    def reset_at_close(self) -> None:
        raise AssertionError("it is complete")

    def elapsed(self, *_: object) -> object:
        return None


@pytest.mark.parametrize("is_upload", [False, True])
def test_another_job_has_its_turn_after_every_record(*, is_upload: bool) -> None:
    count = RECORDS * RECORD_BYTES
    order: list[str] = []
    body = b'{"bytes": %d, "elapsed_ms": 1}' % count
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(body) if is_upload else count)
    answer = [head, body] if is_upload else [head, *[bytes(RECORD_BYTES)] * RECORDS]
    stream, story = Endless(order, answer), TransferStory()

    async def other(loop: Loop) -> None:
        while True:
            order.append("other")
            await loop.turn()

    async def run(net: Net) -> None:
        asked = TransferRequest(
            is_upload=is_upload,
            byte_count=count,
            most_ns=10**15,
            nonce="0" * 32,
            token="a.b",
            host="h",
        )
        net.deadline_ns = boottime_ns() + 10**15
        beside = net.loop.spawn(other(net.loop))
        await run_transfer(net, cast("TcpStream", stream), cast("TlsStream", stream), asked, story)
        beside.cancel()

    probe(run)
    assert story.ending is TransferEnd.COMPLETE
    assert stream.most_at_once == RECORD_BYTES
    assert order.count("piece") == RECORDS + (3 if is_upload else 2)
    # The request and what follows it at once are two pieces: between the records there is always another's turn.
    pieces = [place for place, word in enumerate(order) if word == "piece"][2:]
    assert all(order[place - 1] == "other" for place in pieces)
