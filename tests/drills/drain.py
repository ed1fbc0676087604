"""A backlog over a thin line that has just come back, steady or with cuts: minutes, bytes a record, the headline.

    python -m tests.drills drain --rate-bit-s 64000 --records 11000 --cut-every-s 15 --way wss --seed 1

In network namespaces: the real sender and outbox here, the real mosquitto and collector there, between them a censor
that carries no more than the rate, and 60 ms each way. The device goes the way that `--way` says: MQTT over WebSocket
over mutual TLS 1.3 with signed messages as it does by default, over TLS alone, or plain without an identity. First the
line is dead for a while, and the device knows it; then it is back, at no special moment of the device's knocking. A
cut resets what passes for half a second and leaves the line dead for a second in all; with `--silent` the line is dead for that second and nobody is told. Bytes are those of IP packets,
counted at the far end of the line. At the end the collector's own audit says whether all of it is stored, once. Then
plain paho publishes a sample one message a record, in the same run, over the same kind of connection. It must never
go on when a part of it has ended: it says which.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from appliance.delivery.network.link import SyncSettings
from appliance.delivery.network.reachability import EVERY_S
from appliance.delivery.network.sender import Sync
from appliance.events import Event, OutboxChanged, SyncChanged, TransportTried
from appliance.outbox.box import Outbox
from appliance.parts import identity_of
from appliance.storage.datadir import DataDir
from appliance.storage.quota import Quota
from tests import namespaces
from tests.drills import week
from tests.drills.far_side import DEVICE, PLAIN_TOPIC, WAYS, FarSide, far_side
from tests.nation.censor import wire
from tests.nation.censor.process import Censor, CensorError
from tests.nation.censor.street import SERVER, SERVER4, street
from tests.waiting import until

DEAD_S: Final = 1.0
RESET_S: Final = 0.5
"""Of that, how long packets are answered with resets: a far end acknowledges no more often than each 0.4 s."""
SAMPLE: Final = 300
STILL_S: Final = 300.0
"""A drain in which nothing gets through for so long is over."""
_ETHERNET: Final = 14
_LIMIT_S: Final = 5400
_DEAD: Final = '[[rule]]\nname = "dead"\ndo = "drop"\n'


@dataclass(slots=True)
class _Heard:
    """What the sender said last, and when it last let a record go."""

    message: str = ""
    progress_at: float = 0.0
    ended: Counter[str] = field(default_factory=Counter)


class EndedError(RuntimeError):
    """The drill cannot go on: a part of it has ended, or nothing gets through. The message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One drain. `dark_s` is how long the line is dead before it comes back, `sample` is what paho publishes beside.

    `kill_censor_after_s` (0: never) shows that the drill notices.
    """

    seed: int
    rate_bit_s: int
    records: int
    cut_every_s: float
    dark_s: float
    sample: int
    silent: bool
    way: str
    kill_censor_after_s: float


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
    way: str = WAYS[0],
    kill_censor_after_s: float = 0.0,
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
                    way=way,
                    kill_censor_after_s=kill_censor_after_s,
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
    parser.add_argument("--way", choices=WAYS, help="how the device goes (wss, as it does by default)")
    parser.add_argument("--kill-censor-after-s", type=float, help="to see that the drill notices")
    return {key: value for key, value in vars(parser.parse_args(words)).items() if value is not None}


def line(rate_bit_s: int, cut_every_s: float, *, silent: bool = False) -> str:
    """Return the censor's rules for a line of a rate, with cuts."""
    cuts = ""
    if cut_every_s:
        at = cut_every_s - DEAD_S
        every = f"every_s = {cut_every_s}\n"
        if not silent:
            cuts = f'[[rule]]\nname = "cut"\ndo = "reset"\nfrom_s = {at}\nuntil_s = {at + RESET_S}\n{every}'
        cuts += f'[[rule]]\nname = "dead"\ndo = "drop"\nfrom_s = {at}\nuntil_s = {cut_every_s}\n{every}'
    return (
        f'{cuts}[[rule]]\nname = "thin"\ndo = "throttle"\nrate_bit_s = {rate_bit_s}\nhow = "shape"\n'
        "burst_bytes = 1500\nlimit_bytes = 32000\n"
        '[[rule]]\nname = "far"\ndo = "impair"\ndelay_ms = 60.0\n'
    )


def on_the_wire() -> tuple[int, int]:
    """Return the bytes of IP that came up the line and went down it."""
    (link,) = json.loads(namespaces.ip("-s -j link show dev eth0", node=SERVER))
    up, down = link["stats64"]["rx"], link["stats64"]["tx"]
    return up["bytes"] - _ETHERNET * up["packets"], down["bytes"] - _ETHERNET * down["packets"]


def run(words: dict[str, Any]) -> bool:
    """Drain once what `words` of `Asked` say, in the namespaces that this was called in; print what it took."""
    asked = Asked(**words)
    street()
    wire.offloads_off("eth0")
    with namespaces.inside(SERVER):
        wire.offloads_off("eth0")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        beyond = stack.enter_context(far_side(folder, asked.way))
        data = stack.enter_context(DataDir.open(folder / "device"))
        quota = Quota(path=data.path, cap_bytes=2**34)
        outbox = stack.enter_context(Outbox.open(data.outbox, device=data.device, quota=quota))
        for one in week.rounds(asked.records, seed=asked.seed, until_utc_ns=time.time_ns()):
            outbox.append(one)
        print(
            f"  {asked.records:,} records, of {week.records_a_week():,} a week by Iran's plan; the way is {asked.way}",
            flush=True,
        )
        try:
            with _censor(folder) as censor:
                wrong = _drain(data, outbox, beyond, censor, asked)
                wrong += _audit(folder)
                _beside(folder, beyond, censor, asked)
        except (CensorError, EndedError) as error:
            wrong = [str(error)]
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


def _must_run(beyond: FarSide, censor: Censor) -> None:
    """Raise `EndedError` when a part has ended by itself."""
    if said := ("the censor" if censor.has_ended else beyond.ended()):
        raise EndedError(f"{said} ended by itself in the midst of the drill")


def _drain(data: DataDir, outbox: Outbox, beyond: FarSide, censor: Censor, asked: Asked) -> list[str]:
    rate_bit_s, records, cut_every_s, ear = asked.rate_bit_s, asked.records, asked.cut_every_s, beyond.ear
    empty = threading.Event()
    stood_s: list[float] = []
    heard = _Heard()

    def notify(event: Event) -> None:
        if isinstance(event, OutboxChanged):
            heard.progress_at = time.monotonic()
            if event.waiting == 0:
                empty.set()
        elif isinstance(event, SyncChanged):
            heard.message = event.message
            if event.state == "waiting":
                heard.ended[event.message.partition("; next try")[0]] += 1
        elif isinstance(event, TransportTried) and event.tried.failure is None:
            stood_s.append(event.tried.runtime_ns / 1e9)

    settings = SyncSettings(host=SERVER4, ports=beyond.ports)
    sync = Sync(
        settings,
        outbox,
        software="tidegauge drill",
        country="ir",
        notify=notify,
        identity=lambda: identity_of(data),
    )
    sync.link_is_gone()  # as the daemon says when a round's verdict is a cut
    sync.start()
    try:
        time.sleep(asked.dark_s + random.Random(asked.seed).uniform(0.0, EVERY_S))
        censor.change(line(rate_bit_s, cut_every_s, silent=asked.silent))
        begun, before = time.monotonic(), on_the_wire()
        heard.ended.clear()
        while not empty.wait(0.5) and (took_s := time.monotonic() - begun) < _LIMIT_S:
            _must_run(beyond, censor)
            if time.monotonic() - max(begun, heard.progress_at) > STILL_S:
                raise EndedError(f"nothing got through for {STILL_S:g} s; the sender says: {heard.message}")
            if 0 < asked.kill_censor_after_s < took_s:
                os.kill(censor.pid, signal.SIGKILL)
        took_s = time.monotonic() - begun
        up, down = (after - was for after, was in zip(on_the_wire(), before, strict=True))
    finally:
        sync.stop()
    if not empty.is_set() or ear.headline_at is None or ear.first_record_at is None:
        return [f"{outbox.counts().waiting} records still wait"]
    cuts = int(took_s // cut_every_s) if cut_every_s else 0
    open_s = took_s - cuts * DEAD_S
    useful = ear.payload_bytes * records / len(ear.seqs)
    capacity = open_s * rate_bit_s / 8
    print(
        f"  headline {ear.headline_at - begun:.1f} s after the line was back ({ear.headline},"
        f" {ear.waiting:,} waiting), first record {ear.first_record_at - begun:.1f} s\n"
        f"  drained in {took_s / 60:.2f} min over {rate_bit_s:,} bit/s with {cuts} cuts: {ear.batches} batches,"
        f" {ear.hellos} hellos, {len(ear.seqs) - records:,} records sent twice, {ear.signed} messages signed\n"
        f"  {len(stood_s)} connections, standing {statistics.median(stood_s):.2f} s after their try began (median);"
        f" ended: {dict(heard.ended) or 'none'}\n"
        f"  {up / records:.1f} bytes a record up on the wire and {down / records:.1f} down;"
        f" {useful / records:.1f} of them payload\n"
        f"  {up / capacity:.1%} of what the line carries was used, {useful / capacity:.1%} by payload that was new",
        flush=True,
    )
    missing = set(range(1, records + 1)) - set(ear.seqs)
    return [f"{len(missing)} records never passed the broker"] if missing else []


def _audit(folder: Path) -> list[str]:
    words = [
        sys.executable,
        "-m",
        "firmware.commands.main",
        "collector",
        "--config",
        str(folder / "collector.toml"),
    ]
    words += ["audit", "--data", str(folder / "collector"), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    sums: dict[str, Any] = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
    print(f"  audit: status {done.returncode}, {json.dumps(sums)[:300]}", flush=True)
    return [] if done.returncode == 0 else [f"the audit ended with {done.returncode}: {done.stderr[-300:]}"]


def _beside(folder: Path, beyond: FarSide, censor: Censor, asked: Asked) -> None:
    """Publish a sample with plain paho, one message a record, over the same line without cuts, once connected."""
    rate_bit_s, records = asked.rate_bit_s, asked.records
    count = min(asked.sample, records)
    bodies = _bodies(folder, count)
    censor.change(line(rate_bit_s, 0.0))
    client = beyond.beside()
    client.connect_timeout = 30.0
    client.connect(SERVER4, beyond.port)
    client.loop_start()
    until(client.is_connected, "plain paho connected")
    before, begun = on_the_wire(), time.monotonic()
    for body in bodies:
        client.publish(PLAIN_TOPIC, body, qos=1)
    while beyond.ear.plain < count:
        _must_run(beyond, censor)
        time.sleep(0.02)
    took_s = time.monotonic() - begun
    up = on_the_wire()[0] - before[0]
    client.disconnect()
    client.loop_stop()
    how = (
        "as plain MQTT, as the device did"
        if asked.way == "plain"
        else f"over {asked.way} with mutual TLS 1.3 too"
    )
    print(
        f"  plain paho, one message a record, {how}: {up / count:.1f} bytes a record up, so {records:,} would take"
        f" {took_s / count * records / 60:.1f} min (a sample of {count} at {rate_bit_s:,} bit/s without cuts,"
        " unsigned, its handshake not counted)",
        flush=True,
    )


def _bodies(folder: Path, count: int) -> list[str]:
    """Return the JSON of `count` records, as the outbox has them."""
    with Outbox.open(folder / "sample.sqlite3", device=DEVICE) as outbox:
        for one in week.rounds(count, seed=1, until_utc_ns=time.time_ns()):
            outbox.append(one)
        return [row.body for row in outbox.oldest(count)]
