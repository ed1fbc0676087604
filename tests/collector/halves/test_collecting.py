"""A collector asks real measurement servers for their halves: each is stored once, with its proof, before the server lets go of it."""

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from collector.errors import HalvesError, StoreError
from collector.halves.thread import HalvesThread
from collector.store.database import Store
from collector.store.queries import Queries
from collector.store.server_halves import HalfFilter, HalfQueries, HalfRow, HalfStore
from collector.trust.registry import Registry
from collector.trust.signing import Signer
from firmware.model.server_half import HalfEnd
from firmware.wire.envelope import unseal
from firmware.wire.server_halves import HALF_LEAF, decode_half
from tests import ports
from tests.collector.measurement.halves import SERVER, AskingCollector
from tests.collector.measurement.world import DEVICE, MeasurementWorld, RunningServer, nonce
from tests.collector.process import CollectorProcess
from tests.collector.rows_of import arrived
from tests.waiting import until


@pytest.fixture
def world(tmp_path: Path) -> MeasurementWorld:
    return MeasurementWorld(tmp_path)


class Centre:
    """A database, and what asks servers into it, in the test's own thread."""

    def __init__(self, world: MeasurementWorld, authority: Path | None = None) -> None:
        self.asking = AskingCollector(world)
        self.path = world.directory / "collector.sqlite3"
        Store.open(self.path).close()
        self.thread = HalvesThread(
            self.path,
            (),
            registry=Registry(authority or world.authority),
            signer=Signer.load(self.asking.identity),
            every_s=1,
        )

    def collect(self, server: RunningServer) -> None:
        while self.thread.ask_once("127.0.0.1", server.port):
            pass

    def rows(self) -> tuple[HalfRow, ...]:
        with closing(Queries(self.path)) as queries:
            return HalfQueries(queries).halves(HalfFilter())


def measured(world: MeasurementWorld, server: RunningServer, asking: AskingCollector) -> str:
    """Return the nonce of a download whose half is written."""
    name = nonce()
    assert world.ask(server, "GET", f"/v1/download?bytes=1000&nonce={name}").status == 200
    asking.half(server, name)
    return name


def test_what_a_server_has_is_stored_with_its_proof_and_let_go_of(world: MeasurementWorld) -> None:
    centre = Centre(world)
    with world.server() as server:
        names = [measured(world, server, centre.asking) for _ in range(3)]
        centre.collect(server)
        rows = centre.rows()
        assert [(one.server, one.device, one.nonce, one.number) for one in rows] == [
            (SERVER, DEVICE, name, number) for number, name in enumerate(names, start=1)
        ]
        registry = Registry(world.authority)
        for row in rows:
            envelope = unseal(row.data)
            registry.verify(SERVER, HALF_LEAF, envelope)
            assert decode_half(envelope.payload).end is HalfEnd.DONE
        assert centre.asking.halves(server)[0] == []
        later = measured(world, server, centre.asking)
        centre.collect(server)
        assert [one.nonce for one in centre.rows()] == [*names, later]


def test_what_could_not_be_stored_stays_with_the_server(
    world: MeasurementWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    centre = Centre(world)
    with world.server() as server:
        name = measured(world, server, centre.asking)

        def no(*_: object, **__: object) -> None:
            raise StoreError("no")

        with monkeypatch.context() as patch:
            patch.setattr(HalfStore, "add", no)
            for _ in range(2):
                with pytest.raises(StoreError):
                    centre.thread.ask_once("127.0.0.1", server.port)
        assert [one.nonce for one in centre.asking.halves(server)[0]] == [name]
        centre.collect(server)
        assert [one.nonce for one in centre.rows()] == [name]


def test_nothing_is_asked_of_or_taken_from_who_is_no_server_of_the_fleet(world: MeasurementWorld) -> None:
    copy = world.directory / "copy"
    centre = Centre(world, copy)
    shutil.copytree(world.authority, copy)
    with world.server() as server:
        measured(world, server, centre.asking)
        for certificate in (copy / "issued").glob(f"{SERVER}*.crt"):
            certificate.unlink()
        with pytest.raises(HalvesError, match="none of the fleet's"):
            centre.collect(server)
    assert centre.rows() == ()


def test_a_revoked_servers_halves_are_not_taken(world: MeasurementWorld) -> None:
    centre = Centre(world)
    with world.server() as server:
        measured(world, server, centre.asking)
        world.provision("revoke", "--ca", str(world.authority), SERVER, "--reason", "taken")
        with pytest.raises(HalvesError, match="none of the fleet's"):
            centre.collect(server)
    assert centre.rows() == ()


def test_who_does_not_answer_is_said_so(world: MeasurementWorld) -> None:
    centre = Centre(world)
    with pytest.raises(HalvesError, match="cannot be reached"):
        centre.thread.ask_once("127.0.0.1", ports.take_one())


def asked(collector: CollectorProcess, path: str) -> Any:
    return json.loads(collector.get(path))


def test_a_collector_collects_from_its_own_server_and_from_one_elsewhere_and_joins_both_with_records(
    world: MeasurementWorld,
) -> None:
    """The whole way: tests of a device, halves of two servers, the device's records, the API."""
    asking = AskingCollector(world)
    port = ports.take_one()
    world.provision(
        "measurement-server",
        *("--ca", str(world.authority), "--out", str(world.directory / "own-identity"), "--name", "own"),
    )
    with world.server() as elsewhere:
        config = world.directory / "collector.toml"
        config.write_text(
            '[broker]\nuse = "none"\n[trust]\ndevices = "authority"\nidentity = "collector-identity"\n'
            f'[measurement]\nport = {port}\nidentity = "own-identity"\n'
            f'[halves]\nservers = ["127.0.0.1:{elsewhere.port}"]\nevery_s = 1\n'
        )
        data = world.directory / "data"
        with CollectorProcess(data, "--config", str(config)) as collector:
            own = RunningServer(elsewhere.process, port, data, data)
            names = [nonce() for _ in range(3)]
            for server, name in zip((elsewhere, own, own), names, strict=True):
                assert world.ask(server, "GET", f"/v1/download?bytes=1000&nonce={name}").status == 200

            def halves(query: str = "") -> dict[str, dict[str, Any]]:
                found = asked(collector, f"api/v1/server-halves{query}")["halves"]
                return {one["half"]["nonce"]: one for one in found}

            until(lambda: set(halves()) == set(names), lambda: f"all halves: {collector.errors}")
            assert {one["record"] for one in halves().values()} == {None}
            assert [halves()[name]["server"] for name in names] == [SERVER, "own", "own"]
            unheard = nonce()
            with closing(Store.open(data / "collector.sqlite3")) as store:
                store.commit(
                    [
                        arrived([1], device=DEVICE, detail={"nonce": names[0]}),
                        arrived([2], device=DEVICE, detail={"nonce": names[1]}),
                        arrived([3], device=DEVICE, detail={"nonce": unheard}),
                    ]
                )
            joined = halves("?has_record=true")
            assert {name: one["record"]["seq"] for name, one in joined.items()} == {names[0]: 1, names[1]: 2}
            assert set(halves("?has_record=false")) == {names[2]}
            without = asked(collector, "api/v1/records-without-server-half")["records"]
            assert [(one["device"], one["seq"], one["nonce"]) for one in without] == [(DEVICE, 3, unheard)]
            logs = {one["server"]: one for one in asked(collector, "api/v1/measurement-servers")["logs"]}
            assert {name: (one["stored"], one["missing"]) for name, one in logs.items()} == {
                SERVER: (1, 0),
                "own": (2, 0),
            }
            until(lambda: asking.halves(elsewhere)[0] == [], "the server lets go of what is stored")
            assert collector.end() == 0
