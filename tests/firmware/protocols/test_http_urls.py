"""URLs: read, written back, and followed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.model.failures import MeasurementFailedError
from firmware.net.targets import TargetError
from firmware.protocols.http_urls import Url, parse_url, redirected


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://example.org", "http://example.org/"),
        ("HTTPS://Example.org:443/x?y=z#f", "https://Example.org/x?y=z"),
        ("http://example.org:443/", "http://example.org:443/"),
        ("http://[2001:db8::1]/", "http://[2001:db8::1]/"),
        ("http://[2001:db8::1]:8080/", "http://[2001:db8::1]:8080/"),
        ("http://192.0.2.1/?a b", "http://192.0.2.1/?a%20b"),
        ("http://example.org/%41%zz", "http://example.org/%41%zz"),
    ],
)
def test_a_url_is_written_as_it_is_asked_for(text: str, shown: str) -> None:
    assert str(parse_url(text)) == shown


BASE = Url(scheme="https", host="example.org", port=443, target="/a/b?c")


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("/x", "https://example.org/x"),
        ("x", "https://example.org/a/x"),
        ("?q", "https://example.org/a/b?q"),
        ("//other.example/x", "https://other.example/x"),
        ("http://other.example", "http://other.example/"),
        (" /x\r\n", "https://example.org/x"),
        ("/فارسی", "https://example.org/%D9%81%D8%A7%D8%B1%D8%B3%DB%8C"),
    ],
)
def test_a_location_leads_on(location: str, shown: str) -> None:
    assert str(redirected(BASE, location)) == shown


@given(st.text(max_size=60))
def test_any_location_leads_to_a_url_or_a_failure(location: str) -> None:
    try:
        url = redirected(BASE, location)
    except MeasurementFailedError:
        return
    assert parse_url(str(url)) == url
    assert url.target.isascii()
    assert " " not in url.target


@given(st.text(max_size=60))
def test_any_text_is_a_url_or_a_named_mistake(text: str) -> None:
    try:
        url = parse_url("http://" + text)
    except TargetError:
        return
    assert parse_url(str(url)) == url
