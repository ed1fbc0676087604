"""A page of a Citizen Lab list, measured beside the rounds: one record, for the tests of what surrounds it."""

from dataclasses import replace

from firmware.model.failures import Failure
from firmware.model.jsontypes import JsonObject
from firmware.model.record import Outcome, Record, Zone
from tests.firmware.records import tcp_record

NS = 1_000_000_000
SITE = "http://www.example.org/"
ADDRESS = "93.184.216.34"


def page(began_ns: int, failure: str | None = Failure.TIMEOUT, *, boot_id: str = "boot") -> Record:
    """Return a page of a list that was asked for beside the rounds, in clear text; its connect failed, or it came."""
    connect: JsonObject = {"address": ADDRESS, "port": 80, "failure": failure}
    queries: JsonObject = {
        "resolver": "@isp",
        "query_name": "www.example.org",
        "query_type": "A",
        "failure": None,
        "answers": [{"transport": "udp", "answers": [{"type": "A", "value": ADDRESS}]}],
    }
    request: JsonObject = {"url": SITE, "address": ADDRESS, "status": 200, "failure": None}
    detail: JsonObject = {
        "requests": [{"queries": [queries], "tcp_connect": [connect], **(request if failure is None else {})}]
    }
    made = tcp_record(1, test="http")
    return replace(
        made,
        boot_id=boot_id,
        target=SITE,
        target_name="list/2",
        rung=None,
        round_id=None,
        zone=Zone.INTERNATIONAL,
        start=replace(made.start, boottime_ns=began_ns),
        runtime_ns=NS,
        outcome=Outcome(
            failure=failure, failed_operation=None if failure is None else "connect", detail=detail
        ),
    )
