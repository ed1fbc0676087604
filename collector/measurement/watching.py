"""What holds a download to its rate, as its sender sees it: by its packets where they may be seen, else by the kernel's counts.

A capture is opened for a few flows at once at the most, and none where CAP_NET_RAW is not had. What is told of packets is the judgement and its figures, and
never a packet. This file must never read a ring while its transfer runs.
"""

import logging
import socket
from dataclasses import dataclass, field
from typing import Final

from collector.measurement.capture import FRAMES, FlowCapture
from firmware.judgement.throttling.policing import limit_of
from firmware.judgement.throttling.policing_by_tcp_info import kernel_points, limit_by_tcp_info
from firmware.judgement.throttling.sent_packets import trace_of
from firmware.model.jsontypes import JsonObject

MOST_CAPTURES: Final = 16
"""How many flows are captured at once; each has a ring of 2 MiB."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class SenderWatch:
    """Watches flows, `most` with their packets at once. With `captures` off it opens none."""

    captures: bool = True
    most: int = MOST_CAPTURES
    open: "set[FlowCapture]" = field(default_factory=set)

    def begin(self, connection: socket.socket | None) -> FlowCapture | None:
        """Begin to capture a connection's packets, if that may be; `told` ends it."""
        if connection is None or not self.captures or len(self.open) >= self.most:
            return None
        try:
            capture = FlowCapture.of(connection)
        except PermissionError:
            self.captures = False
            return None
        except OSError as error:
            log.warning("packets cannot be captured (%s)", error.strerror)
            return None
        self.open.add(capture)
        return capture

    def told(self, capture: FlowCapture | None, tcp: JsonObject, segment_bytes: int) -> JsonObject:
        """Return what a flow shows, as a server's half has it, and let go of its capture. May take a tenth of a second."""
        if capture is None:
            points = kernel_points(tcp)
            return {"by": "tcp_info", **limit_by_tcp_info(points).to_json()} if points else {}
        try:
            seen = capture.seen()
        finally:
            capture.close()
            self.open.discard(capture)
        found = limit_of(trace_of(seen, segment_bytes))
        return {"by": "packets", "packets": len(seen), "whole": len(seen) < FRAMES, **found.to_json()}
