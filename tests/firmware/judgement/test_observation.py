"""Observations: the same from a result and from its record, and void where the host itself is to blame."""

from dataclasses import replace

import pytest

from firmware.judgement.observation import (
    CONNECTED,
    SILENT,
    Observation,
    Outlook,
    context_of,
    from_record,
    from_result,
    owner_of,
    settle,
)
from firmware.judgement.round.from_records import still_out
from firmware.model.failures import Failure
from firmware.model.jsontypes import JsonValue
from firmware.model.record import ClockQuality, ClockReading, Outcome, Phase, Record, Rung, Stamp, Zone
from firmware.model.task import Result, Task
from firmware.plans.load import load
from tests.firmware.rounds import seen

TASK = Task(
    task_id="r1/portal-check",
    test="http",
    target="http://check.example.org/",
    target_name="portal-check",
    zone=Zone.INTERNATIONAL,
    rung=Rung.INTERNATIONAL,
    round_id=1,
    start_boottime_ns=5,
    deadline_boottime_ns=50,
)
OUTCOME = Outcome(
    failure=Failure.HTTP_UNEXPECTED_STATUS_CODE,
    failed_operation="http_round_trip",
    phases={"first_byte": Phase(ns=9, stamp=Stamp.USER), "connect": Phase(ns=4, stamp=Stamp.TCP_INFO)},
    detail={"status": 302},
)


def test_a_result_and_its_record_are_the_same_observation() -> None:
    plan = load(country="ir")
    result = Result(
        task_id=TASK.task_id,
        test_version="0.1.0",
        target=TASK.target,
        uplink="ethernet",
        start_boottime_ns=6,
        start_utc_ns=0,
        runtime_ns=30,
        outcome=OUTCOME,
    )
    record = Record(
        boot_id="b",
        test=TASK.test,
        test_version="0.1.0",
        target=TASK.target,
        target_name=TASK.target_name,
        zone=TASK.zone,
        rung=TASK.rung,
        round_id=1,
        slot_boottime_ns=5,
        start=ClockReading(boottime_ns=6, utc_ns=0, quality=ClockQuality.UNSYNCHRONISED),
        runtime_ns=30,
        outcome=OUTCOME,
        context=context_of(plan, TASK.target_name),
        uplink=result.uplink,
    )
    here = from_result(TASK, result, network=owner_of(plan, TASK.target_name))
    assert here == from_record(record)
    assert (here.start_ns, here.end_ns, here.best_ns, here.http_status, here.network) == (
        6,
        36,
        4,
        302,
        "Google",
    )
    assert here.why == "http_round_trip: http_unexpected_status_code"


def test_a_records_context_says_plan_and_network() -> None:
    plan = load(country="ir")
    assert context_of(plan, "bale") == {"plan": plan.label, "network": "AS48159"}
    assert context_of(plan, "link") == {"plan": plan.label}
    assert owner_of(plan, "nobody") == ""


def test_what_has_connected_is_stalled_and_not_silent_whatever_ran_out_of_time_over_it() -> None:
    for operation in ("tls_handshake", "read", "http_round_trip"):
        late = seen("x", Rung.INTERNATIONAL, Failure.TIMEOUT, operation=operation)
        assert (late.outlook, late.is_silent, late.has_connected) == (Outlook.STALLED, False, True)
    silent = seen("x", Rung.INTERNATIONAL, Failure.TIMEOUT)
    assert (silent.outlook, silent.is_silent, silent.has_connected) == (Outlook.DOWN, True, False)
    reset = seen("x", Rung.INTERNATIONAL, Failure.CONNECTION_RESET, operation="tls_handshake")
    assert reset.outlook is Outlook.DOWN
    echo = seen("x", Rung.INTERNATIONAL, Failure.TIMEOUT, test="ping", operation="read")
    assert echo.outlook is Outlook.DOWN


@pytest.mark.parametrize(("waited_s", "outlook"), [(9.5, Outlook.EXCLUDED), (12.0, Outlook.DOWN)])
def test_a_connect_that_was_cut_short_is_silence_after_ten_seconds_and_no_evidence_before(
    waited_s: float, outlook: Outlook
) -> None:
    cut_short: JsonValue = {
        "address": "192.0.2.1",
        "failure": "interrupted",
        "elapsed_ns": int(waited_s * 1e9),
    }
    result = Result(
        task_id=TASK.task_id,
        test_version="0.1.0",
        target=TASK.target,
        uplink="",
        start_boottime_ns=6,
        start_utc_ns=0,
        runtime_ns=30,
        outcome=Outcome(
            failure=Failure.INTERRUPTED, failed_operation="connect", detail={"tcp_connect": [cut_short]}
        ),
    )
    observed = from_result(TASK, result, network="")
    assert (observed.outlook, observed.is_out) == (outlook, outlook is Outlook.DOWN)


def test_what_is_still_out_is_silent_without_a_connection_and_no_time_out() -> None:
    asked = replace(seen("x", Rung.INTERNATIONAL), best_ns=None)
    out = still_out(asked, has_connected=False)
    assert (out.outlook, out.is_silent, out.failure, out.why) == (Outlook.DOWN, True, None, SILENT)
    half_way = still_out(asked, has_connected=True)
    assert (half_way.outlook, half_way.is_silent, half_way.why) == (Outlook.STALLED, False, CONNECTED)


@pytest.mark.parametrize(
    ("failure", "operation", "outlook"),
    [
        (None, "", Outlook.REACHED),
        (Failure.TIMEOUT, "connect", Outlook.DOWN),
        (Failure.CONNECTION_RESET, "tls_handshake", Outlook.DOWN),
        (Failure.NETWORK_UNREACHABLE, "connect", Outlook.DOWN),
        ("unknown_failure: something new", "connect", Outlook.UNKNOWN_FAILURE),
        (Failure.DNS_NXDOMAIN, "resolve", Outlook.UNRESOLVED),
        (Failure.TIMEOUT, "resolve", Outlook.UNRESOLVED),
        (Failure.SSL_UNKNOWN_AUTHORITY, "tls_handshake", Outlook.TAMPERED),
        (Failure.HTTP_UNEXPECTED_STATUS_CODE, "http_round_trip", Outlook.TAMPERED),
        (Failure.MISSED_SLOT, "", Outlook.EXCLUDED),
        (Failure.PERMISSION_DENIED, "connect", Outlook.EXCLUDED),
        ("unknown_failure: AttributeError: a fault of ours", "measure", Outlook.EXCLUDED),
        ("generic_timeout_error", "measure", Outlook.EXCLUDED),
        ("unknown_failure: TargetError: not a target", "parse", Outlook.EXCLUDED),
        ("unknown_failure: EBADMSG: Bad message", "connect", Outlook.UNKNOWN_FAILURE),
        (Failure.RESULT_LOST, "measure", Outlook.EXCLUDED),
    ],
)
def test_what_became_of_it(failure: str | None, operation: str, outlook: Outlook) -> None:
    assert seen("x", Rung.INTERNATIONAL, failure, operation=operation).outlook is outlook


def test_a_resolver_that_does_not_answer_is_down_not_unnamed() -> None:
    assert seen("r", Rung.RESOLVER, Failure.TIMEOUT, operation="resolve").outlook is Outlook.DOWN


def unreachable(target: str) -> Observation:
    return seen("x", Rung.INTERNATIONAL, Failure.NETWORK_UNREACHABLE, target=target)


@pytest.mark.parametrize(
    ("target", "routes", "void"),
    [
        ("[2001:db8::1]:443", {4}, True),
        ("[2001:db8::1]:443", {4, 6}, False),
        ("2001:db8::1", {4}, True),
        ("http://[2001:db8::1]/", {4}, True),
        ("192.0.2.1:443", {6}, True),
        ("192.0.2.1:443", {4}, False),
        ("http://192.0.2.1/", {6}, True),
        ("www.example.org:443", {4}, False),
        ("http://www.example.org/", {6}, False),
        # without any route it is the address rung that says so; the reference targets stay what they are
        ("192.0.2.1:443", set(), False),
    ],
)
def test_no_route_of_its_family_is_no_evidence(target: str, routes: set[int], void: bool) -> None:
    host = replace(seen("address", Rung.ADDRESS), routes=frozenset(routes))
    _, settled = settle([host, unreachable(target)])
    assert (settled.outlook is Outlook.EXCLUDED) is void


def test_without_an_address_measurement_ipv4_is_assumed() -> None:
    assert settle([unreachable("[2001:db8::1]:443")])[0].outlook is Outlook.EXCLUDED
    assert settle([unreachable("192.0.2.1:443")])[0].outlook is Outlook.DOWN


def test_the_address_rung_tells_the_families() -> None:
    detail: dict[str, JsonValue] = {
        "ipv4": {"default_route": True, "gateway": False},
        "ipv6": {"default_route": True, "gateway": True},
    }
    task = replace(TASK, test="address", rung=Rung.ADDRESS)
    result = Result(
        task_id="t",
        test_version="0.1.0",
        target="@host",
        uplink="",
        start_boottime_ns=0,
        start_utc_ns=0,
        runtime_ns=0,
        outcome=Outcome(detail=detail),
    )
    observation = from_result(task, result, network="")
    assert (observation.routes, observation.next_hops) == (frozenset({4, 6}), frozenset({6}))
    empty = from_result(task, replace(result, outcome=Outcome()), network="")
    assert (empty.routes, empty.next_hops) == (None, None)


def test_a_page_in_clear_text_proves_nobody() -> None:
    page = seen("site", Rung.PLATFORMS, test="web_connectivity", target="http://www.example.org/")
    assert page.outlook is Outlook.REACHED
    assert page.is_connectivity
    assert not page.is_authenticated
    assert replace(page, target="https://www.example.org/").is_authenticated
