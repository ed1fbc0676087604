"""What the siege itself must do: fail where one of its threads ends by an exception, and say what was never put in."""

import asyncio
import random
import socket
import threading
from pathlib import Path
from typing import ClassVar, cast

import pytest

from tests import ports
from tests.drills import siege_faults
from tests.drills.siege import FailedError, Orders, Siege
from tests.drills.siege_account import Account, Identity, Standing
from tests.drills.siege_faults import Done
from tests.drills.siege_relay import Relay
from tests.drills.siege_scene import Device, Scene, SceneError
from tests.drills.siege_theft import Plan
from tests.drills.siege_threads import ThreadFaults
from tests.servers.tcp import TcpServer
from tests.waiting import until


class _Account:
    """One in which everything is in order."""

    gone: ClassVar[dict[Identity, str]] = {}

    def read(self) -> None: ...

    def faults(self) -> list[str]:
        return []

    def standing(self) -> Standing:
        return Standing()


class _Device:
    """One that does nothing."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.account = cast("Account", _Account())

    def start(self) -> None: ...


class _Scene:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.devices = [_Device("a"), _Device("b")]


class _Stubbed(Siege):
    """A siege whose faults are `put_in`, and nothing else."""

    put_in = True

    def _await_start(self, device: Device) -> float:
        return 0.0

    def _await_account(self, device: Device | None, words: list[str]) -> None: ...

    def _be_behind(self, rng: random.Random, device: Device, kind: str, words: list[str]) -> None: ...

    def _do(self, rng: random.Random, device: Device, kind: str, words: list[str]) -> bool:
        return self.put_in

    def _rest_and_audit(self) -> None: ...


def _siege(kind: type[_Stubbed], folder: Path, threads: ThreadFaults, *, times: int = 4) -> _Stubbed:
    orders = Orders(
        times=times,
        seed=1,
        minutes=60.0,
        only=("kill-device", "kill-worker"),
        product="",
        devices=2,
        folder=str(folder),
        first=False,
    )
    return kind(cast("Scene", _Scene(folder)), orders, threads)


def test_a_siege_in_which_nothing_fails_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ThreadFaults() as threads:
        assert _siege(_Stubbed, tmp_path, threads).run()
    assert "NEVER PUT IN" not in capsys.readouterr().out


def test_an_exception_in_one_devices_thread_ends_the_siege(tmp_path: Path) -> None:
    class Broken(_Stubbed):
        def _do(self, rng: random.Random, device: Device, kind: str, words: list[str]) -> bool:
            if device.name == "b":
                raise KeyError("nobody foresaw it")
            return True

    with ThreadFaults() as threads, pytest.raises(KeyError, match="nobody foresaw it"):
        _siege(Broken, tmp_path, threads, times=10**9).run()


def test_an_exception_in_a_thread_that_nobody_asks_fails_the_siege(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Beside(_Stubbed):
        def _do(self, rng: random.Random, device: Device, kind: str, words: list[str]) -> bool:
            thread = threading.Thread(target=lambda: 1 / 0, name="beside")
            thread.start()
            thread.join()
            return True

    with ThreadFaults() as threads:
        assert not _siege(Beside, tmp_path, threads, times=10**9).run()
    assert "FAILED: a thread ended by an exception: beside: ZeroDivisionError" in capsys.readouterr().out


def test_an_exception_in_a_task_of_a_relay_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forward(
        self: Relay, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, far: int
    ) -> None:
        writer.transport.abort()
        raise KeyError("nobody foresaw it")

    monkeypatch.setattr(Relay, "_forward", forward)
    port = ports.take_one()
    with ThreadFaults() as threads:
        relay = Relay(((port, 1),))
        relay.join()
        with socket.create_connection(("127.0.0.1", port)):
            until(lambda: threads.found, "an exception that is noted")
        relay.close()
    assert threads.found == ["relay: KeyError('nobody foresaw it')"]


def test_a_relay_can_be_joined_for_https_alone() -> None:
    first, last = ports.take_one(), ports.take_one()
    with TcpServer(lambda connection: connection.sendall(b"far")) as far:
        relay = Relay(((first, far.port), (last, far.port)))
        relay.join(https_only=True)
        with socket.create_connection(("127.0.0.1", last)) as connection:
            assert connection.recv(3) == b"far"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", first))
        relay.close()


def test_a_kind_that_was_drawn_and_had_nothing_to_be_done_to_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Nothing(_Stubbed):
        put_in = False

    with ThreadFaults() as threads:
        assert _siege(Nothing, tmp_path, threads).run()
    out = capsys.readouterr().out
    assert "kill-device                      2      0" in out
    assert "NEVER PUT IN: kill-device, kill-worker" in out


def test_a_kind_that_was_never_drawn_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ThreadFaults() as threads:
        assert _siege(_Stubbed, tmp_path, threads, times=0).run()
    assert "NEVER PUT IN: kill-device, kill-worker" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "put_in"), [(FailedError("it ended by itself"), 2), (SceneError("it was not believed"), 0)]
)
def test_what_a_device_fails_under_was_put_in_and_what_could_not_be_done_was_not(
    error: Exception, put_in: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Failing(_Stubbed):
        def _do(self, rng: random.Random, device: Device, kind: str, words: list[str]) -> bool:
            raise error

        def _rescue(self, device: Device) -> None: ...

        def _fail(self, number: int, kind: str, device: Device, what: str, words: list[str]) -> None: ...

    with ThreadFaults() as threads:
        _siege(Failing, tmp_path, threads).run()
    assert f"kill-device                      2      {put_in}      2" in capsys.readouterr().out


@pytest.mark.parametrize("kind", sorted(siege_faults.STOPPED))
def test_of_a_directory_with_nothing_in_it_no_fault_says_that_it_was_put_in(
    kind: str, tmp_path: Path
) -> None:
    done = siege_faults.STOPPED[kind](random.Random(1), tmp_path)
    assert isinstance(done, Done)
    assert not done.put_in


def test_four_thefts_have_every_way_with_and_without_a_drive() -> None:
    for seed in (0, 3, 2**32 - 1):
        plans = [Plan.of(seed + number, random.Random(number), has_lists=True) for number in range(4)]
        assert len({(one.by_https, one.by_drive) for one in plans}) == 4
