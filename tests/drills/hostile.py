"""A device of ours in an enemy's hands: it floods, forges, replays, inflates, sends 100 MB, and writes to another's topic.

It has a key and a certificate that count, and a broker and a collector as they face the network: mutual TLS, one branch a
device, every message signed. Beside it an honest device delivers what it measures. After each attack all that the honest
one has must have arrived, the account must be exact, and what was stored for it must be what it said; how long its
delivery took is printed beside how long it took in peace.
"""

import contextlib
import json
import random
import socket
import sqlite3
import ssl
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from appliance.delivery.network.link import SyncSettings
from appliance.delivery.network.sender import Sync
from appliance.identity.files import IdentityFiles
from appliance.identity.identity import DeviceIdentity
from appliance.outbox.box import Outbox
from appliance.storage.datadir import DataDir
from appliance.transports import Ports
from firmware.wire.messages import Tombstone, encode_batch, encode_hello
from tests.collector.scripted_device import batch_of, hello_of
from tests.drills import light_mqtt as mqtt
from tests.drills.place import Place
from tests.firmware.records import tcp_record

HONEST, ENEMY = "h" * 16, "e" * 16
RECORDS = 300
FLOOD_S = 4.0
LIMIT_S = 180.0
HUGE = 100_000_000
PACE = 40


def drill(*, times: int, seed: int, flood_s: float = FLOOD_S, records: int = RECORDS) -> bool:
    """Attack `times` times in each way; print what was found."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name, _honest(Path(name)) as honest:
        enemy = _Enemy(honest.place, rng, flood_s)
        ok = _tell("in peace", honest.deliver(records), honest.audit())
        for _ in range(times):
            for attack in enemy.attacks:
                thread = threading.Thread(target=attack, daemon=True)
                thread.start()
                took_s = honest.deliver(records)
                thread.join(LIMIT_S)
                assert not thread.is_alive(), attack.__name__
                said = f"{attack.__name__.replace('_', ' ')}: {enemy.said}"
                ok = _tell(said, took_s, honest.audit()) and ok
        honest.tell_memory()
    return ok


def _tell(what: str, took_s: float | None, wrong: str) -> bool:
    arrived = "did NOT arrive" if took_s is None else f"arrived in {took_s:.1f} s"
    print(
        f"  {what}\n      the honest device's records {arrived}; {wrong or 'its account is exact'}",
        flush=True,
    )
    return took_s is not None and not wrong


class _Honest:
    """The honest device, with its outbox and its sender, in this process."""

    def __init__(self, place: Place, outbox: Outbox, sync: Sync) -> None:
        self.place = place
        self._outbox = outbox
        self._sync = sync
        self._made = 0

    def deliver(self, count: int) -> float | None:
        """Measure `count` times; return how long it took until all was acknowledged, None if it never was."""
        began_s = time.monotonic()
        for _ in range(count // 20):
            records = [tcp_record(number) for number in range(self._made + 1, self._made + 21)]
            self._outbox.append(records)
            self._made += len(records)
            self._sync.wake()
            time.sleep(0.02)
        while self._outbox.counts().waiting:
            if time.monotonic() - began_s > LIMIT_S:
                return None
            time.sleep(0.02)
        return time.monotonic() - began_s

    def audit(self) -> str:
        """Return what is wrong with the honest device's account, "" if nothing is."""
        code, said = self.place.audit("--json", "--device", HONEST)
        epochs = [json.loads(line) for line in said.splitlines() if '"epoch"' in line]
        sums = {key: sum(one[key] for one in epochs) for key in ("produced", "stored", "proved", "faults")}
        if code or sums != {"produced": self._made, "stored": self._made, "proved": self._made, "faults": 0}:
            return f"{self._made} made: {said[:2000]}"
        connection = sqlite3.connect(f"file:{self.place.data / 'collector.sqlite3'}?mode=ro", uri=True)
        rows = connection.execute(
            "SELECT round_id FROM record WHERE device = ? ORDER BY seq", (HONEST,)
        ).fetchall()
        connection.close()
        return (
            ""
            if [number for (number,) in rows] == list(range(1, self._made + 1))
            else "other records than it made"
        )

    def tell_memory(self) -> None:
        """Print how much memory broker and collector came to need, and how much the enemy left behind."""
        assert self.place.collector is not None
        for what, pid in (("collector", self.place.collector.pid), ("broker", self.place.broker.process.pid)):
            print(f"  {what}: {peak_mb(pid):.0f} MB of memory at the most")
        size = sum(file.stat().st_size for file in self.place.data.glob("collector.sqlite3*"))
        connection = sqlite3.connect(f"file:{self.place.data / 'collector.sqlite3'}?mode=ro", uri=True)
        (kept,) = connection.execute("SELECT count(*) FROM reject").fetchone()
        (stored,) = connection.execute("SELECT count(*) FROM record WHERE device = ?", (ENEMY,)).fetchone()
        reasons = connection.execute(
            "SELECT substr(reason, 1, 60), count(*) FROM reject GROUP BY 1 ORDER BY 2 DESC LIMIT 12"
        ).fetchall()
        connection.close()
        print(
            f"  the database has {size / 1e6:.1f} MB; {kept} refused messages are kept, and {stored} records of the enemy's"
        )
        for reason, count in reasons:
            print(f"    {count:>4} × {reason}")


class _Enemy:
    """What it does, each with all its might; `said` is what came of the last."""

    def __init__(self, place: Place, rng: random.Random, flood_s: float) -> None:
        data = place.device(ENEMY)
        place.world.write_broker()
        place.broker.reload()
        self._identity = DeviceIdentity.load(IdentityFiles(data=data), device=ENEMY)
        self._place = place
        self._rng = rng
        self._flood_s = flood_s
        self.said = ""
        self.attacks: tuple[Callable[[], None], ...] = (
            self.writes_to_anothers_topics,
            self.forges_and_does_not_sign,
            self.replays_what_it_heard_and_what_it_said,
            self.inflates,
            self.lies_about_what_it_holds,
            self.sends_100_mb,
            self.posts_100_mb,
            self.floods_with_noise,
            self.floods_with_signed_messages,
            self.opens_connections_and_says_nothing,
        )

    def _connected(self, name: str = "enemy") -> ssl.SSLSocket:
        return mqtt.over_tls(self._place.broker.port, self._identity.tls(), name)

    def _send(self, messages: list[tuple[str, bytes]]) -> int:
        """Send each with QoS 1; return how many the broker said it took."""
        with self._connected() as sock:
            for number, (topic, payload) in enumerate(messages, 1):
                sock.sendall(mqtt.publish(topic, payload, number=number))
                if number % PACE == 0:
                    time.sleep(0.3)  # more at once are not taken in, and then not judged
            parser, taken = mqtt.Parser(), 0
            with contextlib.suppress(TimeoutError, OSError):
                while taken < len(messages) and (data := sock.recv(65536)):
                    taken += sum(kind == mqtt.PUBACK for kind, _ in parser.feed(data))
            return taken

    def _batch(self, *seqs: int, device: str = ENEMY) -> bytes:
        return encode_batch(batch_of(seqs, device=device))

    def writes_to_anothers_topics(self) -> None:
        payload = self._batch(1, 2, 3, device=HONEST)
        ack = b'{"v":1,"epoch":"0123456789abcdef","upto":1000000,"ranges":[],"rejects":[],"retry_after_s":0}'
        sent = [
            (f"p1/up/{HONEST}/live", self._identity.sign("live", payload)),
            (
                f"p1/up/{HONEST}/hello",
                self._identity.sign("hello", encode_hello(hello_of(1, 10**9, device=HONEST))),
            ),
            (f"p1/dn/{HONEST}/ack", self._identity.sign("ack", ack)),
            (f"p1/dn/{HONEST}/collector", self._identity.files.certificate.read_bytes()),
            (f"p1/st/{HONEST}", b'{"online": false}'),
            ("$SYS/broker/uptime", b"0"),
        ] * 20
        self.said = f"{len(sent)} sent, the broker dropped them all ({self._send(sent)} PUBACKs, as MQTT 3.1.1 has it)"

    def forges_and_does_not_sign(self) -> None:
        mine = f"p1/up/{ENEMY}/live"
        signed = self._identity.sign("live", self._batch(1, 2, 3, device=HONEST))
        broken = bytearray(self._identity.sign("live", self._batch(7)))
        broken[40] ^= 1
        unknown = bytearray(self._identity.sign("live", self._batch(8)))
        unknown[5] ^= 1
        sent = [(mine, signed), (mine, self._batch(9)), (mine, bytes(broken)), (mine, bytes(unknown))] * 10
        self.said = f"{self._send(sent)} sent: another's name signed by itself, no signature, a broken one, an unknown key"

    def replays_what_it_heard_and_what_it_said(self) -> None:
        connection = sqlite3.connect(f"file:{self._place.data / 'collector.sqlite3'}?mode=ro", uri=True)
        heard = connection.execute(
            "SELECT data FROM envelope WHERE device = ? LIMIT 20", (HONEST,)
        ).fetchall()
        connection.close()
        own = self._identity.sign("live", self._batch(101, 102))
        moved = self._identity.sign("hello", encode_hello(hello_of(1, 102, device=ENEMY)))
        sent = [(f"p1/up/{ENEMY}/live", data) for (data,) in heard]
        sent += [(f"p1/up/{ENEMY}/live", own)] * 20 + [(f"p1/up/{ENEMY}/live", moved)] * 5
        self.said = (
            f"{self._send(sent)} sent: {len(heard)} of the honest device's own messages, 20 times its own"
        )

    def inflates(self) -> None:
        bombs = [
            zlib.compress(b"0" * 15_000_000, 9),
            zlib.compress(b'{"v":1,"device":"' + ENEMY.encode() + b'","seqs":[' + b"1," * 500_000 + b"1]}", 9),
            zlib.compress(b"[" * 900_000, 9),
            encode_batch(batch_of(range(1000, 2000), device=ENEMY, context={"x": "y" * 700})),
            encode_batch(replace(batch_of([], device=ENEMY), tombstones=tuple(
                Tombstone(low=n, high=n, count=1, reason="x" * 60) for n in range(3001, 4001)))),
        ]  # fmt: skip
        sent = [(f"p1/up/{ENEMY}/bulk", self._identity.sign("bulk", bomb)) for bomb in bombs] * 5
        sizes = ", ".join(f"{len(bomb):,}" for bomb in bombs)
        self.said = f"{self._send(sent)} sent, of {sizes} bytes, up to a thousandfold inflated"

    def lies_about_what_it_holds(self) -> None:
        hellos = [
            hello_of(1, 2**62 - 1, device=ENEMY),
            replace(hello_of(1, 5, device=ENEMY), epoch="f" * 16),
            *(
                replace(hello_of(1, 5, device=ENEMY), epoch=f"{self._rng.getrandbits(64):016x}")
                for _ in range(200)
            ),
        ]
        gaps = [self._batch(*range(n, n + 400, 2)) for n in range(10_000, 30_000, 400)]
        sent = [(f"p1/up/{ENEMY}/hello", self._identity.sign("hello", encode_hello(one))) for one in hellos]
        sent += [(f"p1/up/{ENEMY}/live", self._identity.sign("live", one)) for one in gaps]
        self.said = f"{self._send(sent)} sent: {len(hellos)} epochs, {200 * len(gaps):,} records with a gap after each"

    def sends_100_mb(self) -> None:
        head = mqtt.packet(mqtt.PUBLISH, mqtt.text(f"p1/up/{ENEMY}/live"), length=HUGE)
        part, went = self._rng.randbytes(1 << 20), 0
        with contextlib.suppress(OSError), self._connected() as sock:
            sock.sendall(head)
            for _ in range(HUGE // len(part)):
                sock.sendall(part)
                went += len(part)
        self.said = f"cut off after {went / 1e6:.0f} of 100 MB at the most"

    def posts_100_mb(self) -> None:
        part, went, answer = self._rng.randbytes(1 << 16), 0, b""
        head = f"POST /p1/up/{ENEMY}/live HTTP/1.1\r\nHost: localhost\r\nContent-Length: {HUGE}\r\n\r\n"
        plain = socket.create_connection(("127.0.0.1", self._place.intake_port), timeout=30)
        with self._identity.tls().wrap_socket(plain, server_hostname="localhost") as sock:
            with contextlib.suppress(OSError):
                sock.sendall(head.encode())
                for _ in range(HUGE // len(part)):
                    sock.sendall(part)
                    went += len(part)
            with contextlib.suppress(OSError):
                answer = sock.recv(100)
        said = answer.split(b"\r")[0].decode("ascii", "replace") or "no answer"
        self.said = f"by HTTPS: {went / 1e6:.1f} of 100 MB went out, then: {said}"

    def floods_with_noise(self) -> None:
        noise = [mqtt.publish(f"p1/up/{ENEMY}/live", self._rng.randbytes(1000)) for _ in range(50)]
        self.said = f"{self._flood(noise):,} messages that are nothing, over 3 connections"

    def floods_with_signed_messages(self) -> None:
        hello = self._identity.sign("hello", encode_hello(hello_of(1, 50, device=ENEMY)))
        batch = self._identity.sign("live", self._batch(*range(500, 550)))
        both = [mqtt.publish(f"p1/up/{ENEMY}/hello", hello), mqtt.publish(f"p1/up/{ENEMY}/live", batch)]
        self.said = f"{self._flood(both):,} messages that are signed, over 3 connections"

    def _flood(self, packets: list[bytes]) -> int:
        counts = [0, 0, 0]
        block = b"".join(packets)

        def one(number: int) -> None:
            end_s = time.monotonic() + self._flood_s
            with contextlib.suppress(OSError), self._connected(f"enemy-{number}") as sock:
                while time.monotonic() < end_s:
                    sock.sendall(block)
                    counts[number] += len(packets)

        threads = [threading.Thread(target=one, args=(number,), daemon=True) for number in range(len(counts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT_S)
        return sum(counts)

    def opens_connections_and_says_nothing(self) -> None:
        with contextlib.ExitStack() as held:
            count = 0
            with contextlib.suppress(OSError, AssertionError):
                for count in range(60):
                    held.enter_context(self._connected(f"silent-{count}"))
            time.sleep(min(self._flood_s, 2.0))
        self.said = f"{count + 1} connections at once"


@contextmanager
def _honest(folder: Path) -> Iterator[_Honest]:
    place = Place(folder)
    data_path = place.device(HONEST)
    place.world.write_broker()
    try:
        place.start_broker()
        place.start_collector()
        with DataDir.open(data_path) as data, Outbox.open(data.outbox, device=HONEST) as outbox:
            sync = Sync(
                SyncSettings(
                    host="localhost", ports=Ports(wss=0, mqtts=place.broker.port, https=0), retry_max_s=1.0
                ),
                outbox,
                software="drill",
                country="xx",
                notify=lambda _: None,
                identity=lambda: DeviceIdentity.load(IdentityFiles(data=data_path), device=HONEST),
            )
            sync.start()
            try:
                yield _Honest(place, outbox, sync)
            finally:
                sync.stop()
    finally:
        place.close()


def peak_mb(pid: int) -> float:
    """Return the most memory a process ever had resident, in MB."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in status if line.startswith("VmHWM"))
