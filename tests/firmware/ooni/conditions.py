"""The conditions of OONI's own web-connectivity QA that are in `tests/data/ooni`, and the pair that OONI expects of each.

A second account of what stands in the files themselves, written by hand, so that neither can drift alone.
"""

from pathlib import Path

from firmware.ooni.measurement import Blocking

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
