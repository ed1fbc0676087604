"""Asks every measurement server for its halves of tests, in turn and again, and stores them: in a thread of its own.

A server is told that a half is stored with the next question, after the commit. This file must never end because of what a server
gave or did not give: it says so once, asks again, and says when it is well again.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from collector.errors import CollectorError
from collector.halves.asking import AskedServer
from collector.store.server_halves import HalfStore
from collector.trust.registry import Registry
from collector.trust.signing import Signer

log = logging.getLogger(__name__)


class HalvesThread:
    """Runs from `start` to `stop`. `addresses` are host and port of each server; `say` is told what an operator should know."""

    def __init__(
        self,
        database: Path,
        addresses: Sequence[tuple[str, int]],
        *,
        registry: Registry,
        signer: Signer,
        every_s: float,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = HalfStore.open(database)
        self._addresses = tuple(addresses)
        self._registry = registry
        self._signer = signer
        self._every_s = every_s
        self._say = say
        self._faults: dict[tuple[str, int], str] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="halves")

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """End after the question that is under way."""
        self._stopping.set()
        self._thread.join()
        self._store.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            for address in self._addresses:
                self._collect(address)
                if self._stopping.is_set():
                    return
            self._stopping.wait(self._every_s)

    def _collect(self, address: tuple[str, int]) -> None:
        """Ask one server until it has no more."""
        try:
            while not self._stopping.is_set() and self.ask_once(*address):
                pass
        except CollectorError as error:
            if self._faults.get(address) != str(error):
                self._faults[address] = str(error)
                self._say(f"{error}; it is asked again every {self._every_s:g} s")
        else:
            if self._faults.pop(address, None) is not None:
                self._say(f"the measurement server at {address[0]} port {address[1]} gives its halves again")

    def ask_once(self, host: str, port: int) -> bool:
        """Ask one server once, in the calling thread; return whether there is more. Raises `CollectorError`."""
        with AskedServer(host, port, registry=self._registry, signer=self._signer) as server:
            epoch, upto = self._store.collected(server.name)
            given = server.ask(epoch, upto, utc_s=time.time())
        self._store.add(given.server, given.account, given.halves, received_ns=time.time_ns())
        # Once more where something came, so that the server hears at once that it is stored.
        return bool(given.halves)
