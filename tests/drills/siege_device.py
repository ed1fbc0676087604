"""The device of the siege: `tidegauge device` as users run it, with a log outside the product of what it calls durable.

    python -P siege_device.py LOG CLOCK PRODUCT OPTION…      (the options of `tidegauge device`)

Before `Outbox.append` the digest of each record goes to LOG ("m DIGEST": it was measured); right after it returned, each
record's identity does ("d EPOCH SEQ DIGEST: it is durable"), flushed. CLOCK holds by how many ns the wall clock is off. It must
run on any version of the product and decide nothing in it: PRODUCT is where that must come from.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LOOK_S = 0.1


def digest_of(record: Any) -> str:
    """Return the digest of a record's whole content, as it is in JSON."""
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # Half a surrogate pair is stored as a question mark (`appliance.storage.tables.rows`).
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def log_what_is_durable(log: Path) -> None:
    """Have every append of every outbox in this process logged."""
    from appliance.outbox.box import Outbox
    from firmware.model.record import to_json

    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    real = Outbox.append

    def append(self: Outbox, records: Sequence[Any], *arguments: Any, **options: Any) -> Any:
        digests = [digest_of(to_json(record)) for record in records]
        # A line that a kill cut off is ended by the next one's beginning.
        os.write(descriptor, ("\n" + "".join(f"m {one}\n" for one in digests)).encode())
        identities = real(self, records, *arguments, **options)
        lines = (
            f"d {identity.epoch} {identity.seq} {digest}\n"
            for identity, digest in zip(identities, digests, strict=True)
        )
        os.write(descriptor, ("\n" + "".join(lines)).encode())
        os.fsync(descriptor)
        return identities

    vars_of: Any = Outbox
    vars_of.append = append


def let_the_clock_jump(path: Path) -> None:
    """Have the wall clock of this process be off by what stands in `path`, from moment to moment."""
    module: Any = time
    time_ns, clock_gettime_ns = time.time_ns, time.clock_gettime_ns
    known = [0, -1.0]

    def offset_ns() -> int:
        if time.monotonic() - known[1] > LOOK_S:
            try:
                known[0] = int(path.read_text())
            except (OSError, ValueError):
                known[0] = 0
            known[1] = time.monotonic()
        return int(known[0])

    def of_clock(clock: int) -> int:
        return clock_gettime_ns(clock) + (offset_ns() if clock == time.CLOCK_REALTIME else 0)

    module.time_ns = lambda: time_ns() + offset_ns()
    module.time = lambda: (time_ns() + offset_ns()) / 1e9
    module.clock_gettime_ns = of_clock
    module.clock_gettime = lambda clock: of_clock(clock) / 1e9


def main() -> None:
    """Run it."""
    log, clock, product, *options = sys.argv[1:]
    let_the_clock_jump(Path(clock))  # before the product is loaded: it may keep the functions
    import appliance
    from firmware.commands.main import main as tidegauge

    home = Path(str(appliance.__file__)).parents[1]
    assert home == Path(product), f"the product came from {home}"
    log_what_is_durable(Path(log))
    sys.argv = ["tidegauge", "device", *options]
    tidegauge()


if __name__ == "__main__":
    main()
