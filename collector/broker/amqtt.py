"""amqtt as the broker, in a process of its own: `python -m collector.broker.amqtt HOST PORT`.

For machines without mosquitto. It speaks MQTT 3.1.1, keeps nothing on disk and carries some 2,000 messages a
second; the application ack makes that enough for a first look. It must never listen beyond the loopback: it
lets anybody in.
"""

import asyncio
import ipaddress
import logging
import signal
import sys
from typing import Final

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType
from amqtt.errors import BrokerError

_TURNS: Final = 2
"""One is enough for what is handed on at once; the second is for what was waiting."""
log = logging.getLogger("collector.broker.amqtt")


class _TurnTaking(StreamReaderAdapter):  # type: ignore[misc]  # amqtt has no types
    """Lets what was read before go on its way, before it reads on.

    amqtt hands each packet to a task of its own and reads on; from Python 3.12 its reader does so without a pause while
    there is something to read. Then a client that publishes and goes has gone before its messages are handed on, and amqtt
    throws them away; and one that sends much keeps all others waiting.
    """

    async def read(self, n: int = -1) -> bytes:
        """Read as asked, after the other tasks had their turn."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        data: bytes = await super().read(n)
        return data


class _Broker(Broker):  # type: ignore[misc]
    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        await self.external_connected(_TurnTaking(reader), StreamWriterAdapter(writer), listener_name)


async def serve(host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises amqtt's `BrokerError` when the port cannot be had."""
    config = BrokerConfig(
        listeners={"default": ListenerConfig(type=ListenerType.TCP, bind=f"{host}:{port}")},
        plugins={"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    )
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    broker = _Broker(config)
    await broker.start()
    await ending.wait()
    await broker.shutdown()


def main(arguments: list[str]) -> int:
    """Run; return the exit code."""
    host, port = arguments[0], int(arguments[1])
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    if not ipaddress.ip_address(host).is_loopback:
        log.error("%s is not a loopback address", host)
        return 2
    logging.getLogger("transitions").setLevel(logging.ERROR)
    try:
        asyncio.run(serve(host, port))
    except BrokerError:
        log.exception("the broker could not start")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
