"""A result as text: what a person needs is in it, and every time says who took it."""

import re
from pathlib import Path

import pytest

from firmware.commands.report import aligned, milliseconds, report
from firmware.language.translator import Translator
from firmware.model.failures import Failure
from firmware.model.record import Outcome, Phase, Stamp
from firmware.model.task import Result
from tests import catalogues
from tests.english import ENGLISH


def result(outcome: Outcome) -> Result:
    return Result(
        task_id="x",
        test_version="0.1.0",
        target="example.org:443",
        uplink="ethernet",
        start_boottime_ns=1,
        start_utc_ns=1_795_246_941_007_000_000,
        runtime_ns=12_345_678,
        outcome=outcome,
    )


@pytest.mark.parametrize("stamp", Stamp)
def test_every_time_says_who_took_it(stamp: Stamp) -> None:
    outcome = Outcome(phases={"connect": Phase(ns=1_234_567, stamp=stamp)})
    text = report("tcp", result(outcome), ENGLISH)
    assert re.search(r"^phases +connect +1\.235 ms  by \S", text, re.MULTILINE)


def test_the_block() -> None:
    outcome = Outcome(
        failure=Failure.CONNECTION_RESET,
        failed_operation="tls_handshake",
        bytes_up=517,
        detail={
            "server_name": "example.org",
            "verified": False,
            "nothing": None,
            "flights": [[0, "up", 517]],
        },
    )
    assert report("tls", result(outcome), ENGLISH) == (
        "tls        example.org:443\n"
        "outcome    connection_reset in tls_handshake\n"
        "           The connection was torn down by a reset, from the far end or from something in between.\n"
        "bytes      517 up, 0 down\n"
        "details    server_name  example.org\n"
        "           verified     no\n"
        "uplink     ethernet\n"
        "started    2026-11-21 07:42:21.007 UTC\n"
        "took       12.346 ms"
    )


PERSIAN = """msgid ""
msgstr ""
"Content-Type: text/plain; charset=utf-8\\n"
"Plural-Forms: nplurals=2; plural=(n > 1);\\n"

msgid "measured.label-outcome"
msgstr "نتیجه"

msgid "measured.failed-in"
msgstr "{operation}: {failure}"
"""


def test_the_labels_are_the_catalogues(tmp_path: Path) -> None:
    catalogues.write(tmp_path, "fa", PERSIAN)
    outcome = Outcome(failure=Failure.CONNECTION_RESET, failed_operation="tls_handshake", bytes_up=517)
    lines = report("tls", result(outcome), Translator("fa", catalogues=tmp_path)).splitlines()
    assert lines[1] == "نتیجه      tls_handshake: connection_reset"
    assert lines[3] == "bytes      517 up, 0 down"


def test_a_long_label_moves_all_texts() -> None:
    assert aligned([("a", "x"), ("what stands here", "y"), ("", "z")], 4) == (
        "a                x\nwhat stands here y\n                 z"
    )


def test_milliseconds() -> None:
    assert milliseconds(0) == "0.000 ms"
    assert milliseconds(1_500_000_000) == "1500.000 ms"
