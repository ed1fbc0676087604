"""A vantage thread on a store with one device in it, and plans whose targets stand on loopback."""

import time
from pathlib import Path

from collector.messages import OutgoingMessage
from collector.settings import VantageSettings
from collector.store.arrivals import HelloArrived, PresenceArrived
from collector.store.database import Store
from collector.store.queries import Queries
from collector.store.vantage_log import VantageQueries
from collector.vantage.thread import VantageThread
from firmware.wire.messages import Hello

DEVICE = "k3v9q2m7x1c8n5p4"


def plan_of(ports: list[int]) -> str:
    """Return a generic plan whose reference targets stand on loopback."""
    near = "".join(
        f'[[target]]\nname = "{rung}"\nrung = "{rung}"\nzone = "local"\ntest = "{test}"\ntarget = "{target}"\n'
        'source = "made"\nwhy = "made"\n'
        for rung, test, target in (
            ("link", "link", "@uplink"),
            ("address", "address", "@host"),
            ("gateway", "ping", "@gateway"),
            ("resolver", "dns", "example.org"),
        )
    )
    neutral = "".join(
        f'[[target]]\nname = "n{number}"\nrung = "international"\nzone = "international"\ntest = "http"\n'
        f'target = "http://127.0.0.1:{port}/"\noptions = {{ expect_status = 204, body_cap = 1024 }}\n'
        f'network = {{ asn = {64500 + number}, name = "N{number}" }}\nsource = "made"\nwhy = "made"\n'
        for number, port in enumerate(ports)
    )
    return (
        'schema = 1\ncountry = "zz"\nname = "Loopback"\nrevised = 2026-01-01\n'
        "[cadence]\ncalm_s = 120\ntransition_s = 30\nbudget_bytes_per_day = 200_000_000\n" + near + neutral
    )


def hello(country: str) -> Hello:
    return Hello(
        device=DEVICE, epoch="9f1c04d27ab35e68", low=1, high=0, waiting=0, software="t", country=country
    )


class Running:
    """A vantage thread on a store with one device in it."""

    def __init__(self, folder: Path, *, country: str = "zz", every_s: int = 10) -> None:
        self.sent: list[OutgoingMessage] = []
        self.said: list[str] = []
        self.looks: list[None] = []
        """One for each sweep and look that is over."""
        self.database = folder / "collector.sqlite3"
        store = Store.open(self.database)
        now_ns = time.time_ns()
        store.commit(
            [
                HelloArrived(hello=hello(country), received_ns=now_ns),
                PresenceArrived(device=DEVICE, online=True, received_ns=now_ns),
            ]
        )
        store.close()
        self.queries = Queries(self.database)
        self.vantage = VantageQueries(self.queries)
        settings = VantageSettings(enabled=True, every_s=every_s, plans=folder / "plans")
        self.thread = VantageThread(
            self.database,
            self.queries,
            settings,
            send=self.sent.append,
            say=self.said.append,
            looked=lambda: self.looks.append(None),
        )


PLATFORM = (
    '[[target]]\nname = "x"\nrung = "platforms"\nzone = "international"\ntest = "web_connectivity"\n'
    'target = "http://127.0.0.1:{port}/"\noptions = {{ resolver = "none", body_cap = 1024, addresses = 1 }}\n'
    'network = {{ asn = 64510, name = "S" }}\nsource = "made"\nwhy = "made"\n'
)
