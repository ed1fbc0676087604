"""Stamps without a capture: a capture switches receive stamping on for the machine and so hides false stamps.

A false stamp is the time of the read in place of the arrival's. To tell the two apart the reader is kept from
reading for a while, by which a false stamp is then too late: the worker is stopped (SIGSTOP) just after it
sent and goes on long after the answer came. The control does the same with short-lived sockets and no keeper, as
a naive prober would; if it finds nothing false or missing, something on this machine keeps stamping on, and
the run shows nothing.
"""

import contextlib
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from firmware.model.task import OptionValue
from firmware.net import kernel
from firmware.net.echo import icmp_form
from firmware.net.loop import boottime_ns
from tests.bench.timing.worker_client import WorkerClient

_ADDRESS: Final = "10.77.2.1"
_MS: Final = 1_000_000
_STOP_AFTER_NS: Final = 4 * _MS
_HOLD_NS: Final = 80 * _MS
_SLACK_NS: Final = 10 * _MS
_LEAD_NS: Final = 20 * _MS
CONTROL: Final = "control"


def worker(client: WorkerClient, probes: int, tell: Callable[[str], None]) -> Counter[str]:
    """Count the worker's stamps: `true`, `false` (labelled as the kernel's and too late), `missing` (labelled user)."""
    found: Counter[str] = Counter()
    options: dict[str, OptionValue] = {"method": "icmp", "count": 1, "timeout_ms": 2000}
    for number in range(probes):
        slot = boottime_ns() + _LEAD_NS
        task = client.task("ping", _ADDRESS, options, start_ns=slot)
        client.submit(task)
        _sleep_until(slot + _STOP_AFTER_NS)
        os.kill(client.pid, signal.SIGSTOP)
        try:
            _sleep_until(slot + _HOLD_NS)
        finally:
            os.kill(client.pid, signal.SIGCONT)
        outcome = client.collect([task])[0].outcome
        found[
            _word(outcome.phases["rtt"].ns, str(outcome.phases["rtt"].stamp))
            if "rtt" in outcome.phases
            else "lost"
        ] += 1
        if number % 20 == 0:
            tell(f"… stamps without a capture: {number} of {probes}")
    return found


def _word(rtt_ns: int, stamp: str) -> str:
    if stamp == "user":
        return "missing"
    return "true" if rtt_ns < _HOLD_NS - _SLACK_NS else "false"


def control(probes: int, address: str) -> Counter[str]:
    """Count the stamps of sockets that each live for one probe, without a keeper, read late."""
    found: Counter[str] = Counter()
    form = icmp_form(4)
    for _ in range(probes):
        with socket.socket(
            socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMP
        ) as sock:
            sock.setsockopt(socket.SOL_SOCKET, kernel.SO_TIMESTAMPING_NEW, kernel.STAMP_FLAGS)
            sock.connect((address, 0))
            sent_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
            sock.send(form.write(1))
            time.sleep(_HOLD_NS / 1e9)
            found[_read_late(sock, sent_ns)] += 1
        time.sleep(0.02)  # stamping is switched off again some time after the last socket closed
    return found


def control_found(counts: Mapping[str, Mapping[str, int]]) -> bool:
    """Return whether a control found anything false or missing, so that finding nothing elsewhere means something."""
    return any(
        told.get("false", 0) + told.get("missing", 0)
        for name, told in counts.items()
        if name.startswith(CONTROL)
    )


def _read_late(sock: socket.socket, sent_ns: int) -> str:
    with contextlib.suppress(OSError):
        while True:  # transmit stamps first: a socket with a full error queue reports errors
            sock.recvmsg(2048, kernel.ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
    try:
        _, ancillary, _, _ = sock.recvmsg(2048, kernel.ANCILLARY_BYTES)
    except OSError:
        return "lost"
    stamp_ns = kernel.parse_ancillary(ancillary).stamp_ns
    if stamp_ns is None:
        return "missing"
    return "true" if stamp_ns - sent_ns < _HOLD_NS - _SLACK_NS else "false"


def _sleep_until(when_ns: int) -> None:
    time.sleep(max(0, when_ns - boottime_ns()) / 1e9)
