"""The registry of certificates: which of them are devices'."""

import datetime as dt
from pathlib import Path

from collector.trust.registry import Registry
from provisioning.authority import Authority
from provisioning.certificates import Role, make_key

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
DEVICE = "abcd0123efgh4567"


def test_of_all_that_were_issued_it_names_the_devices(tmp_path: Path) -> None:
    path = tmp_path / "authority"
    Authority.make(path, name="Test", now=NOW)
    with Authority.open(path) as authority:
        for role in Role:
            name = DEVICE if role is Role.DEVICE else f"the-{role}"
            authority.issue(name, role, make_key().public_key(), now=NOW)
    assert Registry(path).devices() == {DEVICE}
