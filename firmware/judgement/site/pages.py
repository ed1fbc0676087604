"""Whether two answers for one page are of the same page; what a bot check looks like; when a transfer is slow. Pure.

Pages of free sites differ from place to place and from minute to minute, so a difference counts only where nothing
at all is alike. This file must never conclude: a page that differs may be the site's own.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from firmware.judgement.site.evidence import Request, SiteView

LENGTH_RATIO: Final = 0.7
"""Bodies whose lengths are nearer than this are alike (OONI ts-017)."""
LONG_WORD: Final = 5
SLOW_STEPS: Final = 3
"""A transfer that moved at this many separate moments was slow when time ran out, not stopped."""
_STEP_NS: Final = 1_000_000_000

_CHECK: Final = re.compile(
    rb"captcha|cf-chl|challenge-platform|just a moment|checking your browser|attention required|"
    rb"verify(?:ing)? (?:that )?you are (?:a )?human|enable javascript and cookies|ddos protection by",
    re.IGNORECASE,
)
_COMMON: Final = frozenset(
    {
        "accept-ranges",
        "age",
        "cache-control",
        "connection",
        "content-encoding",
        "content-language",
        "content-length",
        "content-type",
        "date",
        "etag",
        "expires",
        "last-modified",
        "link",
        "location",
        "pragma",
        "server",
        "set-cookie",
        "strict-transport-security",
        "transfer-encoding",
        "vary",
        "via",
        "x-content-type-options",
        "x-frame-options",
        "x-powered-by",
        "x-xss-protection",
    }
)


def is_bot_check(page: Request) -> bool:
    """Return whether the answer asks for proof of being human: the server's doing, to this address alone."""
    names = {name.lower() for name, _ in page.headers}
    title = (page.title or "").encode("utf-8", "replace")
    return "cf-mitigated" in names or bool(_CHECK.search(page.body[:65_536]) or _CHECK.search(title))


def alike(page: Request, vantage: SiteView) -> bool | None:
    """Return whether the vantage got the same page; None where there is too little of both to compare."""
    if page.status is None or vantage.status is None:
        return None
    found = [
        one
        for one in (
            _lengths_alike(page, vantage),
            _titles_alike(page, vantage),
            _headers_alike(page, vantage),
        )
        if one is not None
    ]
    if page.status == vantage.status and any(found):
        return True
    if page.status == vantage.status and not found:
        return None
    if page.status // 100 != vantage.status // 100:
        return False
    # With the same kind of status, one thing that differs is a page of another day or place.
    return True if any(found) else False if len(found) >= 2 else None


def is_slow(progress: Sequence[tuple[int, int]]) -> bool:
    """Return whether a transfer still moved from second to second: [bytes so far, ns]."""
    moments: set[int] = set()
    before = 0
    for size, t_ns in progress:
        if size > before:
            moments.add(t_ns // _STEP_NS)
            before = size
    return len(moments) >= SLOW_STEPS


def _lengths_alike(page: Request, vantage: SiteView) -> bool | None:
    ours, theirs = page.body_length, vantage.body_length
    if page.body_is_truncated or not ours or not theirs:
        return None
    return min(ours, theirs) / max(ours, theirs) > LENGTH_RATIO


def _titles_alike(page: Request, vantage: SiteView) -> bool | None:
    ours, theirs = _words(page.title), _words(vantage.title)
    return None if not ours and not theirs else bool(ours & theirs)


def _headers_alike(page: Request, vantage: SiteView) -> bool | None:
    ours, theirs = _names(page.headers), _names(vantage.headers)
    return None if not theirs else bool(ours & theirs)


def _names(headers: Iterable[tuple[str, str]]) -> frozenset[str]:
    return frozenset(name.lower() for name, _ in headers) - _COMMON


def _words(title: str | None) -> frozenset[str]:
    return frozenset(word.lower() for word in (title or "").split() if len(word) >= LONG_WORD)
