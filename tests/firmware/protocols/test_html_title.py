"""Titles of pages, as a reader sees them, out of any bytes."""

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.protocols.html_title import _COMMON, MAX_TITLE, title_of


@pytest.mark.parametrize(
    ("body", "content_type", "title"),
    [
        (b"<title>Plain</title>", "text/html", "Plain"),
        (b"<TITLE lang=fa>\n A \t B </TITLE>", "", "A B"),
        (b"<title>5 &lt; 6 &amp;&eacute;&#1587;</title>", "text/html", "5 < 6 &é\u0633"),
        ("<title>سلام</title>".encode(), "text/html; charset=utf-8", "سلام"),
        ("<title>سلام</title>".encode("windows-1256"), "text/html; charset=windows-1256", "سلام"),
        (b'<meta charset="windows-1252"><title>caf\xe9</title>', "text/html", "café"),
        (b"<meta http-equiv=x content='text/html; charset=iso-8859-1'><title>\xe9</title>", "", "é"),
        ("<title>x</title>".encode("utf-16"), "text/html", "x"),
        (b"\xef\xbb\xbf<title>mark</title>", "text/html; charset=latin-1", "mark"),
        (b"<title>cut off in the mid", "text/html", "cut off in the mid"),
        (b"<title>caf\xe9</title>", "text/html; charset=no-such", "caf\ufffd"),
        (b"<title>x</title>", "text/html; charset=base64", "x"),
        (b"<title></title>", "text/html", None),
        (b"<p>none</p>", "text/html", None),
        (b"<title>not html</title>", "application/json", None),
        (b"<title>" + b"x" * 1000 + b"</title>", "text/html", "x" * MAX_TITLE),
    ],
)
def test_titles(body: bytes, content_type: str, title: str | None) -> None:
    assert title_of(body, content_type) == title


@given(st.binary(max_size=300), st.text(max_size=60))
def test_nothing_makes_it_fail(body: bytes, content_type: str) -> None:
    title = title_of(b"<title>" + body, content_type)
    assert title is None or 0 < len(title) <= MAX_TITLE


pieces = st.sampled_from([*_COMMON, "eacute", "ampx", "notin", "#38", "#x26"])


@given(
    st.lists(
        pieces.map(lambda name: f"&{name};") | pieces.map(lambda name: f"&{name}") | st.sampled_from("&a;#")
    )
)
def test_entities_are_what_the_standard_library_makes_of_them(found: list[str]) -> None:
    body = "x" + "".join(found)
    expected = " ".join(html.unescape(body).split())[:MAX_TITLE]
    assert title_of(f"<title>{body}</title>".encode()) == expected
