"""A backlog over a thin line that has just come back, steady or with cuts: minutes, bytes a record, the headline.

    python -m tests.drills drain --rate-bit-s 64000 --records 11000 --cut-every-s 15 --seed 1

In network namespaces: the real sender and outbox here, the real mosquitto and collector there, between them a censor
that carries no more than the rate, and 60 ms each way. First the line is dead for a while, and the device knows it;
then it is back. A cut resets every connection and leaves the line dead for a second; with `--silent` the line is dead
for that second and nobody is told. Bytes are those of IP packets,
counted at the far end of the line. Beside it, in the same run, plain paho publishes a sample one message a record.
At the end the collector's own audit says whether all of it is stored, once.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from appliance.events import Event, OutboxChanged
from appliance.outbox.box import Outbox
from appliance.outbox.room import Room
from appliance.sync.link import SyncSettings
from appliance.sync.sender import Sync
from appliance.sync.ways import Ports
from firmware.exchange import decode_batch, decode_hello
from tests import namespaces
from tests.collector.process import CollectorProcess
from tests.drills import week
from tests.mosquitto import Mosquitto
from tests.nation.censor import wire
from tests.nation.censor.process import Censor
from tests.nation.censor.street import SERVER, SERVER4, street

DEVICE: Final = "a1b2c3d4e5f6g7h8"
PORT: Final = 1883
DEAD_S: Final = 1.0
SAMPLE: Final = 300
_ETHERNET: Final = 14
_LIMIT_S: Final = 5400
_DEAD: Final = '[[rule]]\nname = "dead"\ndo = "drop"\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One drain. `dark_s` is how long the line is dead before it comes back, `sample` is what paho publishes beside."""

    seed: int
    rate_bit_s: int
    records: int
    cut_every_s: float
    dark_s: float
    sample: int
    silent: bool = False


def drill(
    *,
    times: int,
    seed: int,
    rate_bit_s: int = 64_000,
    records: int = 11_000,
    cut_every_s: float = 0.0,
    dark_s: float = 60.0,
    sample: int = SAMPLE,
    silent: bool = False,
) -> bool:
    """Print the figures of `times` drains; the rest as in `Asked`."""
    return all(
        namespaces.call(
            run,
            asdict(
                Asked(
                    seed=seed + number,
                    rate_bit_s=rate_bit_s,
                    records=records,
                    cut_every_s=cut_every_s,
                    dark_s=dark_s,
                    sample=sample,
                    silent=silent,
                )
            ),
            limit_s=_LIMIT_S,
        )
        for number in range(times)
    )


def options(words: list[str]) -> dict[str, float]:
    """Return what the command's own options ask for, as `drill` takes it."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills drain")
    parser.add_argument("--rate-bit-s", type=int, help="what the line carries (64000)")
    parser.add_argument("--records", type=int, help="how many wait (11000; a week has 77448)")
    parser.add_argument("--cut-every-s", type=float, help="a cut so often; 0 for none")
    parser.add_argument("--dark-s", type=float, help="how long the line is dead before it comes back (60)")
    parser.add_argument("--silent", action="store_true", help="cuts reset no connection")
    return {key: value for key, value in vars(parser.parse_args(words)).items() if value is not None}


def line(rate_bit_s: int, cut_every_s: float, *, silent: bool = False) -> str:
    """Return the censor's rules for a line of a rate, with cuts."""
    cuts = ""
    if cut_every_s:
        at = cut_every_s - DEAD_S
        every = f"every_s = {cut_every_s}\n"
        if not silent:
            cuts = f'[[rule]]\nname = "cut"\ndo = "reset"\nfrom_s = {at}\nuntil_s = {at + 0.3}\n{every}'
        cuts += f'[[rule]]\nname = "dead"\ndo = "drop"\nfrom_s = {at}\nuntil_s = {cut_every_s}\n{every}'
    return (
        f'{cuts}[[rule]]\nname = "thin"\ndo = "throttle"\nrate_bit_s = {rate_bit_s}\nhow = "shape"\n'
        "burst_bytes = 1500\nlimit_bytes = 32000\n"
        '[[rule]]\nname = "far"\ndo = "impair"\ndelay_ms = 60.0\n'
    )


class Ear:
    """Listens at the broker, on the far side of the line, to what devices say."""

    def __init__(self, port: int) -> None:
        self.headline_at: float | None = None
        self.headline = ""
        self.waiting = 0
        self.first_record_at: float | None = None
        self.hellos = 0
        self.batches = 0
        self.batch_bytes = 0
        self.seqs: list[int] = []
        self.plain = 0
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="ear")
        self._client.on_connect = lambda client, *_: client.subscribe([("p1/up/#", 0), ("plain/#", 0)])
        self._client.on_message = self._hear
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        now = time.monotonic()
        if message.topic.startswith("plain/"):
            self.plain += 1
        elif message.topic.endswith("/hello"):
            self.hellos += 1
            hello = decode_hello(bytes(message.payload))
            if self.headline_at is None and hello.headline:
                self.headline_at = now
                self.headline = hello.headline[0].verdict
                self.waiting = hello.waiting
        else:
            self.batches += 1
            self.batch_bytes += len(message.payload)
            self.first_record_at = self.first_record_at or now
            self.seqs += decode_batch(bytes(message.payload)).seqs


def on_the_wire() -> tuple[int, int]:
    """Return the bytes of IP that came up the line and went down it."""
    (link,) = json.loads(namespaces.ip("-s -j link show dev eth0", node=SERVER))
    up, down = link["stats64"]["rx"], link["stats64"]["tx"]
    return up["bytes"] - _ETHERNET * up["packets"], down["bytes"] - _ETHERNET * down["packets"]


@contextmanager
def far_side(folder: Path) -> Iterator[tuple[CollectorProcess, Ear]]:
    """Start broker, collector and ear beyond the line."""
    (folder / "broker").mkdir()
    broker = Mosquitto(folder / "broker", extra=(f"listener {PORT} {SERVER4}",))
    with ExitStack() as stack:
        with namespaces.inside(SERVER):
            broker.start()
            stack.callback(broker.stop)
            collector = stack.enter_context(
                CollectorProcess(folder / "collector", "--broker", f"127.0.0.1:{broker.port}")
            )
            ear = Ear(broker.port)
            stack.callback(ear.close)
        yield collector, ear


def run(words: dict[str, Any]) -> bool:
    """Drain once what `words` of `Asked` say, in the namespaces that this was called in; print what it took."""
    asked = Asked(**words)
    street()
    wire.offloads_off("eth0")
    with namespaces.inside(SERVER):
        wire.offloads_off("eth0")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Outbox.open(
            folder / "outbox.sqlite3", device=DEVICE, room=Room(path=folder, cap_bytes=2**34)
        ) as outbox:
            for one in week.rounds(asked.records, seed=asked.seed, until_utc_ns=time.time_ns()):
                outbox.append(one)
            print(
                f"  {asked.records:,} records, of {week.records_a_week():,} a week by Iran's plan", flush=True
            )
            with far_side(folder) as (collector, ear):
                with _censor(folder) as censor:
                    wrong = _drain(outbox, ear, censor, asked)
                    _beside(folder, ear, censor, asked)
                wrong += _audit(folder, collector)
    for fault in wrong:
        print(f"  WRONG: {fault}", flush=True)
    return not wrong


@contextmanager
def _censor(folder: Path) -> Iterator[Censor]:
    with namespaces.inside("censor"):
        censor = Censor(("inside", "outside"), _DEAD, folder / "censor.log")
        censor.__enter__()
    try:
        yield censor
    finally:
        censor.__exit__(None, None, None)


def _drain(outbox: Outbox, ear: Ear, censor: Censor, asked: Asked) -> list[str]:
    rate_bit_s, records, cut_every_s = asked.rate_bit_s, asked.records, asked.cut_every_s
    empty = threading.Event()

    def notify(event: Event) -> None:
        if isinstance(event, OutboxChanged) and event.waiting == 0:
            empty.set()

    settings = SyncSettings(host=SERVER4, ports=Ports(mqtt=PORT))
    sync = Sync(settings, outbox, software="tidegauge drill", country="ir", notify=notify)
    sync.link_is_gone()  # as the daemon says when a round's verdict is a cut
    sync.start()
    time.sleep(asked.dark_s)
    censor.change(line(rate_bit_s, cut_every_s, silent=asked.silent))
    begun, before = time.monotonic(), on_the_wire()
    empty.wait(_LIMIT_S)
    took_s = time.monotonic() - begun
    up, down = (after - was for after, was in zip(on_the_wire(), before, strict=True))
    sync.stop()
    if not empty.is_set() or ear.headline_at is None or ear.first_record_at is None:
        return [f"{outbox.counts().waiting} records still wait"]
    cuts = int(took_s // cut_every_s) if cut_every_s else 0
    open_s = took_s - cuts * DEAD_S
    useful = ear.batch_bytes * records / len(ear.seqs)
    capacity = open_s * rate_bit_s / 8
    print(
        f"  headline {ear.headline_at - begun:.1f} s after the line was back ({ear.headline},"
        f" {ear.waiting:,} waiting), first record {ear.first_record_at - begun:.1f} s\n"
        f"  drained in {took_s / 60:.2f} min over {rate_bit_s:,} bit/s with {cuts} cuts: {ear.batches} batches,"
        f" {ear.hellos} hellos, {len(ear.seqs) - records:,} records sent twice\n"
        f"  {up / records:.1f} bytes a record up on the wire and {down / records:.1f} down;"
        f" {useful / records:.1f} of them payload\n"
        f"  {up / capacity:.1%} of what the line carries was used, {useful / capacity:.1%} by payload that was new",
        flush=True,
    )
    missing = set(range(1, records + 1)) - set(ear.seqs)
    return [f"{len(missing)} records never passed the broker"] if missing else []


def _beside(folder: Path, ear: Ear, censor: Censor, asked: Asked) -> None:
    """Publish a sample with plain paho, one message a record, over the same line without cuts."""
    rate_bit_s, records = asked.rate_bit_s, asked.records
    count = min(asked.sample, records)
    bodies = _bodies(folder, count)
    censor.change(line(rate_bit_s, 0.0))
    before, begun = on_the_wire(), time.monotonic()
    client = Client(CallbackAPIVersion.VERSION2, client_id="plain")
    client.connect_timeout = 30.0
    client.connect(SERVER4, PORT)
    client.loop_start()
    for body in bodies:
        client.publish("plain/record", body, qos=1)
    namespaces.until(lambda: ear.plain >= count, "the sample published", limit_s=_LIMIT_S)
    took_s = time.monotonic() - begun
    up = on_the_wire()[0] - before[0]
    client.disconnect()
    client.loop_stop()
    print(
        f"  plain paho, one message a record: {up / count:.1f} bytes a record up, so {records:,} would take"
        f" {took_s / count * records / 60:.1f} min (a sample of {count} at {rate_bit_s:,} bit/s without cuts)",
        flush=True,
    )


def _bodies(folder: Path, count: int) -> list[str]:
    """Return the JSON of `count` records, as the outbox has them."""
    with Outbox.open(folder / "sample.sqlite3", device=DEVICE) as outbox:
        for one in week.rounds(count, seed=1, until_utc_ns=time.time_ns()):
            outbox.append(one)
        return [row.body for row in outbox.oldest(count)]


def _audit(folder: Path, collector: CollectorProcess) -> list[str]:
    collector.end()
    words = (sys.executable, "-m", "firmware.commands.main", "collector", "audit")
    done = subprocess.run(
        [*words, "--data", str(folder / "collector"), "--json"], capture_output=True, text=True, check=False
    )
    sums: dict[str, Any] = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
    print(f"  audit: status {done.returncode}, {json.dumps(sums)[:300]}", flush=True)
    return [] if done.returncode == 0 else [f"the audit ended with {done.returncode}: {done.stderr[-300:]}"]
