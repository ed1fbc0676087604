"""Our verdict on each condition of OONI's web-connectivity QA, from files in OONI's own format.

OONI's pair for the same files is in `test_pair`. Where the two part, the comment says why ours does.
"""

import pytest

from firmware.ooni.explain import Explained, explain
from firmware.ooni.read import Document, documents
from tests.english import lines, overturned_by
from tests.firmware.ooni.conditions import CONDITIONS, PAIRS

VERDICTS: dict[str, str] = {
    "badssl_expired": "service_down",
    "badssl_unknown_authority_consistent_dns": "service_down",
    "badssl_unknown_authority_inconsistent_dns": "blocked_dns",
    "badssl_wrong_name": "service_down",
    "cloudflare_captcha_http": "inconclusive",  # the site asks the probe alone; nobody stops it
    "cloudflare_captcha_https": "inconclusive",  # the site refuses the probe, by its own certificate
    "control_unreachable_dns_fails": "inconclusive",  # no control: never accessible, never blocked
    "control_unreachable_http": "inconclusive",
    "control_unreachable_https": "ok",
    "control_unreachable_tls_reset": "inconclusive",
    "dns_blocking_android_cache_no_data": "blocked_dns",
    "dns_blocking_bogon": "blocked_dns",
    "dns_blocking_nxdomain": "blocked_dns",
    "dns_hijacking_to_localhost_http": "blocked_dns",
    "dns_hijacking_to_localhost_https": "blocked_dns",
    "dns_hijacking_to_proxy_http": "ok",
    "dns_hijacking_to_proxy_https": "ok",
    "ghost_dns_blocking_http": "blocked_dns",
    "ghost_dns_blocking_https": "blocked_dns",
    "http_blocking_reset": "blocked_http",
    "http_diff_consistent_dns": "blocked_http",
    "http_diff_inconsistent_dns": "blocked_dns",
    "idna_without_censorship": "ok",
    "large_file_http": "ok",
    "large_file_https": "ok",
    "localhost_http": "service_down",
    "localhost_https": "service_down",
    "redirect_broken_location_for_probe_alone_http": "inconclusive",  # a Location of the site's own making
    "redirect_broken_location_for_probe_alone_https": "inconclusive",  # a Location of the site's own making
    "redirect_broken_location_http": "service_down",
    "redirect_broken_location_https": "service_down",
    "redirect_more_than_ten_http": "service_down",
    "redirect_more_than_ten_https": "service_down",
    "redirect_then_eof_http": "blocked_http",
    "redirect_then_eof_https": "blocked_tls",
    "redirect_then_nxdomain": "blocked_dns",
    "redirect_then_refused_http": "blocked_tcp",
    "redirect_then_refused_https": "blocked_tcp",
    "redirect_then_reset_http": "blocked_http",
    "redirect_then_reset_https": "blocked_tls",
    "redirect_then_timeout_http": "blocked_http",
    "redirect_then_timeout_https": "blocked_tls",
    "success_http": "ok",
    "success_https": "ok",
    "tcp_blocking_refused_inconsistent_dns": "blocked_dns",
    "tcp_blocking_timeout": "blocked_tcp",
    "throttling_http": "inconclusive",  # slow is not stopped
    "throttling_https": "inconclusive",  # slow is not stopped
    "tls_blocking_reset_consistent_dns": "blocked_tls",
    "tls_blocking_reset_inconsistent_dns": "blocked_dns",
    "v04_control_unreachable_http": "inconclusive",
    "v04_dns_block_page_bogon": "blocked_dns",
    "v04_dns_blocking_nxdomain": "blocked_dns",
    "v04_http_diff": "blocked_http",
    "v04_success_http": "ok",
    "v04_success_https": "ok",
    "v04_tcp_blocking_timeout": "blocked_tcp",
    "v04_tls_blocking_reset": "blocked_tls",
    "v04_website_down_nxdomain": "service_down",  # nobody can reach it
    "website_down_503": "service_down",  # the control gets the same error
    "website_down_no_addrs": "service_down",
    "website_down_nxdomain": "service_down",
    "website_down_tcp_connect": "service_down",
}


def explained(condition: str) -> Explained:
    with (CONDITIONS / f"{condition}.json").open("rb") as stream:
        (document,) = documents(stream)
    assert isinstance(document, Document)
    return explain(document)


def test_every_condition_is_in_the_table() -> None:
    assert set(VERDICTS) == set(PAIRS)


@pytest.mark.parametrize("condition", VERDICTS)
def test_the_verdict(condition: str) -> None:
    found = explained(condition)
    assert found.verdict.verdict == VERDICTS[condition], found.verdict
    assert lines(found.verdict)
    assert overturned_by(found.verdict)


@pytest.mark.parametrize(
    "condition",
    [name for name, pair in PAIRS.items() if pair == (False, True) or name.startswith("control_")],
)
def test_what_ooni_finds_accessible_is_never_blocked_for_us(condition: str) -> None:
    assert not explained(condition).verdict.verdict.startswith("blocked_")
