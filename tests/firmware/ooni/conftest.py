"""What several files here need: records of real measurements, made once."""

from collections.abc import Iterator

import pytest

from firmware.model.record import Record
from tests.firmware.ooni import measured
from tests.servers.tls import Authority


@pytest.fixture(scope="package")
def real_records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Record]]:
    """Return a record for each condition of `measured`."""
    place = tmp_path_factory.mktemp("authority")
    authority = Authority(place)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SSL_CERT_FILE", str(authority.trusted))
        patched.setenv("SSL_CERT_DIR", str(place / "nobody"))
        yield measured.records(authority)
