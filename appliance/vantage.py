"""What the device knows of the vantage outside: the last news that could be read, kept for when it is cut off.

DIR/controls.json (the name it was given first), replaced whole by a rename after it is on the disk. News that cannot be
read is refused with a reason and changes nothing; a file that cannot be read or written is as if there were none. This
file must never stop the measuring, and never make a vantage newer than it is: where the clocks do not tell its age, it
is as old as they say at most.
"""

import base64
import binascii
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from firmware.files.durable import write_durably
from firmware.judgement.site import vantage_json
from firmware.judgement.site.evidence import SecondView, SiteView, Stand
from firmware.model.jsontypes import Reader, RecordError
from firmware.model.plan import Plan
from firmware.wire.vantage_news import SecondTold, VantageNews, decode_news

NAME: Final = "controls.json"
NS: Final = 1_000_000_000
BELIEVED_S: Final = 24 * 3600.0
"""For so long news is not replaced by what the collector told before it."""
LATE_MOST_S: Final = 900.0
"""News is on its way no longer: a connection that brings nothing is given up before. What is later by our clock, is by its fault."""
_VERSION: Final = 1
_STANDS: Final = frozenset(map(str, Stand))
_Second = tuple[tuple[int, SecondView], ...]
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldNews:
    """News as it came: when, on both clocks, and in which boot."""

    payload: bytes
    boot_id: str
    boottime_ns: int
    utc_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """A moment of this boot, on both clocks."""

    boot_id: str
    boottime_ns: int
    utc_ns: int


class VantageNewsStore:
    """The last news of one device, in memory and in its data directory."""

    def __init__(self, directory: Path, plan: Plan) -> None:
        self._path = directory / NAME
        self._targets = frozenset((one.test, one.target, one.name) for one in plan.targets)
        self._kept: HeldNews | None = None
        self._news = VantageNews(told_utc_ns=0)
        self._seen: dict[str, tuple[int, SiteView, _Second]] = {}
        """What was seen of each target, by name, and when by the vantage's clock (UTC, ns)."""
        kept = _read(self._path)
        if kept is not None:
            self._use(kept)

    def take(self, payload: bytes, now: Now) -> str:
        """Take news that came; return why it is refused, "" where it was taken."""
        kept = HeldNews(
            payload=payload, boot_id=now.boot_id, boottime_ns=now.boottime_ns, utc_ns=max(0, now.utc_ns)
        )
        refused = self._stale(payload, now) or self._use(kept)
        if not refused:
            _write(self._path, kept)
        return refused

    def _age_s(self, kept: HeldNews, taken_utc_ns: int, now: Now) -> float:
        """Return how old something is that the vantage saw at `taken_utc_ns` by its own clock, as the news that came says.

        That is how old it was when it was told, by the collector's clock alone, how long the news was on its way, by both,
        and the time since by ours: by CLOCK_BOOTTIME in the boot in which it came, else by the wall clock, however wrong.
        """
        since_ns = (
            now.boottime_ns - kept.boottime_ns
            if kept.boot_id == now.boot_id
            else max(now.utc_ns - kept.utc_ns, now.boottime_ns)
        )
        late_ns = kept.utc_ns - self._news.told_utc_ns
        on_its_way_ns = late_ns if 0 < late_ns <= LATE_MOST_S * NS else 0
        return max(0, self._news.told_utc_ns - taken_utc_ns + on_its_way_ns + max(0, since_ns)) / NS

    def views(self, now: Now) -> dict[str, SiteView]:
        """Return what the vantage saw of the plan's targets, by name, each with its age."""
        kept = self._kept
        if kept is None:
            return {}
        return {
            name: replace(
                view,
                age_s=self._age_s(kept, taken_utc_ns, now),
                second=tuple(replace(one, before_s=self._age_s(kept, at, now)) for at, one in second),
            )
            for name, (taken_utc_ns, view, second) in self._seen.items()
        }

    def _stale(self, payload: bytes, now: Now) -> str:
        """Return why news that was told before what is known is refused: it was held back, or is sent again.

        Only for a day: a collector whose clock was set back must be heard again.
        """
        kept = self._kept
        if kept is None or self._age_s(kept, self._news.told_utc_ns, now) > BELIEVED_S:
            return ""
        try:
            told_utc_ns = decode_news(payload).told_utc_ns
        except RecordError as error:
            return str(error)
        return (
            "vantage news: it was told before what is known" if told_utc_ns < self._news.told_utc_ns else ""
        )

    def _use(self, kept: HeldNews) -> str:
        """Go by this news; return why it cannot be gone by, then the last stays."""
        try:
            news = decode_news(kept.payload)
            # Read once, as it comes: its views are asked for with every look at a round.
            seen = {
                one.target_name: (
                    one.taken_utc_ns,
                    replace(vantage_json.from_json(one.view, age_s=0.0), earlier_s=one.earlier_s),
                    _second(one.second),
                )
                for one in news.seen
                if (one.test, one.target, one.target_name) in self._targets
            }
        except RecordError as error:
            return str(error)
        self._kept, self._news, self._seen = kept, news, seen
        return ""


def _second(told: Iterable[SecondTold]) -> _Second:
    """Return what was seen from stands that this software knows, each with when that was."""
    return tuple(
        (one.taken_utc_ns, SecondView(stand=Stand(one.stand), before_s=0.0, failure=one.failure))
        for one in told
        if one.stand in _STANDS
    )


def _write(path: Path, kept: HeldNews) -> None:
    """Write it so that a power cut leaves the old file or the new one."""
    text = json.dumps(
        {
            "v": _VERSION,
            "payload": base64.b64encode(kept.payload).decode("ascii"),
            "boot_id": kept.boot_id,
            "boottime_ns": kept.boottime_ns,
            "utc_ns": kept.utc_ns,
        }
    )
    try:
        write_durably(path, text.encode())
    except OSError as error:
        _log.warning("what the vantage saw is not kept for the next start: %s", error)


def _read(path: Path) -> HeldNews | None:
    try:
        reader = Reader.of_text(path.read_bytes(), where=path.name)
        return HeldNews(
            payload=base64.b64decode(reader.text("payload"), validate=True),
            boot_id=reader.text("boot_id"),
            boottime_ns=reader.integer("boottime_ns", low=0),
            utc_ns=reader.integer("utc_ns", low=0),
        )
    except (OSError, RecordError, binascii.Error):
        return None
