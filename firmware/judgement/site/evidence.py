"""What a measurement of one web page came to, flat: lookups, connects, handshakes, requests; and a vantage's view.

Plain values, the same whoever measured: filled from a record of ours (`from_record`) or from an OONI measurement
(`firmware.ooni`), judged in `firmware.judgement.site.verdict`. Nothing here may conclude, read a clock or know a
file's form. Failures are df-007 words or None. Times are ns since the measurement's start.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

VANTAGE_FRESH_S: Final = 3 * 3600.0
"""A vantage's view older than this is a last known one: used, and said to be old (`SiteView.age_s`)."""
MOST_LOOKS: Final = 24
"""So many of a vantage's looks are known of one view beside the last: as many as a rule counts."""
VANTAGE_OLDEST_S: Final = 24 * 3600.0
"""A vantage older than this says nothing: a site may have come and gone since."""


class VantageSource(StrEnum):
    """Who saw the target from outside."""

    COLLECTOR = "collector"
    TEST_HELPER = "test_helper"
    """OONI's web-connectivity helper, in a measurement of theirs."""


class Looked(StrEnum):
    """On which side of a round's end a vantage looked."""

    BEFORE = "before"
    AFTER = "after"
    """Only after it: what was so at the time it cannot know."""
    AROUND = "around"
    """On both sides, and found the same."""
    CHANGED = "changed"
    """On both sides, and found different things: what was so in between it cannot know."""


class Stand(StrEnum):
    """Where somebody else stands whom platforms treat as they treat the device: what refuses a country refuses them too."""

    SECOND = "second"
    """The collector's second vantage, in a network that its operator declares to be treated like the country's."""
    INSIDE = "inside"
    """Another device in the country."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondView:
    """Whether somebody at `stand` connected to the same page: `failure` is why not, None where it proved itself.

    That was `before_s` before the end of the measurement's round.
    """

    stand: Stand
    before_s: float
    failure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """One question for a name and what was answered.

    `resolver` is the resolver's address or label (`@isp`, `@system`), `engine` how it was asked (`getaddrinfo`,
    `udp`, `doh`). `asns` holds the numbers of the networks of `addresses` where known. `late` holds addresses of
    further, different answers to the same question: a race that somebody lost. `names` holds the names that its
    answers lead on to (CNAME).
    """

    hostname: str
    resolver: str = ""
    engine: str = ""
    query_type: str = "A"
    failure: str | None = None
    addresses: tuple[str, ...] = ()
    asns: tuple[int, ...] = ()
    late: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """One TCP connection attempt; `took_ns` until it succeeded or failed."""

    address: str
    port: int
    failure: str | None = None
    took_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeEvidence:
    """One TLS handshake. `bytes_read` is how much of the answer came before it failed.

    `is_control` marks the one with an innocuous server name to the same address and port.
    """

    address: str
    port: int = 443
    server_name: str = ""
    failure: str | None = None
    took_ns: int | None = None
    bytes_read: int | None = None
    is_control: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP exchange, in the order they were made. `body` is what was kept of it, often its start, or b"".

    `body_length` counts what was read. `headers` keep the order they came in. `progress` is [bytes so far, ns]:
    it tells a stopped transfer from one that was only slow.
    """

    url: str
    address: str = ""
    failure: str | None = None
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    body_length: int = 0
    body_is_truncated: bool = False
    title: str | None = None
    progress: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WebEvidence:
    """What one measurement of `url` saw. Requests are first to last; empty tuples: that step was not tried."""

    url: str
    lookups: tuple[Lookup, ...] = ()
    connects: tuple[Connect, ...] = ()
    handshakes: tuple[HandshakeEvidence, ...] = ()
    requests: tuple[Request, ...] = ()
    failure: str | None = None
    """The whole measurement's failure where it says one, for measurements that keep no steps."""
    failed_operation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteView:
    """What a vantage outside saw of the same page, closest in time. None in a field: it did not try.

    `connects` and `handshakes` map `ADDRESS:PORT` to a failure or None. `asns` maps an address to its network's
    number where known. `reachable` is False where the vantage itself could not be asked: then nothing else is
    filled. `looked` is when, and `age_s` how far from the end of the measurement's round, or from the measurement where it
    was in none. `before_s` is how long before that it looked last, None where it did not; `earlier_s` how long before
    that look the ones were that had found the same without a break, the nearest first, `MOST_LOOKS` of them at most.
    """

    source: VantageSource
    reachable: bool = True
    age_s: float = 0.0
    looked: Looked = Looked.BEFORE
    before_s: float | None = None
    earlier_s: tuple[float, ...] = ()
    dns_failure: str | None = None
    addresses: tuple[str, ...] = ()
    asns: Mapping[str, int] = field(default_factory=dict)
    connects: Mapping[str, str | None] = field(default_factory=dict)
    handshakes: Mapping[str, str | None] = field(default_factory=dict)
    http_failure: str | None = None
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body_length: int | None = None
    title: str | None = None
    saw_dns: bool = True
    saw_http: bool = True
    """False where the vantage was not asked for that step at all (then its failure of None says nothing)."""
    second: tuple[SecondView, ...] = ()
    """What was seen from where platforms treat whoever asks like the device: one view of a stand at most."""

    @property
    def last_before_s(self) -> float | None:
        """Return how long before the measurement's time it looked last; None where it did not, or nobody knows."""
        return self.age_s if self.looked is Looked.BEFORE else self.before_s

    def looks_since(self, ago_s: float) -> int:
        """Return how many of its looks that found the same were made in the last `ago_s`, as far as they are known."""
        before_s = self.last_before_s
        if before_s is None:
            return 0
        return sum(before_s + earlier_s <= ago_s for earlier_s in (0.0, *self.earlier_s))
