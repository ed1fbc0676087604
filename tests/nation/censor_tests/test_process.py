"""The censor as a process: traffic passes, rules bite, can be changed, and are refused with every fault."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests import namespaces, needs
from tests.nation.censor import bench
from tests.nation.censor.process import Censor, CensorError
from tests.nation.censor_tests import lab
from tests.servers.tcp import TcpServer, say

pytestmark = pytest.mark.namespace

SHUT = '[[rule]]\nname = "shut"\ndo = "reject"\nmatch = { proto = "tcp" }\nanswer = "reset"'


def asks_twice() -> list[Any]:
    lab.street()
    found: list[Any] = []
    with contextlib.ExitStack() as stack:
        with namespaces.inside(lab.SERVER):
            servers = [
                stack.enter_context(TcpServer(say(b"hello" * 100_000), address=address))
                for address in (lab.SERVER4, lab.SERVER6)
            ]
        censor = stack.enter_context(lab.censored(""))
        for rules in ("", '[[rule]]\ndo = "impair"', SHUT):  # free, looked at packet by packet, shut
            censor.change(rules)
            for server in servers:
                try:
                    with lab.connect(server.address, server.port) as one:
                        one.sendall(b"x" * 100_000)
                        found.append(lab.read(one) == b"hello" * 100_000)
                except ConnectionRefusedError:
                    found.append("refused")
        said = [event for event in censor.events() if event["rule"] == "shut" and event["did"] != "count"]
        found.append([[event["did"], event.get("to")] for event in said])
    return found


def test_traffic_passes_and_changed_rules_bite() -> None:
    assert namespaces.call(asks_twice) == [
        *(True, True, True, True, "refused", "refused"),
        [["begins", None], ["rejected", lab.SERVER4], ["rejected", lab.SERVER6]],
    ]


def changes_by_hand() -> list[Any]:
    """Change rules with the command, with and without a fault, while an idle client is connected."""
    lab.street()
    found: list[Any] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rules, control = folder / "rules.toml", folder / "control"
        rules.write_text("")
        with namespaces.inside("censor"):
            words = [
                sys.executable,
                "-m",
                "tests.nation.censor",
                "--rules",
                str(rules),
                "--control",
                str(control),
            ]
            process = stack.enter_context(
                subprocess.Popen(
                    [*words, "--between", "inside", "outside"], stdout=subprocess.PIPE, text=True
                )
            )
            assert process.stdout is not None
            assert process.stdout.readline() == "READY\n"
        idle = stack.enter_context(socket.socket(socket.AF_UNIX))
        idle.connect(str(control))
        idle.sendall(b"[[rule]]\n")
        with namespaces.inside(lab.SERVER):
            stack.enter_context(TcpServer(say(b"hello"), address=lab.SERVER4, port=80))
        for text in (SHUT, '[[rule]]\ndo = "dorp"', ""):
            rules.write_text(text)
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            found.append([done.returncode, done.stdout, lab.ask(lab.SERVER4, 80, b"hello")])
        process.send_signal(signal.SIGTERM)
        found.append(process.wait(30))
    return found


def test_rules_are_changed_by_hand_and_bad_ones_change_nothing() -> None:
    assert namespaces.call(changes_by_hand) == [
        [0, "1 rules in force\n", "ConnectionRefusedError"],
        [2, "", "ConnectionRefusedError"],
        [0, "0 rules in force\n", "hello"],
        0,
    ]


def refuses() -> list[Any]:
    lab.street()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        for interface, rules in (("inside", '[[rule]]\ndo = "dorp"'), ("nowhere", "")):
            try:
                with namespaces.inside("censor"), Censor((interface, "outside"), rules, log):
                    found.append("started")
            except CensorError as error:
                found.append(str(error))
        with lab.censored("") as censor:
            try:
                censor.change('[[rule]]\ndo = "drop"\nmatch = { prot = "tcp" }')
            except CensorError as error:
                found.append(str(error))
        try:
            with lab.censored("") as censor:
                os.kill(censor.pid, signal.SIGKILL)
                os.waitid(os.P_PID, censor.pid, os.WEXITED | os.WNOWAIT)
        except CensorError as error:
            found.append(str(error))
    return found


def test_a_censor_that_cannot_do_its_work_says_so() -> None:
    bad, nowhere, change, died = namespaces.call(refuses)
    assert '[rule 1].do: found the text "dorp"; allowed is one of "forward", "drop"' in bad
    assert nowhere == "interface nowhere: no such device"
    assert change.startswith(
        "rules:3: [rule 1.match].prot: found a key that does not exist; allowed is one of"
    )
    assert died == "the censor ended by itself, status -9: "


def test_the_bench_measures_every_way() -> None:
    for wire_size in (False, True):
        rows = namespaces.call(bench.measure_in_namespace, 0.2, wire_size)
        assert [row["way"] for row in rows] == list(bench.WAYS)
        assert all(row["gbit_s"] > 0 and row["rtt_us"] > 0 for row in rows)


def test_it_needs_no_root() -> None:
    """In a user namespace of its own: capabilities there, none outside of it."""
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, "-c", _NESTED],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if "unshare failed" in done.stderr:
        needs.lacking(
            f"needs user namespaces ({done.stderr.strip()}): run ./test outside a container or chroot"
        )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "True"


_NESTED = """
from tests import namespaces
from tests.nation.censor_tests import test_process
print(namespaces.call(test_process.asks_twice)[:6] == [True] * 4 + ["refused"] * 2)
"""
