"""A collector that asks a measurement server for its halves, and believes only what that server has signed."""

import time
from pathlib import Path

from collector.trust.registry import Registry
from collector.trust.signing import Signer
from firmware.model.server_half import ServerHalf
from firmware.wire import bundle
from firmware.wire.envelope import unseal
from firmware.wire.server_halves import (
    ACCOUNT_LEAF,
    ASKING_LEAF,
    HALF_LEAF,
    HalvesAccount,
    HalvesAsked,
    bearer,
    decode_account,
    decode_half,
    encode_asked,
)
from tests.collector.measurement.world import Answer, MeasurementWorld, RunningServer
from tests.waiting import until

SERVER = "measurement"


class AskingCollector:
    """A collector of `world`'s authority, whose identity is made in `directory` where it is not there."""

    def __init__(self, world: MeasurementWorld, directory: Path | None = None) -> None:
        self._world = world
        self.identity = directory or world.directory / "collector-identity"
        if not self.identity.exists():
            world.provision("collector", "--ca", str(world.authority), "--out", str(self.identity))
        self._registry = Registry(world.authority)

    def token(
        self, *, epoch: str = "", upto: int = 0, to: str = SERVER, early_s: int = 0, leaf: str = ASKING_LEAF
    ) -> str:
        """Return what it shows a server."""
        now_s = int(time.time()) - early_s
        asked = HalvesAsked(from_s=now_s, until_s=now_s + 60, epoch=epoch, upto=upto)
        return bearer(Signer.load(self.identity).sign(to, leaf, encode_asked(asked)))

    def ask(self, server: RunningServer, token: str) -> Answer:
        """Return what a server answers."""
        return self._world.ask(server, "POST", "/v1/halves", token=token)

    def halves(
        self, server: RunningServer, *, epoch: str = "", upto: int = 0
    ) -> tuple[list[ServerHalf], HalvesAccount]:
        """Return what follows `upto`, every signature checked."""
        got = self.ask(server, self.token(epoch=epoch, upto=upto))
        assert got.status == 200, got.sentence
        *halves, account = bundle.decode(got.body).messages
        for one in halves:
            self._registry.verify(SERVER, HALF_LEAF, unseal(one.payload))
        self._registry.verify(SERVER, ACCOUNT_LEAF, unseal(account.payload))
        return (
            [decode_half(unseal(one.payload).payload) for one in halves],
            decode_account(unseal(account.payload).payload),
        )

    def half(self, server: RunningServer, nonce: str) -> ServerHalf:
        """Return the half of a nonce, once it is written."""

        def found() -> ServerHalf | None:
            return next((one for one in self.halves(server)[0] if one.nonce == nonce), None)

        return until(found, f"a half of {nonce}")


def points(half: ServerHalf, name: str) -> list[int]:
    """Return what the time line has under a name."""
    names, rows = half.tcp["names"], half.tcp["points"]
    assert isinstance(names, list)
    assert isinstance(rows, list)
    place = names.index(name)
    found = []
    for row in rows:
        assert isinstance(row, list)
        value = row[place]
        assert isinstance(value, int)
        found.append(value)
    return found
