"""The title of a web page, as a reader would see it. Pure; takes any bytes and never raises.

A block page is often known by its title alone. This file must never parse more of HTML than that.
"""

import re
from typing import Final

MAX_TITLE: Final = 256
"""Characters kept of a title (OONI keeps the whole; ours travels on expensive bytes)."""

_SEARCHED: Final = 65_536
_TITLE: Final = re.compile(r"<title(?:\s[^>]*)?>(.*?)(?:</title|\Z)", re.IGNORECASE | re.DOTALL)
_META_CHARSET: Final = re.compile(
    rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE
)
_HEADER_CHARSET: Final = re.compile(r"charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
_COMMON: Final = {
    "amp": "&",
    "lt": "<",
    "gt": ">",
    "quot": '"',
    "nbsp": "\N{NO-BREAK SPACE}",
    "ndash": "–",
    "mdash": "—",
}
_COMMON_ENTITY: Final = re.compile(f"&({'|'.join(_COMMON)});")
_BYTE_ORDER_MARKS: Final = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)


def title_of(body: bytes, content_type: str = "") -> str | None:
    """Return a page's title: entities decoded, white space folded, at most 256 characters.

    None where there is none or where `content_type` (the header's value, "" for unknown) names something other
    than HTML. A title cut off by the size cap is returned as far as it goes.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in ("", "text/html", "application/xhtml+xml"):
        return None
    text = _decode(body[:_SEARCHED], content_type)
    found = _TITLE.search(text)
    if found is None:
        return None
    title = " ".join(_unescape(found[1]).split())
    return title[:MAX_TITLE] or None


def _unescape(text: str) -> str:
    """Decode entities. The table of all 2,231 takes half a megabyte: it is loaded for a title that needs it."""
    plain = _COMMON_ENTITY.sub("", text)
    if "&" not in plain:
        return _COMMON_ENTITY.sub(lambda found: _COMMON[found[1]], text)
    import html  # noqa: PLC0415

    return html.unescape(text)


def _decode(body: bytes, content_type: str) -> str:
    """Decode as a browser does: byte order mark, then the header, then `<meta>`, then UTF-8."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return body.removeprefix(mark).decode(encoding, "replace")
    in_header = _HEADER_CHARSET.search(content_type)
    in_meta = _META_CHARSET.search(body[:1024])
    named = in_header[1] if in_header else in_meta[1].decode("ascii") if in_meta else "utf-8"
    try:
        return body.decode(named, "replace")
    except (LookupError, ValueError):  # a name Python does not know, or a codec that is not a text encoding
        return body.decode("utf-8", "replace")
