"""The lines of the drill, drawn from seeds: what stands on each is the truth. Pure.

A line has a delay and a rate with a queue of its own, and may lose by chance. On it may stand a policer or a shaper: the kernel's token
bucket (tbf; with no queue but the packet that waits it polices) or the bump's, which drops at once. This file must never know of a rule of the judgement.
"""

import random
from dataclasses import asdict, dataclass, replace
from typing import Final

PAYLOAD_OF_IP: Final = 1448 / 1500
"""How much of a full packet is payload: 20 bytes of IP, 32 of TCP with time stamps."""
PAYLOAD_OF_FRAME: Final = 1448 / 1514
"""The kernel's token bucket counts Ethernet's header too."""


_MOST_BYTES: Final = 2_500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicingLine:
    """One line. `by` is what throttles: `tbf`, `bump` or nothing; `kind` is what it is."""

    kind: str
    seed: int
    rtt_ms: float
    line_bit_s: int
    line_queue_bytes: int
    loss: float = 0.0
    by: str = ""
    rate_bit_s: int = 0
    burst_bytes: int = 0
    queue_bytes: int = 0
    seconds: float = 5.0

    @property
    def payload_rate(self) -> float:
        """Return which rate of payload the throttle lets through, in bytes a second; of a line without one, the line's."""
        if self.by == "tbf":
            return self.rate_bit_s / 8 * PAYLOAD_OF_FRAME
        if self.by:
            return self.rate_bit_s / 8 * PAYLOAD_OF_IP
        return self.line_bit_s / 8 * PAYLOAD_OF_FRAME

    @property
    def payload_bytes(self) -> int:
        """Return how much is sent: what takes `seconds` at that rate."""
        amount = round(self.burst_bytes + self.payload_rate * self.seconds)
        return min(amount, _MOST_BYTES)

    def to_json(self) -> dict[str, object]:
        """Return it as JSON; `PolicingLine(**…)` is the inverse."""
        return asdict(self)


KINDS: Final = ("policed", "policed-lossy", "shaped", "lossy", "bufferbloat", "shallow", "plain")
IS: Final = {"policed": "policed", "policed-lossy": "policed", "shaped": "shaped"}
"""What a kind is in truth, if it is throttled; the others are neither."""


def draw_line(kind: str, seed: int) -> PolicingLine:
    """Return the line of a kind and seed."""
    lots = random.Random(f"{kind} {seed}")
    rtt_ms = lots.choice((20, 40, 80, 150))
    fast = lots.choice((8_000_000, 10_000_000))
    slow = lots.choice((1_000_000, 2_000_000, 4_000_000))
    made = PolicingLine(
        kind=kind,
        seed=seed,
        rtt_ms=rtt_ms,
        line_bit_s=fast,
        line_queue_bytes=max(30_000, round(fast / 8 * rtt_ms / 1000)),
    )
    throttled = replace(
        made,
        by="bump" if kind in ("policed", "policed-lossy") and seed % 2 else "tbf",
        rate_bit_s=lots.choice((400_000, 800_000, 1_500_000, 3_000_000)),
        burst_bytes=lots.choice((30_000, 60_000, 150_000, 300_000)),
    )
    match kind:
        case "policed":
            return throttled
        case "policed-lossy":
            return replace(throttled, loss=0.005)
        case "shaped":
            return replace(throttled, queue_bytes=lots.choice((60_000, 120_000, 300_000)))
        case "lossy":
            return replace(made, loss=lots.choice((0.01, 0.02, 0.03)))
        case "bufferbloat":
            return replace(made, line_bit_s=slow, line_queue_bytes=slow // 8)
        case "shallow":
            return replace(made, line_bit_s=slow, line_queue_bytes=lots.choice((6_000, 12_000)))
    return replace(made, line_bit_s=2 * slow, line_queue_bytes=max(30_000, round(slow / 4 * rtt_ms / 1000)))
