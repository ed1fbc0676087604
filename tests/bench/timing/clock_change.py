"""What a probe says when CLOCK_REALTIME, the kernel's stamps' clock, is stepped or slewed while it waits.

There is one such clock a machine and no namespace for it, so it is this machine's that moves: by 3 ms, for some
ten of them, and back by exactly as much: adjtimex(2) with ADJ_SETOFFSET moves it by a difference, so
nothing is lost in reading and setting. What was changed of the clock's discipline is put back, and what is left
against CLOCK_MONOTONIC_RAW is told. Needs root outside of any user namespace.
"""

import contextlib
import ctypes
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from firmware.model.record import Outcome
from firmware.net.loop import boottime_ns
from tests.bench.timing.worker_client import WorkerClient

_ADDRESS: Final = "10.77.3.1"
STEP_US: Final = 3000
SLEW_PPM: Final = 500
FAST_SLEW_PPM: Final = 5000
_FREQUENCY, _MAXERROR, _ESTERROR, _STATUS, _SETOFFSET, _TICK = 0x2, 0x4, 0x8, 0x10, 0x100, 0x4000
_MS: Final = 1_000_000
_LEAD_NS: Final = 20 * _MS
_IN_FLIGHT_NS: Final = 4 * _MS


class _Timex(ctypes.Structure):
    """`struct timex` (linux/timex.h) of a 64-bit machine."""

    _fields_ = [  # ctypes wants it so
        ("modes", ctypes.c_uint),
        *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
        ("status", ctypes.c_int),
        *((name, ctypes.c_long) for name in ("constant", "precision", "tolerance", "sec", "usec", "tick")),
        *((name, ctypes.c_long) for name in ("ppsfreq", "jitter")),
        ("shift", ctypes.c_int),
        *((name, ctypes.c_long) for name in ("stabil", "jitcnt", "calcnt", "errcnt", "stbcnt")),
        ("tai", ctypes.c_int),
        ("padding", ctypes.c_int * 11),
    ]


_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def _adjtimex(change: _Timex) -> _Timex:
    if _LIBC.adjtimex(ctypes.byref(change)) < 0:
        raise OSError(ctypes.get_errno(), "adjtimex")
    return change


def step(microseconds: int) -> None:
    """Step CLOCK_REALTIME by a difference."""
    seconds, rest = divmod(microseconds, 1_000_000)
    _adjtimex(_Timex(modes=_SETOFFSET, sec=seconds, usec=rest))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockCase:
    """One way to move the clock, and what the probes during it said.

    `flagged` of `probes` said `clock_stepped`; `kernel` of them kept a kernel stamp; `worst_ns` is how far the
    furthest reported time was from the median without a change.
    """

    name: str
    probes: int
    flagged: int
    kernel: int
    worst_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockChange:
    """All cases, and by how much CLOCK_REALTIME was off at the end against CLOCK_MONOTONIC_RAW."""

    cases: tuple[ClockCase, ...]
    left_ns: int


def measure(client: WorkerClient, probes: int, tell: Callable[[str], None]) -> ClockChange:
    """Move the clock in every way there is here. Raises `OSError` where that is not allowed."""
    with _put_back() as base:
        still = [_probe(client, lambda: None) for _ in range(probes)]
        usual_ns = sorted(_rtt_ns(outcome) for outcome in still)[len(still) // 2]
        rate = _drift_ppb()
        before_ns, before_raw_ns = _offset()
        tell("clock: steps")
        cases = [_case("no change", still, usual_ns)]
        for sign, name in ((1, "ahead"), (-1, "back")):
            outcomes = []
            for _ in range(probes):
                try:
                    outcomes.append(_probe(client, lambda: step(sign * STEP_US)))  # noqa: B023  # called at once
                finally:
                    step(-sign * STEP_US)
            cases.append(_case(f"a step of {STEP_US // 1000} ms {name} in flight", outcomes, usual_ns))
        tell("clock: slews")
        cases += _slews(client, base, probes, usual_ns)
    after_ns, after_raw_ns = _offset()
    left_ns = after_ns - before_ns - rate * (after_raw_ns - before_raw_ns) // 1_000_000_000
    if abs(left_ns) >= 1000:
        step(-round(left_ns / 1000))
        left_ns -= round(left_ns / 1000) * 1000
    return ClockChange(cases=tuple(cases), left_ns=left_ns)


def _slews(client: WorkerClient, base: _Timex, probes: int, usual_ns: int) -> list[ClockCase]:
    """Run the clock fast for some probes, then slow for as long."""
    cases = []
    for ppm, name in ((SLEW_PPM, "slow enough to time by"), (FAST_SLEW_PPM, "too fast")):
        outcomes = []
        for sign in (1, -1):
            if ppm == SLEW_PPM:
                _adjtimex(_Timex(modes=_FREQUENCY, freq=sign * ppm << 16))
            else:
                _adjtimex(_Timex(modes=_TICK, tick=base.tick + sign * base.tick * ppm // 1_000_000))
            end_ns = boottime_ns() + probes * 60 * _MS
            outcomes += [_probe(client, lambda: None) for _ in range(probes)]
            time.sleep(max(0, end_ns - boottime_ns()) / 1e9)  # as long one way as the other
            _adjtimex(_Timex(modes=_FREQUENCY | _TICK, freq=base.freq, tick=base.tick))
        cases.append(_case(f"a slew of ±{ppm} ppm ({name})", outcomes, usual_ns))
    return cases


@contextlib.contextmanager
def _put_back() -> Iterator[_Timex]:
    """Put back frequency, tick, status and error bounds, whatever happened."""
    base = _adjtimex(_Timex(modes=0))
    try:
        yield base
    finally:
        changed = _FREQUENCY | _TICK | _STATUS | _MAXERROR | _ESTERROR
        _adjtimex(
            _Timex(
                modes=changed,
                freq=base.freq,
                tick=base.tick,
                status=base.status,
                maxerror=base.maxerror,
                esterror=base.esterror,
            )
        )


def _drift_ppb() -> int:
    """Return how fast CLOCK_REALTIME runs ahead of CLOCK_MONOTONIC_RAW as things are."""
    one_ns, one_raw_ns = _offset()
    time.sleep(1)
    other_ns, other_raw_ns = _offset()
    return (other_ns - one_ns) * 1_000_000_000 // (other_raw_ns - one_raw_ns)


def _offset() -> tuple[int, int]:
    """Return CLOCK_REALTIME − CLOCK_MONOTONIC_RAW and the latter, from the quickest of several readings."""
    best: tuple[int, int, int] | None = None
    for _ in range(20):
        before_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        realtime_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
        took_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW) - before_ns
        if best is None or took_ns < best[0]:
            best = took_ns, realtime_ns - before_ns - took_ns // 2, before_ns
    assert best is not None
    return best[1], best[2]


def _probe(client: WorkerClient, change: Callable[[], None]) -> Outcome:
    """Probe once; `change` is called while the answer is on its way."""
    slot = boottime_ns() + _LEAD_NS
    task = client.task("ping", _ADDRESS, {"method": "icmp", "count": 1, "timeout_ms": 2000}, start_ns=slot)
    client.submit(task)
    time.sleep(max(0, slot + _IN_FLIGHT_NS - boottime_ns()) / 1e9)
    change()
    return client.collect([task])[0].outcome


def _rtt_ns(outcome: Outcome) -> int:
    return outcome.phases["rtt"].ns if "rtt" in outcome.phases else 0


def _case(name: str, outcomes: list[Outcome], usual_ns: int) -> ClockCase:
    return ClockCase(
        name=name,
        probes=len(outcomes),
        flagged=sum(outcome.detail.get("clock_stepped") is True for outcome in outcomes),
        kernel=sum("rtt" in one.phases and str(one.phases["rtt"].stamp) != "user" for one in outcomes),
        worst_ns=max(abs(_rtt_ns(outcome) - usual_ns) for outcome in outcomes),
    )


def allowed() -> bool:
    """Return whether this process may move the clock."""
    try:
        _adjtimex(_Timex(modes=_FREQUENCY, freq=_adjtimex(_Timex(modes=0)).freq))
    except OSError:
        return False
    return os.geteuid() == 0
