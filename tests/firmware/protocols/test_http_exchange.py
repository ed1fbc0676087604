"""The parts of an exchange that need no server."""

from hypothesis import given
from hypothesis import strategies as st

from firmware.protocols.http_exchange import MAX_TIMINGS, request_headers, thin
from firmware.protocols.http_urls import parse_url


@given(st.integers(0, 1000), st.integers(2, 200))
def test_thinned_timings_keep_order_ends_and_limit(count: int, limit: int) -> None:
    timing = [(number, number * 2) for number in range(count)]
    kept = thin(timing, limit)
    assert len(kept) == min(count, limit)
    assert kept == sorted(set(kept) & set(timing))
    assert kept[:1] == timing[:1]
    assert kept[-1:] == timing[-1:]


def test_a_full_page_is_thinned_to_what_a_record_holds() -> None:
    assert len(thin([(number, number) for number in range(400)])) == MAX_TIMINGS


def test_the_host_header_comes_first_and_has_the_port_only_when_it_is_unusual() -> None:
    assert request_headers(parse_url("https://example.org/x"))[0] == ("Host", "example.org")
    assert request_headers(parse_url("http://example.org:8080/"))[0] == ("Host", "example.org:8080")
    assert request_headers(parse_url("http://[2001:db8::1]/"))[0] == ("Host", "[2001:db8::1]")
