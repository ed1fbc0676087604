"""An authority, devices and a collector's data directory in which every table has rows, for the tests of the audit."""

import datetime as dt
import sqlite3
from dataclasses import replace
from pathlib import Path
from queue import Queue
from typing import Any

from click.testing import CliRunner, Result

from appliance.identity.files import IdentityFiles
from appliance.identity.identity import DeviceIdentity
from collector.command import collector
from collector.messages import Delivery, OutgoingMessage
from collector.receive.inbox import Inbox
from collector.receive.ingest import IngestThread
from collector.store.arrivals import PresenceArrived
from collector.store.database import Store
from collector.store.scopes import Assessment, ScopeLog
from collector.store.second_looks import SecondLook
from collector.store.server_halves import HalfStore
from collector.store.vantage_log import Gap, VantageLog
from collector.store.vantage_streaks import Key, Sample
from collector.trust.gate import Gate
from collector.trust.registry import Registry
from collector.trust.signing import Signer
from firmware.judgement.site.evidence import SiteView, Stand, VantageSource
from firmware.model.jsontypes import JsonValue
from firmware.model.record import ClockQuality, Outcome, to_json
from firmware.model.statement import prose, stated
from firmware.wire.messages import Tombstone, Transition, encode_batch, encode_hello, topic
from provisioning.authority import Authority, write
from provisioning.certificates import Role, key_pem, make_key, make_request, pem
from tests.collector.halves_of import SERVER, account_of, signed_half
from tests.collector.scripted_device import batch_of, hello_of
from tests.firmware.records import tcp_record
from tests.waiting import LIMIT_S

A, B = "a" * 16, "b" * 16
ISSUED = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
RECEIVED_NS = int(dt.datetime(2026, 6, 1, tzinfo=dt.UTC).timestamp()) * 10**9


class World:
    """An authority, two devices, and a collector's data directory into which their messages go as they came."""

    def __init__(self, folder: Path, *, devices: tuple[str, ...] = (A, B)) -> None:
        self.folder = folder
        self.data = folder / "collector"
        self.data.mkdir()
        self.path = self.data / "collector.sqlite3"
        self.authority = folder / "authority"
        Authority.make(self.authority, name="Test", now=ISSUED)
        self.devices = {name: self._device(name) for name in devices}

    def _device(self, name: str) -> DeviceIdentity:
        files, key = IdentityFiles(data=self.folder / name), make_key()
        files.folder.mkdir(parents=True)
        with Authority.open(self.authority) as authority:
            _, chain = authority.issue_device(make_request(name, key), now=ISSUED)
            write(files.trust, pem(authority.root))
        write(files.certificate, chain)
        write(files.key, key_pem(key), mode=0o600)
        return DeviceIdentity.load(files, device=name)

    def take(self, *messages: tuple[str, bytes], device: str = A, signed: bool = True) -> None:
        """Have ingest take messages in: (leaf, payload)."""
        inbox = Inbox(max_messages=1000, max_bytes=10**8)
        store = Store.open(self.path)
        answers: Queue[OutgoingMessage] = Queue()
        gate = Gate(registry=Registry(self.authority)) if signed else Gate()
        thread = IngestThread(store, inbox, answers.put, gate=gate)
        for leaf, payload in messages:
            came = self.devices[device].sign(leaf, payload) if signed else payload
            inbox.put(Delivery(topic=topic(device, "up", leaf), payload=came, received_ns=RECEIVED_NS))
        thread.start()
        for _ in messages:
            answers.get(timeout=LIMIT_S)
        thread.stop()
        store.close()

    def hear_server(self) -> None:
        """Store a half of each device's test by a measurement server that the authority issued."""
        key = make_key()
        with Authority.open(self.authority) as authority:
            authority.issue("measurement", Role.MEASUREMENT_SERVER, key.public_key(), now=ISSUED)
        self.server = Signer(key=key, chain=b"")
        halves = HalfStore.open(self.path)
        given = [
            signed_half(n, signer=self.server, device=device) for n, device in enumerate((A, B), start=1)
        ]
        halves.add(SERVER, account_of(2), given, received_ns=RECEIVED_NS)
        halves.add(SERVER, account_of(0, epoch="0" * 16), [], received_ns=RECEIVED_NS - 1)
        halves.close()

    def tamper(self, sql: str, *values: Any) -> None:
        connection = sqlite3.connect(self.path)
        assert connection.execute(sql, values).rowcount >= 1
        connection.commit()
        connection.close()

    def audit(self, *words: str, ca: bool = True) -> Result:
        where = ("--ca", str(self.authority)) if ca else ()
        return CliRunner().invoke(
            collector, ["audit", "--data", str(self.data), *where, *words], catch_exceptions=False
        )


def records(
    *seqs: int, device: str = A, tombstones: tuple[Tombstone, ...] = (), incarnation: str = ""
) -> tuple[str, bytes]:
    return "live", encode_batch(
        replace(batch_of(seqs, device=device), tombstones=tombstones, incarnation=incarnation)
    )


C = "c" * 16
"""A device that has an identity and was never heard."""


def every_table(folder: Path) -> World:
    """Return a world whose database has rows in each of its tables, and nothing wrong with it."""
    made = World(folder, devices=(A, B, C))
    incarnations = (("5" * 16, 1),)
    transition = Transition(
        since_utc_ns=RECEIVED_NS, error_ns=5, quality=ClockQuality.HOLDOVER, verdict="ok", rule_id="all-well"
    )
    hello = replace(hello_of(1, 14, device=A), incarnations=incarnations, headline=(transition,))
    bad = batch_of([12, 13])
    bad = replace(
        bad, device=A, incarnation="5" * 16, records=(bad.records[0], {**bad.records[1], "zone": "moon"})
    )
    points: list[JsonValue] = [[n * 10**9, RECEIVED_NS + n * 10**9, 1000] for n in (1, 2)]
    ladder = to_json(
        replace(
            tcp_record(14, test="ladder"),
            outcome=Outcome(detail={"sync_points": points, "previous_boot_id": "x"}),
        )
    )
    made.take(
        ("hello", encode_hello(hello)),
        records(1, 2, 3, incarnation="5" * 16),
        records(
            3,
            4,
            5,
            10,
            11,
            incarnation="5" * 16,
            tombstones=(Tombstone(low=6, high=9, count=4, reason="disk full"),),
        ),
        ("bulk", encode_batch(bad)),
        ("bulk", encode_batch(replace(bad, seqs=(14,), records=(ladder,)))),
    )
    # Nothing of it is told but that there is more: one epoch that is not named, of a device that is whole otherwise.
    made.take(("hello", encode_hello(replace(hello_of(1, 2, device=B), ended_beyond=1))), device=B)
    made.take(records(1, 2, device=B), device=B)
    store = Store.open(made.path)
    store.commit([PresenceArrived(device=B, online=True, received_ns=RECEIVED_NS)])
    store.close()
    _assess(made.path)
    _observe(made.path)
    made.hear_server()
    return made


def _assess(path: Path) -> None:
    log = ScopeLog.open(path)
    for number, verdict in enumerate(("normal", "international_cut"), start=1):
        said = Assessment(
            country="ir",
            said_ns=RECEIVED_NS + number,
            verdict=verdict,
            rule_id=f"rule-{number}",
            evidence=(stated("silent-together", silent=2), prose("so")),
            overturned_by="a round that reaches",
            since_ns=RECEIVED_NS,
            since_error_ns=10,
            basis={"devices": 2, "number": number},
        )
        log.keep([(said, True)], RECEIVED_NS + number)
    log.revise([replace(said, revises=2, said_ns=RECEIVED_NS + 9)])
    log.close()


def _observe(path: Path) -> None:
    view = SiteView(source=VantageSource.COLLECTOR, addresses=("192.0.2.1",), status=200)
    log = VantageLog.open(path)
    for name in ("one", "two"):
        key = Key(test="web_connectivity", target=f"https://{name}.example/", target_name=name)
        log.add(
            [Sample(key=key, utc_ns=RECEIVED_NS, failure=None, failed_operation=None, view=view)],
            every_s=600,
            second=[SecondLook(stand=stand, country="ir", key=key, utc_ns=RECEIVED_NS) for stand in Stand],
        )
    log.note_gap(
        Gap(from_utc_ns=RECEIVED_NS - 10, to_utc_ns=RECEIVED_NS - 5, reason=stated("vantage-not-running"))
    )
    log.close()
