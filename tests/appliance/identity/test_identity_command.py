"""`tidegauge identity` as its users call it: what it writes, what it says, and that no key is ever printed."""

import datetime as dt
import json
import stat
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance.identity.command import identity
from appliance.storage.datadir import DataDir, read_device
from collector.measurement.admission import Admission
from collector.measurement.refusals import RefusedError
from collector.trust.registry import Registry
from provisioning.authority import Authority
from provisioning.command import provision

DEVICE = "abcd0123efgh4567"


def call(*words: str) -> Result:
    return CliRunner().invoke(identity, words, catch_exceptions=False)


def make(*words: str) -> None:
    done = CliRunner().invoke(provision, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output


@pytest.fixture
def ca(tmp_path: Path) -> str:
    path = tmp_path / "authority"
    make("ca", str(path))
    return str(path)


def test_the_key_is_made_here_and_stays_here(tmp_path: Path, ca: str) -> None:
    data, request, out = (str(tmp_path / name) for name in ("data", "r.csr", "out"))
    assert call("request", "--data", data, "--out", request).exit_code == 0
    make("device", "--ca", ca, "--request", request, "--out", out)
    assert sorted(file.name for file in Path(out).iterdir()) == ["certificate.pem", "trust.pem"]
    assert call("install", out, "--data", data).exit_code == 0
    shown = json.loads(call("show", "--data", data, "--json").output)
    assert shown["device"] == read_device(Path(data))
    key = Path(data, "identity", "key.pem")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert "PRIVATE" not in Path(request).read_text()


def test_a_key_brought_along_makes_a_new_device_of_that_name(tmp_path: Path, ca: str) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    make("device", "--ca", ca, "--device", DEVICE, "--out", str(out))
    done = call("install", str(out), "--data", str(data))
    assert f"delete     {out / 'key.pem'}" in done.output
    assert "PRIVATE" not in done.output
    with DataDir.open(data) as directory:
        assert directory.device == DEVICE


def test_another_devices_is_refused_and_nothing_is_left_behind(tmp_path: Path, ca: str) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    with DataDir.open(data) as directory:
        mine = directory.device
    make("device", "--ca", ca, "--device", DEVICE, "--out", str(out))
    done = call("install", str(out), "--data", str(data))
    assert done.exit_code == 1
    assert f"is for device {DEVICE}, and this is device {mine}" in done.output
    assert not (data / "identity").exists()


def test_an_identity_is_not_asked_for_twice(tmp_path: Path, ca: str) -> None:
    data, out = str(tmp_path / "data"), str(tmp_path / "out")
    make("device", "--ca", ca, "--device", DEVICE, "--out", out)
    call("install", out, "--data", data)
    done = call("request", "--data", data, "--out", str(tmp_path / "r.csr"))
    assert done.exit_code == 1
    assert "renewed by itself" in done.output


@pytest.mark.parametrize("broken", ["certificate.pem", "trust.pem", "key.pem"])
def test_a_damaged_part_is_named(tmp_path: Path, ca: str, broken: str) -> None:
    out = tmp_path / "out"
    make("device", "--ca", ca, "--device", DEVICE, "--out", str(out))
    (out / broken).write_text("nonsense")
    done = call("install", str(out), "--data", str(tmp_path / "data"))
    assert done.exit_code == 1
    assert broken in done.output


def test_without_one_it_says_what_that_means_and_how_to_begin(tmp_path: Path) -> None:
    done = call("show", "--data", str(tmp_path / "data"))
    assert done.exit_code == 1
    assert "is not signed" in done.output
    assert "tidegauge identity request" in done.output


def test_a_token_counts_at_measurement_servers_for_its_hours_and_is_its_owners_alone(
    tmp_path: Path, ca: str
) -> None:
    data, out, path = tmp_path / "data", tmp_path / "out", tmp_path / "token"
    make("device", "--ca", ca, "--device", DEVICE, "--out", str(out))
    assert call("install", str(out), "--data", str(data)).exit_code == 0
    began_s = int(time.time())
    done = call("token", "--data", str(data), "--out", str(path), "--hours", "3")
    assert done.exit_code == 0
    token = path.read_text().strip()
    assert token not in done.output
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    registry = Registry(Path(ca))
    registry.refresh()
    admission = Admission(registry)
    assert admission.device(token, utc_s=began_s) == DEVICE
    assert admission.device(token, utc_s=began_s + 3 * 3600 - 1) == DEVICE
    with pytest.raises(RefusedError):
        admission.device(token, utc_s=time.time() + 3 * 3600)
    assert call("token", "--data", str(tmp_path / "nowhere"), "--out", str(path)).exit_code == 1


def test_one_that_has_run_out_says_so(tmp_path: Path) -> None:
    from appliance.identity.files import IdentityFiles, write
    from appliance.identity.renewal import request

    data, path = tmp_path / "data", tmp_path / "authority"
    long_ago = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    Authority.make(path, name="Test", now=long_ago)
    files = IdentityFiles(data=data)
    with DataDir.open(data) as directory, Authority.open(path) as authority:
        asked = request(files, device=directory.device, first=True)
        _, chain = authority.issue_device(asked, now=long_ago)
        write(files.certificate, chain)
        write(files.trust, (path / "root.crt").read_bytes())
    done = call("show", "--data", str(data))
    assert "until 2021-12-31 (run out)" in done.output
