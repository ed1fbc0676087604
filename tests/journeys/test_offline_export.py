"""A USB drive carried by hand, every part real: a device's outbox and identity, a directory, the collector's store, the way back."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance.delivery.messages.authentication import MessageAuthentication
from appliance.delivery.removable.answers import AnswersResult, take
from appliance.delivery.removable.folder import Folder
from appliance.export import export
from appliance.identity.command import identity
from appliance.identity.files import IdentityFiles
from appliance.identity.identity import DeviceIdentity
from appliance.outbox.box import Outbox
from appliance.storage.datadir import DataDir
from collector.command import collector
from collector.store.queries import Queries
from firmware.wire import bundle as wire_bundle
from firmware.wire.bundle import BundleMessage
from firmware.wire.messages import Ack, encode_ack
from tests import ports
from tests.collector.process import CollectorProcess
from tests.firmware.records import tcp_record
from tests.provisioning.identities import Provisioned

DEVICE = "abcd0123efgh4567"
RECORDS = 700


class Carried:
    """An authority, a device with records that wait, a collector that has heard of nothing, and a USB drive."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.world = Provisioned(folder)
        given = self.world.device(DEVICE)
        self.data = folder / "device"
        assert identity.main(["install", str(given), "--data", str(self.data)], standalone_mode=False) is None
        self.directory = stack.enter_context(DataDir.open(self.data))
        self.outbox = stack.enter_context(Outbox.open(self.directory.outbox, device=DEVICE))
        self.outbox.append([tcp_record(number) for number in range(RECORDS)])
        self.store = folder / "collector"
        self.settings = folder / "collector.toml"
        self.settings.write_text(
            f'data = "{self.store}"\n[broker]\nuse = "none"\n'
            f'[trust]\ndevices = "{self.world.authority}"\nidentity = "{self.world.collector}"\n'
        )
        self.usb_drive = folder / "usb_drive"
        self.usb_drive.mkdir()

    def export(self) -> Path:
        """Run `tidegauge export --to`; return the new bundle."""
        before = set(self.usb_drive.glob("tidegauge-bundles/*.bundle"))
        done = CliRunner().invoke(export, ["--data", str(self.data), "--to", str(self.usb_drive)])
        assert done.exit_code == 0, done.output
        assert f"{self.outbox.counts().waiting:,} records exported" in done.stdout
        (bundle,) = set(self.usb_drive.glob("tidegauge-bundles/*.bundle")) - before
        return bundle

    def bring(self, *paths: Path) -> Result:
        """Run `tidegauge collector import`."""
        words = ["--config", str(self.settings), "import", *map(str, paths or (self.usb_drive,))]
        return CliRunner().invoke(collector, words)

    def take_back(self) -> AnswersResult:
        """Have the device take the answers from the USB drive."""
        with Folder.open(self.usb_drive) as folder:
            return take(self.outbox, folder, self.authentication())

    def authentication(self) -> MessageAuthentication:
        return MessageAuthentication(DeviceIdentity.load(IdentityFiles(data=self.data), device=DEVICE))

    def stored(self) -> str:
        queries = Queries(self.store / "collector.sqlite3")
        try:
            return str(queries.completeness(DEVICE))
        finally:
            queries.close()

    @property
    def on_the_usb_drive(self) -> list[str]:
        return sorted(path.name for path in (self.usb_drive / "tidegauge-bundles").iterdir())


@pytest.fixture
def carried(tmp_path: Path) -> Iterator[Carried]:
    with ExitStack() as stack:
        yield Carried(tmp_path, stack)


def test_out_by_hand_and_the_answers_back(carried: Carried) -> None:
    carried.export()
    assert carried.outbox.counts().waiting == RECORDS
    done = carried.bring()
    assert done.exit_code == 0, done.output
    assert f"device {DEVICE}: 700 records, 700 new, 0 here already" in done.stdout
    assert carried.stored() == "seq 1–700 all here"
    assert carried.take_back().records == RECORDS
    assert carried.outbox.counts().waiting == 0
    assert carried.on_the_usb_drive == []


def test_importing_twice_changes_nothing(carried: Carried) -> None:
    carried.export()
    carried.bring()
    done = carried.bring()
    assert done.exit_code == 0, done.output
    assert "700 records, 0 new, 700 here already" in done.stdout
    assert carried.stored() == "seq 1–700 all here"


def test_a_bundle_cut_short_is_taken_to_the_cut_and_the_rest_stays_at_the_device(carried: Carried) -> None:
    bundle = carried.export()
    whole = bundle.read_bytes()
    bundle.write_bytes(whole[: len(whole) // 2])
    done = carried.bring(bundle)
    assert done.exit_code == 1
    assert "at byte" in done.stdout
    assert "cut short; what comes before is taken" in done.stdout
    taken = carried.take_back().records
    assert 0 < taken < RECORDS
    assert carried.outbox.counts().waiting == RECORDS - taken
    assert bundle.name in carried.on_the_usb_drive
    # The newest were first in it.
    assert [row.seq for row in carried.outbox.newest(1)] == [RECORDS - taken]
    carried.export()
    assert carried.bring().exit_code == 1  # the cut one is still there
    assert carried.stored() == "seq 1–700 all here"


def changed(bundle: Path, change: Callable[[BundleMessage], BundleMessage]) -> None:
    """Write a bundle anew with its messages changed, and checksums that fit."""
    bundle.write_bytes(wire_bundle.encode(map(change, wire_bundle.decode(bundle.read_bytes()).messages)))


def test_a_bundle_that_was_changed_is_refused_and_nothing_leaves_the_device(carried: Carried) -> None:
    bundle = carried.export()

    def spoil(message: BundleMessage) -> BundleMessage:
        if message.leaf == "hello":
            return message
        return replace(message, payload=message.payload[:-1] + bytes([message.payload[-1] ^ 1]))

    changed(bundle, spoil)
    done = carried.bring()
    assert done.exit_code == 1
    assert "0 new" in done.stdout
    assert "refused: not signed by a device that counts here, or changed" in done.stdout
    assert "0 here" in carried.stored()
    assert carried.take_back().records == 0
    assert carried.outbox.counts().waiting == RECORDS


def test_the_name_of_a_file_is_not_believed(carried: Carried) -> None:
    bundle = carried.export()
    renamed = bundle.with_name(f"{'z' * 16}-../..bundle".replace("/", "_"))
    bundle.rename(renamed)
    assert f"device {DEVICE}: 700 records, 700 new" in carried.bring(renamed).stdout


def test_answers_that_no_collector_of_ours_signed_take_nothing_away(carried: Carried) -> None:
    bundle = carried.export()
    ack = Ack(epoch=carried.outbox.epoch, upto=RECORDS, incarnation=carried.outbox.incarnation)
    answers = bundle.with_name(bundle.name.removesuffix(".bundle") + ".acks.bundle")
    answers.write_bytes(wire_bundle.encode([BundleMessage(leaf="ack", payload=encode_ack(ack))]))
    assert carried.take_back() == AnswersResult()
    assert carried.outbox.counts().waiting == RECORDS
    assert answers.exists()


def test_a_usb_drive_that_arrives_after_its_device_went_on_is_no_copied_card(
    carried: Carried, tmp_path: Path
) -> None:
    old = carried.export().rename(tmp_path / "old.bundle")
    with carried.outbox.clone() as first_run:
        first_run.append([tcp_record(1)])
    # A second start of the software, whose bundle arrives first.
    with Outbox.open(carried.directory.outbox, device=DEVICE) as second_run:
        second_run.append([tcp_record(2)])
        newer = carried.export()
        assert carried.bring(newer).exit_code == 0
        done = carried.bring(old)
        assert done.exit_code == 0, done.output
        assert "700 records, 0 new, 700 here already" in done.stdout
        with Folder.open(carried.usb_drive) as folder:
            assert take(second_run, folder, carried.authentication()).records == RECORDS + 2
        assert carried.stored() == "seq 1–702 all here"
        assert second_run.past() == []


def test_beside_a_running_collector_it_says_what_to_do(carried: Carried) -> None:
    carried.export()
    with CollectorProcess(carried.store, "--config", str(carried.settings)):
        done = carried.bring()
    assert done.exit_code == 1
    assert "in use by another collector, process" in done.stderr
    assert "give the running collector an [intake]" in done.stderr
    assert carried.bring().exit_code == 0


@pytest.mark.parametrize("with_tls", [False, True])
def test_a_running_collector_with_an_intake_takes_it_through_that(carried: Carried, with_tls: bool) -> None:
    text = carried.settings.read_text() + f"[intake]\nport = {ports.take_one()}\n"
    carried.settings.write_text(text + f'identity = "{carried.world.directory / "broker"}"\n' * with_tls)
    bundle = carried.export()
    spoilt = bundle.with_name("zz-spoilt.bundle")
    spoilt.write_bytes(bundle.read_bytes())
    changed(spoilt, lambda message: replace(message, leaf="live" if message.leaf == "bulk" else message.leaf))
    with CollectorProcess(carried.store, "--config", str(carried.settings)):
        done = carried.bring()
        assert "700 records, 700 new, 0 here already" in done.stdout
        assert f"{spoilt}: device {DEVICE}: 0 records, 0 new, 0 here already" in done.stdout
        assert done.exit_code == 1
    assert carried.stored() == "seq 1–700 all here"
    assert carried.take_back().records == RECORDS


def test_a_usb_drive_that_is_full_holds_the_newest_whole(
    carried: Carried, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried.outbox.append([tcp_record(number) for number in range(3000)])
    left = iter([True] * 6)
    monkeypatch.setattr(Folder, "free_bytes", lambda _: 10**9 if next(left, False) else 0)
    done = CliRunner().invoke(export, ["--data", str(carried.data), "--to", str(carried.usb_drive)])
    assert done.exit_code == 1
    assert "NOT all of the 3,700 that wait: the USB drive is full" in done.stderr
    assert [name.endswith(".bundle") for name in carried.on_the_usb_drive] == [True]
    assert carried.bring().exit_code == 0
    assert carried.take_back().records > 0
    assert carried.outbox.newest(1)[0].seq < 3700


def test_without_an_identity_it_works_for_a_collector_that_checks_nothing(tmp_path: Path) -> None:
    with (
        DataDir.open(tmp_path / "device") as directory,
        Outbox.open(directory.outbox, device=directory.device) as outbox,
    ):
        outbox.append([tcp_record(number) for number in range(10)])
        done = CliRunner().invoke(export, ["--data", str(tmp_path / "device"), "--to", str(tmp_path)])
        assert done.exit_code == 0, done.output
        done = CliRunner().invoke(collector, ["--data", str(tmp_path / "c"), "import", str(tmp_path)])
        assert done.exit_code == 0, done.output
        with Folder.open(tmp_path) as folder:
            assert take(outbox, folder, MessageAuthentication(None)).records == 10


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "does not begin as one"),
        (b"PK\3\4", "does not begin as one"),
        (wire_bundle.MAGIC, "0 records"),
        (
            wire_bundle.encode([BundleMessage(leaf="bulk", payload=b"x")]),
            "does not begin with a device's hello",
        ),
        (
            wire_bundle.encode([BundleMessage(leaf="hello", payload=b"{" * 60_000)]),
            "does not begin with a device's hello",
        ),
        (wire_bundle.MAGIC + b"\x04bulk\xff\xff\xff\xff", "4294967295 bytes; allowed is"),
    ],
)
def test_what_is_no_bundle_harms_nothing(carried: Carried, tmp_path: Path, content: bytes, said: str) -> None:
    other = tmp_path / "other.bundle"
    other.write_bytes(content)
    done = carried.bring(other, carried.export())
    assert said in done.stdout
    assert done.exit_code == (0 if content == wire_bundle.MAGIC else 1)
    assert carried.stored() == "seq 1–700 all here"
    assert not (tmp_path / "other.acks.bundle").exists()


def test_what_is_not_there_is_said(carried: Carried, tmp_path: Path) -> None:
    for path, said in ((tmp_path / "no", "it is not there"), (carried.usb_drive, "there is no bundle in it")):
        done = carried.bring(path)
        assert done.exit_code == 2
        assert said in done.stderr
