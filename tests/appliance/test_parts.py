"""A device's parts, made from what lies in its data directory, in whatever state that is."""

from pathlib import Path

import pytest

from appliance.errors import ApplianceError
from appliance.identity.files import IdentityFiles
from appliance.parts import identity_of
from appliance.storage.datadir import DataDir


def test_a_change_of_identity_that_was_broken_off_over_a_damaged_certificate_is_told(tmp_path: Path) -> None:
    with DataDir.open(tmp_path) as data:
        files = IdentityFiles(data=data.path)
        files.folder.mkdir()
        for part in (files.key, files.certificate, files.trust, files.next_key):
            part.write_bytes(b"\0" * 40)  # as a power cut leaves a file
        assert files.are_there
        with pytest.raises(ApplianceError):
            identity_of(data)
