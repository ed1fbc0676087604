"""A fleet comes back at once: thousands of devices with a backlog each, one mosquitto, one collector; then a slow collector.

The devices are simulated, all in this process, in bare MQTT (`tests.drills.light_mqtt`): each says hello, sends its batches
two at a time, holds back for as long as an ack asks it to, asks again with a hello when no answer comes, and is done when
all it has is acknowledged. Printed are the time to drain, the most memory that the collector came to need, and how often
and for how long devices were asked to wait. The account must be exact: everything that anybody produced is stored, once.
"""

import argparse
import asyncio
import json
import random
import resource
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from click.testing import CliRunner

from collector.command import collector
from firmware.wire.messages import Ack, decode_ack, encode_batch, encode_hello, topic
from tests.collector.process import CollectorProcess
from tests.collector.scripted_device import batch_of, hello_of
from tests.drills import light_mqtt as mqtt
from tests.drills.hostile import peak_mb
from tests.mosquitto import Mosquitto

DEVICES = 5000
BATCHES = 3
A_BATCH = 10
WINDOW = 2
ANSWER_S = 15.0
LIMIT_S = 1500.0
JITTER_S = 2.0
BROKER = ("max_queued_messages 10000", f"max_queued_bytes {64 * 1024 * 1024}", "max_inflight_messages 100")


def options(words: Sequence[str]) -> dict[str, int]:
    """Read the drill's own options."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills fleet")
    parser.add_argument("--devices", type=int, default=DEVICES, help="how many devices come back")
    return vars(parser.parse_args(words))


def drill(*, times: int, seed: int, devices: int = DEVICES, slow: float = 10.0) -> bool:
    """Have the fleet come back `times` times, to a collector at its speed and to one `slow` times slower."""
    rng = random.Random(seed)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * devices + 500)), hard))
    ok = True
    for _ in range(times):
        for factor in (1.0, slow):
            with tempfile.TemporaryDirectory() as name:
                ok = _come_back(Path(name), rng, devices, factor) and ok
    return ok


def _come_back(folder: Path, rng: random.Random, devices: int, factor: float) -> bool:
    (folder / "broker").mkdir()
    broker = Mosquitto(folder / "broker", extra=BROKER)
    broker.start()
    options = ("--broker", f"127.0.0.1:{broker.port}")
    data = folder / "collector"
    program = (sys.executable, "-m", "tests.drills.slow_collector", str(factor))
    try:
        with CollectorProcess(data, *options, program=program) as running:
            fleet = [_Device(f"{number:016d}", random.Random(rng.random())) for number in range(devices)]
            began_s = time.monotonic()
            said = _Said()
            asyncio.run(_all(fleet, broker.port, said))
            took_s = time.monotonic() - began_s
            done = sum(device.is_done for device in fleet)
            peak = peak_mb(running.process.pid)
            wrong = _wrong(data, devices)
    finally:
        broker.stop()
    records = devices * BATCHES * A_BATCH
    speed = "at its own speed" if factor == 1 else f"{factor:.0f} times slower"
    print(
        f"  {devices:,} devices, {records:,} records, the collector {speed}: {done:,} drained in {took_s:.0f} s"
        f" ({records / took_s:,.0f} records/s); {said}; the collector had {peak:.0f} MB at the most;"
        f" {wrong or 'the account is exact'}",
        flush=True,
    )
    return done == devices and not wrong


@dataclass
class _Said:
    """What the collector said to all of them."""

    acks: int = 0
    pauses: int = 0
    longest_s: float = 0.0
    hellos_again: int = 0
    connections: int = 0

    def __str__(self) -> str:
        return (
            f"{self.acks:,} acks, {self.pauses:,} of them asked to wait, for up to {self.longest_s:g} s;"
            f" {self.hellos_again:,} hellos because no answer came, {self.connections:,} connections"
        )


@dataclass
class _Device:
    """One device: its batches by their highest seq, and which wait for an ack."""

    name: str
    rng: random.Random
    acked: int = 0
    flying: set[int] = field(default_factory=set)
    hold_until_s: float = 0.0
    is_done: bool = False
    _packets: deque[tuple[int, bytes]] = field(default_factory=deque)
    _last: int = BATCHES * A_BATCH

    async def run(self, port: int, said: _Said) -> None:
        """Come back until all is acknowledged."""
        while not self.is_done:
            await asyncio.sleep(self.rng.random() * JITTER_S)
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, EOFError):
                await self._talk(port, said)

    async def _talk(self, port: int, said: _Said) -> None:
        async with asyncio.timeout(60):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        said.connections += 1
        try:
            self.flying.clear()
            self._packets.clear()
            writer.write(mqtt.connect(self.name) + mqtt.subscribe(topic(self.name, "dn", "ack")))
            parser = mqtt.Parser()
            await self._read(reader, parser, mqtt.SUBACK)
            self._hello(writer)
            while not self.is_done:
                ack = await self._read(reader, parser, 0, writer)
                if ack is None:
                    said.hellos_again += 1
                    self.flying.clear()
                    self._hello(writer)
                    continue
                said.acks += 1
                if ack.retry_after_s:
                    said.pauses += 1
                    said.longest_s = max(said.longest_s, ack.retry_after_s)
                    self.hold_until_s = time.monotonic() + ack.retry_after_s
                self._take(ack)
                self._send(writer)
        finally:
            writer.close()

    async def _read(
        self,
        reader: asyncio.StreamReader,
        parser: mqtt.Parser,
        wanted: int,
        writer: asyncio.StreamWriter | None = None,
    ) -> Ack | None:
        """Return the next ack; None when none came in time, or the packet `wanted` came."""
        end_s = time.monotonic() + ANSWER_S + 45 * (wanted != 0)
        while True:
            while self._packets:
                kind, body = self._packets.popleft()
                message = mqtt.message_of(kind, body)
                if message is not None:
                    return decode_ack(message[1])
                if wanted and kind == wanted:
                    return None
            now_s = time.monotonic()
            held = writer is not None and now_s < self.hold_until_s < end_s
            try:
                async with asyncio.timeout((self.hold_until_s if held else end_s) - now_s):
                    data = await reader.read(65536)
            except TimeoutError:
                if held and writer is not None:
                    self._send(writer)
                    end_s = time.monotonic() + ANSWER_S
                    continue
                if wanted:
                    raise
                return None
            if not data:
                raise EOFError
            self._packets.extend(parser.feed(data))

    def _hello(self, writer: asyncio.StreamWriter) -> None:
        hello = hello_of(self.acked + 1, self._last, device=self.name)
        writer.write(mqtt.publish(topic(self.name, "up", "hello"), encode_hello(hello), number=1))

    def _take(self, ack: Ack) -> None:
        self.flying = {high for high in self.flying if high > ack.upto and high not in ack.ranges}
        self.acked = max(self.acked, ack.upto)
        self.is_done = self.acked >= self._last

    def _send(self, writer: asyncio.StreamWriter) -> None:
        if time.monotonic() < self.hold_until_s:
            return
        for high in range(self.acked + A_BATCH, self._last + 1, A_BATCH):
            if high not in self.flying and len(self.flying) < WINDOW:
                self.flying.add(high)
                payload = _batch(self.name, high)
                writer.write(mqtt.publish(topic(self.name, "up", "bulk"), payload, number=1 + high))


_SAMPLES = {
    high: batch_of(range(high - A_BATCH + 1, high + 1))
    for high in range(A_BATCH, BATCHES * A_BATCH + 1, A_BATCH)
}


def _batch(device: str, high: int) -> bytes:
    return encode_batch(replace(_SAMPLES[high], device=device))


async def _all(fleet: list[_Device], port: int, said: _Said) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(LIMIT_S):
            await asyncio.gather(*(device.run(port, said) for device in fleet))


def _wrong(data: Path, devices: int) -> str:
    """Return what is wrong with the account, "" if nothing is."""
    done = CliRunner().invoke(collector, ["audit", "--data", str(data), "--json"])
    sums = json.loads(done.output.splitlines()[-1])
    records = devices * BATCHES * A_BATCH
    wanted = Counter(devices=devices, epochs=devices, produced=records, stored=records)
    found = Counter({key: sums[key] for key in wanted})
    if done.exit_code or found != wanted or sums["messages"] != devices * BATCHES:
        return f"NOT exact: {sums}"
    return ""
