"""What we write loads with OONI's own data models: the package `oonidata`, in an environment of its own.

Its pins (click 8.0, cryptography 38) are other than ours, so that it can never share ours. What it is fed are
records of real measurements, of every kind that is written.
"""

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from firmware.model.record import Record
from firmware.ooni.write import Origin, measurement_of
from tests.firmware.ooni.conditions import CONDITIONS
from tests.needs import lacking

OONIDATA = "oonidata==0.3.0"
IMPORTS = (
    "boto3",
    "lz4",
    "mashumaro>=3,<4",
    "orjson",
    "requests",
    "tqdm",
    "cryptography",
    "pyopenssl",
    "tabulate",
    "lxml",
    "pyyaml",
)
LOAD = """
import json, sys
from oonidata.dataclient import load_measurement
for line in sys.stdin:
    found = load_measurement(json.loads(line))
    keys = found.test_keys
    print(json.dumps({
        "model": type(found).__name__,
        "cc": found.probe_cc,
        "start": found.measurement_start_time,
        "queries": [[one.hostname, one.failure, len(one.answers or [])] for one in keys.queries or []],
        "connects": [[one.ip, one.port, one.status.failure] for one in keys.tcp_connect or []],
        "handshakes": [[one.server_name, one.failure, len(one.peer_certificates or [])] for one in keys.tls_handshakes or []],
        "requests": [[one.request.url, one.failure, one.response.code, one.response.body_str] for one in keys.requests or []],
        "events": len(keys.network_events or []),
    }))
"""


@pytest.fixture(scope="module")
def oonidata(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment that holds OONI's package."""
    place = tmp_path_factory.mktemp("oonidata")
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    # What it pins has no wheels for Python 3.13; what its models import has.
    for words in (["--no-deps", OONIDATA], IMPORTS):
        done = subprocess.run([*install, *words], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            lacking(
                f"needs {OONIDATA} from the index: connect this machine, then ./test -m packages\n{done.stderr}"
            )
    return python


def loaded(python: Path, lines: list[str]) -> list[dict[str, object]]:
    done = subprocess.run(
        [python, "-c", LOAD], input="\n".join(lines), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.packages
@pytest.mark.timeout(600)  # fetches
def test_everything_that_is_written_loads_with_its_steps(
    oonidata: Path, real_records: dict[str, Record]
) -> None:
    written = [measurement_of(record, Origin(country="ir")) for record in real_records.values()]
    told = loaded(oonidata, [json.dumps(one) for one in written])
    by_name = dict(zip(real_records, told, strict=True))
    models = {one["model"] for one in told}
    assert models == {"WebConnectivity", "UrlGetter"}
    assert {one["cc"] for one in told} == {"IR"}
    well = by_name["page over TLS"]
    assert well["requests"] == [[real_records["page over TLS"].target, None, 200, ""]]
    assert len(by_name["page elsewhere"]["requests"]) == 2  # type: ignore[arg-type]
    filtered = by_name["name filtered"]["handshakes"]
    assert [one[1] for one in filtered] == ["connection_reset", "ssl_invalid_hostname"]  # type: ignore[attr-defined]
    assert by_name["tls wrong name"]["handshakes"][0][2] > 0  # type: ignore[index]
    assert by_name["dns well"]["queries"][0][2] == 1  # type: ignore[index]


@pytest.mark.packages
@pytest.mark.timeout(600)
def test_the_conditions_are_in_ooni_s_format_by_their_own_models(oonidata: Path) -> None:
    paths = sorted(CONDITIONS.glob("*.json"))
    told = loaded(oonidata, [path.read_text().strip() for path in paths])
    assert {one["model"] for one in told} == {"WebConnectivity"}
    assert len(told) == len(paths)
