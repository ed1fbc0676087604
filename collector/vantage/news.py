"""What devices are told of the vantage's findings, made of its streaks and of looks from elsewhere. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from collector.messages import OutgoingMessage
from collector.store.second_looks import SecondLook
from collector.store.vantage_streaks import NS, Key, VantageStreak
from firmware.judgement.site import vantage_json
from firmware.judgement.site.evidence import MOST_LOOKS
from firmware.wire import messages
from firmware.wire.vantage_news import LEAF, SecondTold, VantageNews, VantageView, encode_news


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The last news of a country: what it says without its times, and when it was told to all."""

    essence: tuple[object, ...]
    utc_ns: int
    news: VantageNews

    def at(self, now_utc_ns: int) -> bytes:
        """Return it as it is told at a moment: while the vantage sees nothing it gets old, and must say so.

        What comes later than a connection can keep it, a device takes for its own clock's fault.
        """
        return encode_news(replace(self.news, told_utc_ns=now_utc_ns))


def message(device: str, payload: bytes) -> OutgoingMessage:
    """Return news on its way to a device."""
    return OutgoingMessage(topic=messages.topic(device, "dn", LEAF), payload=payload)


def _earlier_s(streak: VantageStreak) -> tuple[int, ...]:
    """Return how long before its last sample the others were, the nearest first, rather too long."""
    *earlier, last = streak.looks_by(streak.last_utc_ns)
    return tuple(-(-(last - one) // NS) for one in earlier[: -MOST_LOOKS - 1 : -1])


def news_of(
    streaks: Sequence[VantageStreak], now_utc_ns: int, second: Iterable[SecondLook] = ()
) -> VantageNews:
    """Return the news that `streaks` make: platforms and all that is fetched first, since the last are cut first.

    `second` are the last looks from elsewhere for the country that is told.
    """
    beside: dict[Key, list[SecondTold]] = {}
    for look in second:
        told = SecondTold(stand=str(look.stand), taken_utc_ns=look.utc_ns, failure=look.failure)
        beside.setdefault(look.key, []).append(told)
    pages = sorted(streaks, key=lambda streak: streak.key.test != "web_connectivity")
    return VantageNews(
        told_utc_ns=now_utc_ns,
        seen=tuple(
            VantageView(
                test=streak.key.test,
                target=streak.key.target,
                target_name=streak.key.target_name,
                taken_utc_ns=streak.last_utc_ns,
                earlier_s=_earlier_s(streak),
                failure=streak.failure,
                failed_operation=streak.failed_operation,
                view=vantage_json.to_json(replace(streak.view, headers=(), title=None)),
                second=tuple(beside.get(streak.key, ())),
            )
            for streak in pages
        ),
    )
