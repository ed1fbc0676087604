"""Records of ours as OONI measurements: df-000 0.2.0, which OONI's own data models load. Pure.

`web_connectivity` where a page was measured (our `web_connectivity` and `http`), `urlgetter` where one step was
(`tls`, `tcp`, `dns`); other records have no like in OONI's format and are left out. OONI's pair is filled only where
a vantage was there, or the page came over TLS: without one their rule calls a failed lookup "accessible", and we do
not publish that. Nor do we publish that a page is blocked where our own verdict on it, in its round's light, does not say
so: their rule knows nothing of the round, and calls every page of a dark one blocked. Nothing that tells who or where the host is goes in: no address, no device, no network number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from firmware import __version__
from firmware.judgement.fingerprints.table import Fingerprints
from firmware.judgement.site import round_json, vantage_json
from firmware.judgement.site.evidence import SiteView, WebEvidence
from firmware.judgement.site.facts import RoundView
from firmware.judgement.site.from_record import evidence_of
from firmware.judgement.site.places import host_of
from firmware.judgement.site.verdict import judge
from firmware.model.jsontypes import JsonObject, JsonValue
from firmware.model.record import ClockReading, Record
from firmware.model.verdict_words import BLOCKED
from firmware.ooni.measurement import COUNTRY_KEY, OURS, ROUND_KEY, WEB_CONNECTIVITY, OoniMeasurement, Pair
from firmware.ooni.pair import pair_of
from firmware.ooni.parse import parse
from firmware.ooni.steps import Details, df_007, steps_of

DATA_FORMAT_VERSION: Final = "0.2.0"
URLGETTER: Final = "urlgetter"
PAGE_TESTS: Final = ("web_connectivity", "http")
STEP_SCHEMES: Final[Mapping[str, str]] = {"tls": "tlshandshake", "tcp": "tcpconnect", "dns": "dnslookup"}
"""The tests of one step, and how urlgetter's input names that step."""

_NETWORK_TYPES: Final[Mapping[str, str]] = {"ethernet": "wired_ethernet", "wifi": "wifi", "mobile": "mobile"}
_EXTENSIONS: Final = ("dnst", "httpt", "netevents", "tcpconnect", "tlshandshake")
_PHASES: Final = ("resolve", "connect", "tls_handshake", "first_byte", "body")
_NO_ASN: Final = "AS0"
_NO_COUNTRY: Final = "ZZ"
_NO_ADDRESS: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where measurements come from. `country` is two letters or "", `architecture` the machine's or ""."""

    country: str = ""
    architecture: str = ""


def measurement_of(
    record: Record,
    origin: Origin,
    vantage: SiteView | None = None,
    *,
    around: RoundView | None = None,
    start: ClockReading | None = None,
    fingerprints: Fingerprints | None = None,
) -> "JsonObject | None":
    """Return `record` as an OONI measurement, with `vantage` as its test helper; None for what has no like there.

    `around` is what its round says around it, None for a measurement of no device. `start` is when it was, where more
    is known of that than its device's clock said. `fingerprints` are those that come along unless given.
    """
    evidence = evidence_of(record)
    if evidence is None or not (record.test in PAGE_TESTS or record.test in STEP_SCHEMES):
        return None
    is_page = record.test in PAGE_TESTS
    began = record.start if start is None else start
    start_time = time_of(began.utc_ns)
    measurement: JsonObject = {
        "annotations": _annotations(record, origin, began),
        "data_format_version": DATA_FORMAT_VERSION,
        "extensions": dict.fromkeys(_EXTENSIONS, 0),
        "input": record.target if is_page else f"{STEP_SCHEMES[record.test]}://{record.target}",
        "measurement_start_time": start_time,
        "probe_asn": _NO_ASN,
        "probe_cc": origin.country.upper() or _NO_COUNTRY,
        "probe_ip": _NO_ADDRESS,
        "probe_network_name": "",
        "report_id": "",
        "resolver_asn": _NO_ASN,
        "resolver_ip": _NO_ADDRESS,
        "resolver_network_name": "",
        "software_name": OURS,
        "software_version": record.software.partition(" ")[2] or __version__,
        "test_keys": {
            **(_page_keys(evidence, record, vantage) if is_page else _step_keys(evidence, record)),
            ROUND_KEY: None if around is None else round_json.to_json(around),
            COUNTRY_KEY: None if around is None else round_json.country_to_json(around),
        },
        "test_name": WEB_CONNECTIVITY if is_page else URLGETTER,
        "test_runtime": record.runtime_ns / 1e9,
        "test_start_time": start_time,
        "test_version": record.test_version,
    }
    if is_page:
        keys = measurement["test_keys"]
        assert isinstance(keys, dict)
        judged = judge(evidence, vantage, round=around, fingerprints=fingerprints)
        pair = published_pair(parse(measurement), judged.verdict.verdict, judged.confidence)
        came_over_tls = pair.accessible is True and bool(evidence.requests) and evidence.failure is None
        if came_over_tls or (vantage is not None and vantage.reachable):
            keys["blocking"], keys["accessible"] = pair.blocking, pair.accessible
    return measurement


def published_pair(measurement: OoniMeasurement, verdict: str, confidence: str) -> Pair:
    """Return OONI's pair on a measurement of ours, null and null where it accuses and our own `verdict` does not.

    One of ours that has low confidence does not.
    """
    pair = pair_of(measurement)
    accuses = verdict in BLOCKED and confidence != "low"
    return Pair() if pair.blocking and not accuses else pair


def time_of(utc_ns: int) -> str:
    """Return a time as OONI writes it, in UTC, cut to the second."""
    return datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _annotations(record: Record, origin: Origin, clock: ClockReading) -> JsonObject:
    """Return text to text, as OONI's models require; our own keys say how sure the time is.

    Where that is not what the device's clock said, `x_device_start_time` has its word.
    """
    by_device: JsonObject = (
        {} if clock == record.start else {"x_device_start_time": time_of(record.start.utc_ns)}
    )
    return {
        "network_type": _NETWORK_TYPES.get(record.uplink, "unknown"),
        "platform": "linux",
        "origin": "autorun",
        "engine_name": "tidegauge",
        "engine_version": __version__,
        "architecture": origin.architecture or "unknown",
        "x_test": record.test,
        "x_clock_quality": str(clock.quality),
        "x_clock_error_ns": "unknown" if clock.error_ns is None else str(clock.error_ns),
        **by_device,
    }


def _page_keys(evidence: WebEvidence, record: Record, vantage: SiteView | None) -> JsonObject:
    lookup = next((one.failure for one in evidence.lookups if one.failure is not None), None)
    outcome = record.outcome
    is_lookup = outcome.failed_operation == "resolve"
    return {
        "agent": "redirect",
        "client_resolver": None,
        "retries": None,
        "socksproxy": None,
        **steps_of(evidence, _details(record)),
        "control": None if vantage is None or not vantage.reachable else _control(vantage, record),
        "x_control_request": None if vantage is None else {"http_request": record.target},
        "control_failure": "unknown_failure: no control was reached"
        if vantage is not None and not vantage.reachable
        else None,
        "dns_experiment_failure": df_007(lookup) if is_lookup else None,
        "http_experiment_failure": None if is_lookup else df_007(outcome.failure),
        "dns_consistency": None,
        "body_length_match": None,
        "body_proportion": None,
        "headers_match": None,
        "status_code_match": None,
        "title_match": None,
        "accessible": None,
        "blocking": None,
        "x_failure": df_007(outcome.failure),
        "x_failed_operation": outcome.failed_operation,
    }


def _step_keys(evidence: WebEvidence, record: Record) -> JsonObject:
    return {
        "agent": "redirect",
        "failed_operation": record.outcome.failed_operation,
        "failure": df_007(record.outcome.failure),
        "socksproxy": None,
        **steps_of(evidence, _details(record)),
    }


def _control(vantage: SiteView, record: Record) -> JsonObject:
    """Return a vantage's view as the test helper's answer, with ours on how old it is."""
    host = host_of(record.target)
    return {
        "tcp_connect": {
            where: {"status": failure is None, "failure": df_007(failure)}
            for where, failure in vantage.connects.items()
        },
        "tls_handshake": {
            where: {"server_name": host, "status": failure is None, "failure": df_007(failure)}
            for where, failure in vantage.handshakes.items()
        },
        "http_request": {
            "body_length": -1 if vantage.body_length is None else vantage.body_length,
            "failure": df_007(vantage.http_failure),
            "title": vantage.title or "",
            "headers": dict(vantage.headers),
            "headers_list": [[name, value] for name, value in vantage.headers],
            "status_code": -1 if vantage.status is None else vantage.status,
        }
        if vantage.saw_http
        else None,
        "dns": {"failure": df_007(vantage.dns_failure), "addrs": list(vantage.addresses)}
        if vantage.saw_dns
        else None,
        "ip_info": {address: {"asn": number, "flags": 0} for address, number in vantage.asns.items()},
        "x_age_s": vantage.age_s,
        "x_source": str(vantage.source),
        "x_second": vantage_json.second_to_json(vantage.second),
    }


def _details(record: Record) -> Details:
    """Return what the record knows beyond its evidence. What has not its form is left out, as evidence does."""
    detail, phases = record.outcome.detail, record.outcome.phases
    requests = _objects(detail, "requests")
    secured = [tls for request in requests if isinstance(tls := request.get("tls"), dict)]
    handshakes = [detail] if record.test == "tls" else [*_objects(detail, "tls_handshakes"), *secured]
    starts_ns = [0]
    for request in requests:
        starts_ns.append(starts_ns[-1] + _sum_ns(request.get("phases")))
    resolve = phases.get("resolve")
    return Details(
        resolve_ns=0 if resolve is None else max(0, resolve.ns), handshakes=handshakes, starts_ns=starts_ns
    )


def _sum_ns(phases: JsonValue) -> int:
    if not isinstance(phases, dict):
        return 0
    found = (phase.get("ns") for name in _PHASES if isinstance(phase := phases.get(name), dict))
    return sum(ns for ns in found if isinstance(ns, int) and ns > 0)


def _objects(detail: Mapping[str, JsonValue], key: str) -> list[Mapping[str, JsonValue]]:
    value = detail.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
