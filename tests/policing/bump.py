"""A bump in the wire that delays, loses by lot and polices: a process of its own that comes before the machine's load.

    python -m tests.policing.bump NEAR FAR '{"delay_us": 20000, "loss": 0.0, "seed": 1, "rate_bit_s": 0, "burst_bytes": 0}'

What goes from FAR to NEAR is policed (where there is a rate) and lost; both ways are delayed. It says `ready`, and ends with its standard input. The censor
does more and takes longer for each packet: on a busy machine what waits in it is a queue that nobody built. It must never send anything of its own.
"""

import json
import random
import sys
from typing import Final

from tests.bench.timing.delay_line import carry
from tests.nation.censor.lines import Bucket

_ETHERNET_BYTES: Final = 14


def main(near: str, far: str, settings: str) -> None:
    """Carry frames both ways until the standard input ends."""
    asked = json.loads(settings)
    lots = random.Random(asked["seed"])
    policer = Bucket(asked["rate_bit_s"], asked["burst_bytes"]) if asked["rate_bit_s"] else None

    def passes(frame: bytes, is_from_far: bool, now_ns: int) -> bool:
        if not is_from_far:
            return True
        if lots.random() < asked["loss"]:
            return False
        return policer is None or policer.pass_at(len(frame) - _ETHERNET_BYTES, now_ns) is not None

    carry(near, far, delay_ns=asked["delay_us"] * 1000, passes=passes)


if __name__ == "__main__":
    main(*sys.argv[1:4])
