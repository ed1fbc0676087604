"""How much the measurement server does for one device, and in all: pure, with the time as an argument.

What a transfer may take at most is set aside when it is let in and what it did not use is given back when it ends, so that
no limit is ever exceeded, whatever ends a transfer. A day is the last 24 h by the server's monotonic clock, rounded up to
whole hours, and a transfer is of the hour in which it was let in. A restart begins with empty counts. This file must never look at a clock.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from collector.measurement.refusals import refused

HOUR_S: Final = 3600.0
DAY_HOURS: Final = 24
SOON_S: Final = 10
"""After how long one comes again where others are being served."""
MAX_KNOWN: Final = 100_000
"""Of how many devices, and of how many nonces, something is remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What is allowed: transfers at once and bytes in 24 h, of one device and of all together."""

    transfers_per_device: int
    transfers: int
    bytes_per_device_per_day: int
    bytes_per_day: int


@dataclass(slots=True)
class _Account:
    """What one device, or all, have under way and have used, by the hour."""

    under_way: int = 0
    hours: dict[int, int] = field(default_factory=dict)

    def used(self, hour: int) -> int:
        for old in [one for one in self.hours if one < hour - DAY_HOURS]:
            del self.hours[old]
        return sum(self.hours.values())

    def add(self, hour: int, count: int) -> None:
        self.hours[hour] = self.hours.get(hour, 0) + count

    def wait_s(self, now_s: float) -> int:
        """Return after how long the oldest hour counts no longer."""
        oldest = min(self.hours, default=int(now_s // HOUR_S))
        return max(1, int((oldest + DAY_HOURS + 1) * HOUR_S - now_s) + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A transfer that was let in: whose, in which hour, and how many bytes were set aside for it."""

    who: str
    hour: int
    set_aside: int


class Allowances:
    """What is used of `bounds`."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._all = _Account()
        self._each: dict[str, _Account] = {}
        self._nonces: OrderedDict[tuple[str, str], None] = OrderedDict()

    @property
    def under_way(self) -> int:
        """How many transfers are under way."""
        return self._all.under_way

    def admit(self, who: str, nonce: str, count: int, *, now_s: float) -> Lease:
        """Set aside `count` bytes for a transfer of `who`, which `nonce` names. Raises `RefusedError`.

        A nonce that `who` has used is refused: what it names must be one transfer.
        """
        hour = int(now_s // HOUR_S)
        own = self._account(who, hour)
        self._check(own, hour, count, now_s)
        if (who, nonce) in self._nonces:
            raise refused(409, "this nonce was used before: draw a new one for each transfer")
        self._nonces[who, nonce] = None
        if len(self._nonces) > MAX_KNOWN:
            self._nonces.popitem(last=False)
        for account in (own, self._all):
            account.under_way += 1
            account.add(hour, count)
        return Lease(who=who, hour=hour, set_aside=count)

    def release(self, lease: Lease, used: int) -> None:
        """End a transfer that took `used` bytes, at most what was set aside."""
        left = lease.set_aside - min(used, lease.set_aside)
        for account in (self._each[lease.who], self._all):
            account.under_way -= 1
            if lease.hour in account.hours:
                account.add(lease.hour, -left)

    def _check(self, own: _Account, hour: int, count: int, now_s: float) -> None:
        bounds = self._bounds
        if own.under_way >= bounds.transfers_per_device:
            raise refused(
                429, f"{own.under_way} transfers of this device are under way", retry_after_s=SOON_S
            )
        if own.used(hour) + count > bounds.bytes_per_device_per_day:
            raise refused(
                429,
                f"a device has {bounds.bytes_per_device_per_day} bytes in 24 h, and used {own.used(hour)}",
                retry_after_s=own.wait_s(now_s),
            )
        if self._all.under_way >= bounds.transfers:
            raise refused(503, "too many transfers are under way here", retry_after_s=SOON_S)
        if self._all.used(hour) + count > bounds.bytes_per_day:
            raise refused(
                503, "this server has sent what it may in 24 h", retry_after_s=self._all.wait_s(now_s)
            )

    def _account(self, who: str, hour: int) -> _Account:
        """Return the account of `who`; those that hold nothing any more are forgotten where there are too many."""
        if who not in self._each and len(self._each) >= MAX_KNOWN:
            self._each = {
                name: one for name, one in self._each.items() if one.under_way or one.used(hour) > 0
            }
            if len(self._each) >= MAX_KNOWN:
                raise refused(503, "too many are served here", retry_after_s=int(HOUR_S))
        return self._each.setdefault(who, _Account())
