"""Somebody takes the collector's machine, and the key on it: nothing that was not stored elsewhere is lost.

With every part real. The one who took it runs the same collector with the stolen key and lets what it stores disappear:
to the device its answers are those of the honest one. Then the authority revokes the key, a new collector stands in the
old one's place, and every record is compared with what was measured; along MQTT, along HTTPS and by a USB drive.
"""

import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.delivery.messages.authentication import MessageAuthentication
from appliance.delivery.network.link import SyncSettings
from appliance.delivery.network.sender import Sync
from appliance.delivery.removable.answers import take
from appliance.delivery.removable.folder import Folder
from appliance.events import OutboxChanged
from appliance.export import export
from appliance.identity.command import identity
from appliance.identity.files import IdentityFiles
from appliance.identity.identity import DeviceIdentity
from appliance.outbox.box import Outbox
from appliance.parts import identity_of
from appliance.storage.datadir import DataDir
from appliance.transports import Ports
from collector.command import collector as collector_command
from firmware.model.jsontypes import JsonObject
from firmware.model.record import to_json
from tests import ports
from tests.collector.process import CollectorProcess
from tests.firmware.records import tcp_record
from tests.provisioning.identities import Provisioned
from tests.waiting import LIMIT_S

DEVICE = "abcd0123efgh4567"
RECORDS = 700
pytestmark = pytest.mark.filterwarnings(
    r"ignore:Exception ignored in. <ssl\.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)


class Scene:
    """An authority, a broker, a device with records that wait, and room for one collector after the other."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.world = Provisioned(folder)
        given = self.world.device(DEVICE)
        self.data = folder / "device"
        assert identity.main(["install", str(given), "--data", str(self.data)], standalone_mode=False) is None
        self.world.write_broker()
        self.broker = stack.enter_context(self.world.broker())
        self.https_port = ports.take_one()
        self.directory = stack.enter_context(DataDir.open(self.data))
        self.outbox = stack.enter_context(Outbox.open(self.directory.outbox, device=DEVICE))
        self.drive = folder / "drive"
        self.drive.mkdir()
        self.made = [tcp_record(number) for number in range(RECORDS)]
        self.outbox.append(self.made)

    def settings(self, name: str, trust: Path, who: Path) -> Path:
        """Write the settings of a collector that is `who` and goes by the authority's directory at `trust`."""
        path = self.folder / f"{name}.toml"
        path.write_text(
            f'data = "{self.folder / name}"\n'
            f'[broker]\nuse = "localhost:{self.broker.port}"\n'
            f'[trust]\ndevices = "{trust}"\nidentity = "{who}"\n'
            f'[intake]\nport = {self.https_port}\nidentity = "{self.folder / "broker"}"\n'
        )
        return path

    def take_machine(self) -> Path:
        """Take what is on the collector's machine: its identity, and its copy of the authority's directory."""
        taken = self.folder / "taken"
        without_keys = shutil.ignore_patterns("*.key", ".lock")
        shutil.copytree(self.world.authority, taken / "authority", ignore=without_keys)
        shutil.copytree(self.world.collector, taken / "identity")
        return self.settings("taken-store", taken / "authority", taken / "identity")

    def forget_what_was_taken_in(self) -> None:
        """Let what the taken collector has stored disappear."""
        shutil.rmtree(self.folder / "taken-store")

    def revoke(self) -> Path:
        """Revoke the taken key and make a new collector's identity; return its settings."""
        self.world.provision("revoke", "collector", "--reason", "its machine was taken")
        second = self.folder / "second-identity"
        self.world.provision("collector", "--name", "second", "--out", str(second))
        self.world.write_broker()
        self.broker.reload()
        time.sleep(1)  # nobody tells when it has read its lists
        return self.settings("second-store", self.world.authority, second)

    @contextmanager
    def delivering(self, settings: Path, way: str) -> Iterator[Callable[[], str]]:
        """Run a collector and the device's sender meanwhile; give what says how that goes."""
        ports = {
            "mqtts": {"mqtts": self.broker.port},
            "wss": {"wss": self.broker.websocket_port},
            "https": {"https": self.https_port},
        }[way]
        changes: list[OutboxChanged] = []

        def note(event: object) -> None:
            if isinstance(event, OutboxChanged):
                changes.append(event)

        store = self.folder / f"{settings.stem}"
        with CollectorProcess(store, "--config", str(settings)) as running:
            sync = Sync(
                SyncSettings(
                    host="localhost",
                    ports=Ports(**{"wss": 0, "mqtts": 0, "https": 0, **ports}),
                    connect_timeout_s=30,
                    retry_max_s=1.0,
                ),
                self.outbox,
                software="tidegauge test",
                country="xx",
                notify=note,
                identity=lambda: identity_of(self.directory),
                clock_is_sure=lambda: True,
            )
            sync.start()
            try:
                # A record more says that all that was to be said before it has been.
                self.made.append(tcp_record(len(self.made)))
                self.outbox.append(self.made[-1:])
                sync.wake()
                yield lambda: f"{way}: {running.errors}{changes[-3:]}"
            finally:
                ended = sync.stop(timeout_s=LIMIT_S)
            assert ended

    def carry(self, settings: Path) -> None:
        """Export to the drive, import at a collector, and have the device take the answers."""
        done = CliRunner().invoke(export, ["--data", str(self.data), "--to", str(self.drive)])
        assert done.exit_code == 0, done.output
        done = CliRunner().invoke(collector_command, ["--config", str(settings), "import", str(self.drive)])
        assert done.exit_code == 0, done.output
        self.visit()

    def visit(self) -> None:
        """Plug the drive into the device."""
        loaded = DeviceIdentity.load(IdentityFiles(data=self.data), device=DEVICE)
        with Folder.open(self.drive) as folder:
            take(self.outbox, folder, MessageAuthentication(loaded))

    def stored(self, name: str) -> dict[int, JsonObject]:
        """Return the records that a collector has stored of the device, by their seqs."""
        with sqlite3.connect(self.folder / name / "collector.sqlite3") as connection:
            rows = connection.execute(
                "SELECT seq, body FROM record WHERE device = ? AND epoch = ?", (DEVICE, self.outbox.epoch)
            ).fetchall()
        connection.close()
        return {seq: json.loads(body) for seq, body in rows}

    def assert_all_there(self, name: str) -> None:
        """Compare what is stored with what was measured."""
        stored = self.stored(name)
        missing = [seq for seq in range(1, len(self.made) + 1) if seq not in stored]
        assert not missing, f"{len(missing)} of {len(self.made)} records are lost"
        for seq, record in enumerate(self.made, 1):
            assert stored[seq] == to_json(record)
        counts = self.outbox.counts()
        assert counts.produced == counts.acknowledged == len(self.made)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(tmp_path, stack)


def deliver(scenes: Mapping[str, Scene], settings: Mapping[str, Path]) -> None:
    """Deliver along every way at once until nothing waits anywhere, and a while longer if something came back."""
    with ExitStack() as stack:
        how = [stack.enter_context(scene.delivering(settings[way], way)) for way, scene in scenes.items()]
        end = time.monotonic() + LIMIT_S
        quiet_since = None
        while quiet_since is None or time.monotonic() - quiet_since < 5:
            assert time.monotonic() < end, [said() for said in how]
            time.sleep(0.1)
            if any(scene.outbox.counts().waiting for scene in scenes.values()):
                quiet_since = None
            elif quiet_since is None:
                quiet_since = time.monotonic()


def test_what_a_taken_key_acknowledged_reaches_the_next_collector(tmp_path: Path) -> None:
    """Along every way, each with an authority, a broker, a device and a theft of its own."""
    with ExitStack() as stack:
        scenes = {}
        for way in ("mqtts", "wss", "https"):
            (tmp_path / way).mkdir()
            scenes[way] = Scene(tmp_path / way, stack)
        deliver(scenes, {way: scene.take_machine() for way, scene in scenes.items()})
        for way, scene in scenes.items():
            assert scene.outbox.counts().waiting == 0, way
            scene.forget_what_was_taken_in()
        deliver(scenes, {way: scene.revoke() for way, scene in scenes.items()})
        for scene in scenes.values():
            scene.assert_all_there("second-store")


def test_the_same_by_a_usb_drive(scene: Scene) -> None:
    scene.carry(scene.take_machine())
    assert scene.outbox.counts().waiting == 0
    scene.forget_what_was_taken_in()
    settings = scene.revoke()
    scene.outbox.append([tcp_record(len(scene.made))])
    scene.made.append(tcp_record(len(scene.made)))
    scene.carry(settings)
    # The answers brought the list: what is owed goes with the next visit.
    scene.carry(settings)
    scene.assert_all_there("second-store")
