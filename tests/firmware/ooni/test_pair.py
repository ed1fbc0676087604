"""OONI's pair, computed again for each condition of OONI's own web-connectivity QA, is what their probe fills in.

The files are small, in OONI's format, one for each condition and named for it; each carries the pair that OONI's QA
expects (0.5.28, and 0.4 for those named so). The table here says it a second time, so that neither can drift alone.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firmware.ooni.measurement import Blocking, Measurement, Pair
from firmware.ooni.pair import pair_of
from firmware.ooni.parse import parse
from firmware.ooni.read import Document, documents

CONDITIONS = Path(__file__).parents[2] / "data" / "ooni"

ACCESSIBLE = (False, True)
DOWN = (False, False)
NOTHING = (None, None)
DNS = ("dns", False)
TCP = ("tcp_ip", False)
DIFF = ("http-diff", False)
FAILURE = ("http-failure", False)

PAIRS: dict[str, tuple[Blocking, bool | None]] = {
    "badssl_expired": DOWN,
    "badssl_unknown_authority_consistent_dns": DOWN,
    "badssl_unknown_authority_inconsistent_dns": DNS,
    "badssl_wrong_name": DOWN,
    "cloudflare_captcha_http": DIFF,
    "cloudflare_captcha_https": ACCESSIBLE,
    "control_unreachable_dns_fails": ACCESSIBLE,  # known to be wrong, and OONI's
    "control_unreachable_http": NOTHING,
    "control_unreachable_https": ACCESSIBLE,
    "control_unreachable_tls_reset": NOTHING,
    "dns_blocking_android_cache_no_data": DNS,
    "dns_blocking_bogon": DNS,
    "dns_blocking_nxdomain": DNS,
    "dns_hijacking_to_localhost_http": DNS,
    "dns_hijacking_to_localhost_https": DNS,
    "dns_hijacking_to_proxy_http": ACCESSIBLE,
    "dns_hijacking_to_proxy_https": ACCESSIBLE,
    "ghost_dns_blocking_http": DNS,
    "ghost_dns_blocking_https": DNS,
    "http_blocking_reset": FAILURE,
    "http_diff_consistent_dns": DIFF,
    "http_diff_inconsistent_dns": DNS,
    "idna_without_censorship": ACCESSIBLE,
    "large_file_http": ACCESSIBLE,
    "large_file_https": ACCESSIBLE,
    "localhost_http": DOWN,
    "localhost_https": DOWN,
    "redirect_broken_location_for_probe_alone_http": FAILURE,
    "redirect_broken_location_for_probe_alone_https": FAILURE,
    "redirect_broken_location_http": DOWN,
    "redirect_broken_location_https": DOWN,
    "redirect_more_than_ten_http": DOWN,
    "redirect_more_than_ten_https": DOWN,
    "redirect_then_eof_http": FAILURE,
    "redirect_then_eof_https": FAILURE,
    "redirect_then_nxdomain": DNS,
    "redirect_then_refused_http": FAILURE,
    "redirect_then_refused_https": FAILURE,
    "redirect_then_reset_http": FAILURE,
    "redirect_then_reset_https": FAILURE,
    "redirect_then_timeout_http": FAILURE,
    "redirect_then_timeout_https": FAILURE,
    "success_http": ACCESSIBLE,
    "success_https": ACCESSIBLE,
    "tcp_blocking_refused_inconsistent_dns": DNS,
    "tcp_blocking_timeout": TCP,
    "throttling_http": FAILURE,
    "throttling_https": FAILURE,
    "tls_blocking_reset_consistent_dns": FAILURE,
    "tls_blocking_reset_inconsistent_dns": DNS,
    "v04_control_unreachable_http": NOTHING,
    "v04_dns_block_page_bogon": DNS,
    "v04_dns_blocking_nxdomain": DNS,
    "v04_http_diff": DIFF,
    "v04_success_http": ACCESSIBLE,
    "v04_success_https": ACCESSIBLE,
    "v04_tcp_blocking_timeout": TCP,
    "v04_tls_blocking_reset": FAILURE,
    "v04_website_down_nxdomain": ACCESSIBLE,  # debatable, and OONI's
    "website_down_503": ACCESSIBLE,
    "website_down_no_addrs": DOWN,
    "website_down_nxdomain": DOWN,
    "website_down_tcp_connect": DOWN,
}


def read(condition: str) -> Measurement:
    with (CONDITIONS / f"{condition}.json").open("rb") as stream:
        (document,) = documents(stream)
    assert isinstance(document, Document)
    return parse(document.value)


def test_every_condition_is_in_the_table() -> None:
    assert {path.stem for path in CONDITIONS.glob("*.json")} == set(PAIRS)


@pytest.mark.parametrize("condition", PAIRS)
def test_the_pair_is_ooni_s(condition: str) -> None:
    blocking, accessible = PAIRS[condition]
    measurement = read(condition)
    assert measurement.said == Pair(blocking=blocking, accessible=accessible)
    assert pair_of(measurement) == measurement.said


def test_a_test_without_a_pair_has_none() -> None:
    assert pair_of(parse({"test_name": "telegram", "test_keys": {"telegram_web_status": "ok"}})) == Pair()


@pytest.mark.parametrize(
    "condition", ["tls_blocking_reset_consistent_dns", "tcp_blocking_timeout", "success_https"]
)
def test_the_first_of_0_5_had_no_word_for_the_way_to_the_page(condition: str) -> None:
    def untagged(step: Any) -> Any:
        return replace(step, mark=replace(step.mark, fetch_body=None, classic=False))

    measurement = read(condition)
    early = replace(measurement, connects=tuple(map(untagged, measurement.connects)))
    assert pair_of(early) == measurement.said


def test_networks_that_the_file_does_not_name_leave_its_own_word_on_consistency() -> None:
    measurement = read("success_http")
    assert measurement.control is not None
    elsewhere = replace(measurement.control, addresses=("93.184.216.200",), asns={})
    unknown = replace(measurement, control=elsewhere, dns_consistency="consistent", requests=())
    assert pair_of(unknown) == Pair()
    assert pair_of(replace(unknown, dns_consistency=None)) == Pair()
    refused = replace(
        unknown, connects=tuple(replace(one, failure="connection_refused") for one in unknown.connects)
    )
    refused = replace(refused, handshakes=())
    assert pair_of(refused) == Pair(blocking="tcp_ip", accessible=False)
    assert pair_of(replace(refused, dns_consistency=None)) == Pair(blocking="dns", accessible=False)
