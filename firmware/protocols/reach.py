"""The way to a host: resolve it, then connect to its addresses in order until one accepts, keeping the account.

One account for every probe that talks over TCP, so that records tell the same story in the same words. This
file must never hide an attempt that failed because a later one worked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from firmware.model.failures import Failure, MeasurementFailedError
from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.model.record import Phase
from firmware.net.access import ConnectAttempt, Net, TcpStream
from firmware.net.path_labels import error_label
from firmware.protocols.names import lookup


@dataclass(slots=True, kw_only=True)
class ReachDetail:
    """What was learnt on the way.

    `queries` are `firmware.protocols.dns_exchange` exchanges, `tcp_connect` every attempt; `phases` has `resolve` (where DNS
    was asked) and `connect` (of the attempt that succeeded); `resolved_from` is `literal`, `hosts` or `dns`.
    """

    queries: list[JsonValue] = field(default_factory=list)
    tcp_connect: list[JsonValue] = field(default_factory=list)
    phases: dict[str, Phase] = field(default_factory=dict)
    resolved_from: str = ""

    def to_json(self) -> JsonObject:
        """Return what a record keeps."""
        return {
            "resolved_from": self.resolved_from,
            "queries": self.queries,
            "tcp_connect": self.tcp_connect,
        }


async def reach(
    net: Net,
    way: ReachDetail,
    host: str,
    port: int,
    *,
    families: Sequence[int] = (4, 6),
    max_segment: int = 0,
) -> TcpStream:
    """Return a stream to `host`, which may be a literal address; what happened on the way goes into `way`.

    `max_segment` is as in `Net.connect_tcp`.

    Raises `MeasurementFailedError`: operation `resolve`, or `connect` with the failure of the first address,
    which is what a person who tries the preferred address sees.
    """
    resolved = await lookup(net, host, families=families)
    way.resolved_from = resolved.source
    way.queries.extend(resolved.queries)
    if resolved.phase is not None:
        way.phases["resolve"] = resolved.phase
    if resolved.failure is not None:
        raise MeasurementFailedError(resolved.failure, operation="resolve")
    first: MeasurementFailedError | None = None
    for address in resolved.addresses:
        tried = len(net.attempts)
        try:
            stream = await net.connect_tcp(address, port, max_segment=max_segment)
        except MeasurementFailedError as error:
            first = first or error
        else:
            way.phases["connect"] = stream.connect
            return stream
        finally:
            made = [attempt for attempt in net.attempts[tried:] if attempt.address == address]
            way.tcp_connect.extend(attempt_to_json(net, attempt) for attempt in made)
    raise first or MeasurementFailedError(Failure.NO_ADDRESS, operation="connect")


def attempt_to_json(net: Net, attempt: ConnectAttempt) -> JsonObject:
    """Return what a record keeps of one attempt to connect."""
    kept: JsonObject = {
        "address": net.host.label(attempt.address),
        "port": attempt.port,
        "failure": attempt.failure,
        "elapsed_ns": attempt.elapsed_ns,
        "retransmissions": attempt.tcp_info.total_retrans,
    }
    if attempt.icmp is not None:
        kept["icmp"] = {
            "type": attempt.icmp.icmp_type,
            "code": attempt.icmp.icmp_code,
            "from": error_label(net.host, attempt.icmp.offender),
        }
    return kept
