"""The trust list as the authority makes it: numbered, renewed in time, by the root where the issuing key was stolen."""

import datetime as dt
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from firmware.wire.trust_list import FILE_NAME, TrustList, decode, decode_text
from provisioning.authority import Authority
from provisioning.certificates import Role, make_key
from provisioning.command import provision
from provisioning.errors import BadRequestError
from provisioning.trust import RENEWED_AFTER

NOW = dt.datetime(2026, 11, 29, 12, tzinfo=dt.UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Authority.make(tmp_path / "authority", name="Test", now=NOW)
    return tmp_path / "authority"


def listed(path: Path) -> TrustList:
    return decode_text(decode((path / FILE_NAME).read_bytes()).text)


def issue(path: Path, name: str) -> None:
    with Authority.open(path) as authority:
        authority.issue(name, Role.COLLECTOR, make_key().public_key(), now=NOW)


def run(path: Path, *words: str) -> Result:
    return CliRunner().invoke(provision, [words[0], "--ca", str(path), *words[1:]])


def test_each_change_of_who_counts_makes_the_next_list(path: Path) -> None:
    assert not (path / FILE_NAME).exists()
    issue(path, "first")
    assert (listed(path).number, [one.name for one in listed(path).collectors]) == (1, ["first"])
    issue(path, "second")
    with Authority.open(path) as authority:
        authority.revoke("first", reason="taken in a raid", now=NOW)
    found = listed(path)
    assert found.number == 3
    assert [one.name for one in found.collectors] == ["second"]
    assert [one.name for one in found.revoked] == ["first"]
    assert b"raid" not in (path / FILE_NAME).read_bytes(), "whoever finds a device could read why"


def test_a_revoked_device_makes_no_list(path: Path) -> None:
    issue(path, "first")
    with Authority.open(path) as authority:
        authority.issue("abcd0123efgh4567", Role.DEVICE, make_key().public_key(), now=NOW)
        authority.revoke("abcd0123efgh4567", now=NOW)
    assert listed(path).number == 1


def test_it_is_renewed_once_a_month_and_where_there_is_none(path: Path) -> None:
    with Authority.open(path) as authority:
        assert authority.renew_list(now=NOW) is None, "nobody to list"
        authority.issue("first", Role.COLLECTOR, make_key().public_key(), now=NOW)
        assert authority.renew_list(now=NOW + RENEWED_AFTER - dt.timedelta(seconds=1)) is None
        made = authority.renew_list(now=NOW + RENEWED_AFTER)
        assert made is not None
        assert made.number == 2
    (path / FILE_NAME).unlink()  # an authority of before there were lists
    with Authority.open(path) as authority:
        assert authority.renew_list(now=NOW) is not None


def test_one_for_less_than_the_longest_cut_is_refused(path: Path) -> None:
    issue(path, "first")
    with Authority.open(path) as authority, pytest.raises(BadRequestError, match="180 days"):
        authority.list_collectors(now=NOW, lifetime=dt.timedelta(days=179))


def test_a_number_can_be_raised_and_never_falls(path: Path) -> None:
    issue(path, "first")
    assert "trust list 50" in run(path, "trust", "--number", "50").output
    assert "trust list 51" in run(path, "trust", "--number", "3").output
    assert listed(path).number == 51


def test_after_one_by_the_root_all_are_by_the_root(path: Path, tmp_path: Path) -> None:
    issue(path, "first")
    away = (path / "root.key").rename(tmp_path / "root.key")
    assert run(path, "trust", "--root-key", str(away)).exit_code == 0
    assert decode((path / FILE_NAME).read_bytes()).is_by_root
    refused = run(path, "trust")
    assert refused.exit_code == 2
    assert "--root-key FILE" in refused.output
    assert run(path, "trust", "--root-key", str(away)).exit_code == 0
    assert listed(path).number == 3


def test_anothers_key_is_not_the_roots(path: Path) -> None:
    issue(path, "first")
    refused = run(path, "trust", "--root-key", str(path / "issuing.key"))
    assert refused.exit_code == 2
    assert "it is not the key of" in refused.output


def test_a_drive_gets_the_list_where_a_device_looks_for_it(path: Path, tmp_path: Path) -> None:
    issue(path, "first")
    drive = tmp_path / "drive"
    drive.mkdir()
    (drive / "TIDEGAUGE").write_text("abcd0123efgh4567\n")
    assert run(path, "trust", "--to", str(drive)).exit_code == 0
    assert (drive / "tidegauge-bundles" / FILE_NAME).read_bytes() == (path / FILE_NAME).read_bytes()
    assert (drive / "TIDEGAUGE").read_text() == "abcd0123efgh4567\n", "whose drive it is stays"


def test_a_list_that_cannot_be_read_is_told_with_what_to_do(path: Path) -> None:
    issue(path, "first")
    (path / FILE_NAME).write_bytes(b"{}")
    refused = run(path, "trust")
    assert refused.exit_code == 1
    assert "--number" in refused.output
