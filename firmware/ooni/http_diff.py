"""Whether two answers for one page differ, by OONI's four comparisons. Pure.

Status, share of the body's length, names of uncommon headers, long words of the title; None is a comparison that
cannot be made. Source: ts-017 and probe-cli's `minipipeline` (0.5) and `webconnectivity` (0.4), whose results these
reproduce, oddities included; our own judgement of a page is `firmware.judgement.site`, not this.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from firmware.ooni.measurement import HttpRequest, OoniControlHttp

_LENGTH_RATIO: Final = 0.7
_LONG_WORD_BYTES: Final = 5
_TITLE: Final = re.compile(rb"<title>([^<]{1,512})</title>", re.IGNORECASE)
_COMMON_HEADERS: Final = frozenset(
    {
        "accept-ranges",
        "age",
        "cache-control",
        "cf-ray",
        "content-encoding",
        "content-language",
        "content-type",
        "date",
        "etag",
        "expires",
        "last-modified",
        "link",
        "location",
        "p3p",
        "pragma",
        "server",
        "set-cookie",
        "strict-transport-security",
        "vary",
        "via",
        "x-content-type-options",
        "x-frame-options",
        "x-powered-by",
        "x-varnish",
        "x-xss-protection",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpDiff:
    """The four comparisons; None where one cannot be made."""

    status: bool | None
    body_length: bool | None
    headers: bool | None
    title: bool | None

    @property
    def differs(self) -> bool:
        """Return whether the pages differ: the status must match, and one of the other three."""
        return not (self.status and (self.body_length or self.headers or self.title))


def compare(probe: HttpRequest, control: OoniControlHttp, *, is_classic_04: bool) -> HttpDiff:
    """Compare the probe's last answer with the helper's.

    0.4 and 0.5 differ where there is little to compare: 0.5 takes a control status that is no success as
    no comparison and a missing title as a match; 0.4 takes equal sets of any headers as a match.
    """
    return HttpDiff(
        status=_status(probe, control, is_classic_04=is_classic_04),
        body_length=_body_length(probe, control),
        headers=_headers(probe, control, is_classic_04=is_classic_04),
        title=_title(probe, control, is_classic_04=is_classic_04),
    )


def _status(probe: HttpRequest, control: OoniControlHttp, *, is_classic_04: bool) -> bool | None:
    if probe.status is None or control.status is None:
        return None
    if probe.status == control.status:
        return True
    is_helpers_fault = control.status // 100 == 5 if is_classic_04 else control.status // 100 != 2
    return None if is_helpers_fault else False


def _body_length(probe: HttpRequest, control: OoniControlHttp) -> bool | None:
    ours, theirs = len(probe.body), control.body_length
    if probe.body_is_truncated or not ours or not theirs:
        return None
    return min(ours, theirs) / max(ours, theirs) > _LENGTH_RATIO


def _headers(probe: HttpRequest, control: OoniControlHttp, *, is_classic_04: bool) -> bool | None:
    if control.status is None or (is_classic_04 and probe.status is None):
        return None
    ours, theirs = _names(probe.headers), _names(control.headers)
    if is_classic_04 and ours == theirs:
        return True
    return bool((ours & theirs) - _COMMON_HEADERS)


def _title(probe: HttpRequest, control: OoniControlHttp, *, is_classic_04: bool) -> bool | None:
    if control.status is None or probe.status is None:
        return None
    found = _TITLE.search(probe.body)
    if is_classic_04 and (found is None or probe.body_is_truncated):
        return None
    ours = found[1].decode("utf-8", "replace") if found else ""
    return _long_words(ours) == _long_words(control.title)


def _names(headers: Iterable[tuple[str, str]]) -> frozenset[str]:
    return frozenset(name.lower() for name, _ in headers)


def _long_words(title: str) -> frozenset[str]:
    return frozenset(
        word.lower()
        for word in title.split(" ")
        if len(word.encode("utf-8", "surrogatepass")) >= _LONG_WORD_BYTES
    )
