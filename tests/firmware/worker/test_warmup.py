"""What is loaded ahead: all that a test will need, and nothing for a test that nobody asked for."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from firmware.measurements import EVERY_MEASUREMENT
from firmware.worker.warmup import LIBRARIES
from tests.needs import ROOT

HEAVY = {"ssl", "h11", "hashlib", "urllib.parse", "dns", "firmware.protocols.tls_stream"}

RUN = """
import json, sys
import firmware.worker.process
from firmware.worker import single, warmup
before = set(sys.modules)
warmup.load(sys.argv[1])
loaded = set(sys.modules)
if len(sys.argv) > 2:
    single.measure_once(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
print(json.dumps([sorted(loaded - before), sorted(set(sys.modules) - loaded)]))
"""


def loaded(*words: str) -> tuple[set[str], set[str]]:
    """Return the modules that warming up for a test loaded, and those that a run of it then still did."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    ahead, late = json.loads(done.stdout.splitlines()[-1])
    return set(ahead), set(late)


@pytest.mark.parametrize("test", sorted(set(EVERY_MEASUREMENT) - set(LIBRARIES)))
def test_a_test_without_libraries_gets_none(test: str) -> None:
    ahead, _ = loaded(test)
    assert f"firmware.measurements.{test}" in ahead
    assert not ahead & HEAVY


@pytest.mark.parametrize("test", sorted(LIBRARIES))
def test_what_is_said_to_be_needed_is_loaded(test: str) -> None:
    ahead, _ = loaded(test)
    assert {*LIBRARIES[test], "ssl", f"firmware.measurements.{test}"} <= ahead


class Page(BaseHTTPRequestHandler):
    """A page of two bytes."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_run_after_it_loads_no_library_more() -> None:
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}/"
            _, late = loaded("http", url, "{}")
            _, closed = loaded("tls", "127.0.0.1:9", json.dumps({"sni": "server.test"}))
        finally:
            server.shutdown()
            thread.join()
    assert not late & HEAVY
    assert not closed & HEAVY


def test_nothing_is_loaded_for_a_test_that_there_is_not() -> None:
    assert loaded("carrier pigeon") == (set(), set())
