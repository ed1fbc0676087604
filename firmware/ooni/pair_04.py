"""OONI's own conclusion on a Web Connectivity measurement of version 0.4 and before: one chain, no tags.

The resolver is judged first, then connects, then the last answer of the chain. Its known oddities are kept (a name
that exists for nobody is "accessible"). Source: ts-017 and the behaviour of probe-cli's `webconnectivity`.
"""

from typing import Final

from firmware.judgement.site.places import host_of, is_address, same_host
from firmware.ooni import networks
from firmware.ooni.http_diff import compare
from firmware.ooni.measurement import OoniMeasurement, Pair

_NONE: Final = Pair()
_ACCESSIBLE: Final = Pair(blocking=False, accessible=True)
_NO_SUCH_NAME: Final = ("dns_nxdomain_error", "android_dns_cache_no_data", "dns_lookup_error")
_HELPERS_NO_SUCH_NAME: Final = "dns_name_error"
_HTTP_FAILURES: Final = frozenset(
    {
        "connection_refused",
        "connection_reset",
        "eof_error",
        "generic_timeout_error",
        "ssl_invalid_hostname",
        "ssl_invalid_certificate",
        "ssl_unknown_authority",
        # what ooniprobe 2 and Measurement Kit called the same
        "connection_refused_error",
        "connection_reset_error",
        "response_never_received",
        "tcp_timed_out_error",
        "http_request_failed",
        "http_parse_error",
    }
)


def pair_04(measurement: OoniMeasurement) -> Pair:
    """Return the pair as version 0.4 would fill it."""
    last = measurement.requests[0] if measurement.requests else None
    if last is not None and last.failure is None and last.url.startswith("https://"):
        return _ACCESSIBLE
    control = measurement.control
    if measurement.control_failure is not None or control is None:
        return _NONE
    agrees = _consistency(measurement)
    if agrees and _dns_failure(measurement) in _NO_SUCH_NAME:
        return _ACCESSIBLE
    if agrees is False:
        return Pair(blocking="dns", accessible=False)
    if measurement.connects and all(step.failure is not None for step in measurement.connects):
        return Pair(blocking="tcp_ip", accessible=False)
    http = control.http
    if http is None or http.failure is not None or last is None:
        return _NONE
    if last.failure is not None:
        return _failed(last.failure)
    differs = compare(last, http, is_classic_04=True).differs
    return Pair(blocking="http-diff", accessible=False) if differs else _ACCESSIBLE


def _failed(failure: str) -> Pair:
    if failure in _NO_SUCH_NAME:
        return Pair(blocking="dns", accessible=False)
    return Pair(blocking="http-failure", accessible=False) if failure in _HTTP_FAILURES else _NONE


def _consistency(measurement: OoniMeasurement) -> bool:
    """Return whether the answers agree with the helper's: a literal address does, and a name that neither has."""
    control = measurement.control
    assert control is not None
    if is_address(host_of(measurement.input)):
        return True
    failure = _dns_failure(measurement)
    if failure is not None and control.dns_failure is not None:
        return control.dns_failure == _HELPERS_NO_SUCH_NAME and failure in _NO_SUCH_NAME
    ours = {
        address
        for query in measurement.queries
        if not query.hostname or same_host(query.hostname, host_of(measurement.input))
        for address in query.addresses
    }
    asns = networks.asns_of(measurement)
    if networks.agree(ours, control.addresses, asns):
        return True
    # The probe had a table of networks where the file may have none: then its own word stands in.
    is_told = measurement.dns_consistency in ("consistent", "reverse_match")
    return is_told and not networks.are_known((*ours, *control.addresses), asns)


def _dns_failure(measurement: OoniMeasurement) -> str | None:
    """Return the lookup's failure: the file's own word, or its first failed query where none succeeded."""
    if measurement.dns_experiment_failure is not None:
        return measurement.dns_experiment_failure
    if any(query.failure is None for query in measurement.queries):
        return None
    return next((query.failure for query in measurement.queries), None)
