"""The pages over a socket: what is transferred, what they say, and that nothing in them can do harm."""

import gzip
import html
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Final, cast

import pytest

from collector.page.headers import SECURITY
from collector.page.pages import DEVICES_A_PAGE, ROUNDS_SHOWN
from collector.store.arrivals import HelloArrived
from collector.store.database import Store
from firmware.judgement.round.verdict import RULES
from firmware.model.failures import Failure
from firmware.model.jsontypes import JsonValue
from firmware.model.record import ClockQuality, Verdict
from firmware.model.statement import Statement, prose, stated
from firmware.model.verdict_words import VerdictWord
from firmware.wire.messages import Hello, Transition
from tests.collector.page import invented
from tests.collector.page.conftest import Fill, Served
from tests.english import ENGLISH

_FIRST = "k3v9q2m7x1c8n5p4"
_SECOND = "b7d2w8r4t6z1h0js"
_GZIP = {"Accept-Encoding": "gzip"}
_PAGES = ("/", f"/device/{_FIRST}", "/about", "/api", "/nowhere", "/?page=7", "/device/nobody")
_EXCLUDED = frozenset({"meta", "link", "br", "path"})


_IMPLIED: Final = {
    "td": {"td", "th"},
    "th": {"td", "th"},
    "tr": {"td", "th", "tr"},
    "tbody": {"td", "th", "tr", "thead"},
}
"""What the start of an element ends, where HTML lets the end tag be left out."""


class _Tags(HTMLParser):
    """Notes every element, and checks that each is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        while self.open and self.open[-1] in _IMPLIED.get(tag, ()):
            self.open.pop()
        self.seen.append((tag, dict(attrs)))
        if tag not in _EXCLUDED:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        while tag == "table" and self.open[-1] in {"td", "th", "tr", "thead", "tbody"}:
            self.open.pop()
        assert self.open.pop() == tag


def _tags(body: bytes) -> list[tuple[str, dict[str, str | None]]]:
    parser = _Tags()
    parser.feed(body.decode())
    assert parser.open == []
    return parser.seen


def _text(served: Served, path: str = "/") -> str:
    answer = served.get(path)
    assert answer.status == 200
    plain = html.unescape(re.sub(r"<[^>]+>", " ", answer.body.decode()))
    return re.sub(r"\s+", " ", plain)


def _transferred(served: Served, path: str = "/") -> int:
    """Return the bytes of a page and everything on it, over sockets, with gzip."""
    answer = served.get(path, headers=_GZIP)
    assert answer.headers["content-encoding"] == "gzip"
    total = answer.transferred
    for tag, attributes in _tags(gzip.decompress(answer.body)):
        if tag == "link" and attributes["rel"] == "stylesheet":
            total += served.get(str(attributes["href"]), headers=_GZIP).transferred
    return total


@pytest.mark.parametrize("devices", [1, DEVICES_A_PAGE])
def test_at_most_50_kb_are_transferred_with_everything_on_the_page(
    serve: Callable[[Fill], Served], devices: int, record_property: Callable[[str, object], None]
) -> None:
    def fill(store: Store) -> int:
        now_ns = invented.utc(15, 18)
        invented.crowd(store, devices, ROUNDS_SHOWN, now_ns)
        return now_ns

    served = serve(fill)
    page = served.get("/").body.decode()
    assert page.count('<table class="ladder"') == devices
    cells = len(re.findall(r"<td class=(reached|partly|failed|unknown) ", page))
    assert cells > devices * 7 * (ROUNDS_SHOWN - 6)
    transferred = _transferred(served)
    record_property(f"bytes_{devices}_devices", transferred)
    print(f"{devices} devices × 7 rungs × {ROUNDS_SHOWN} rounds: {transferred:,} bytes")
    assert transferred <= 50_000


@pytest.mark.parametrize("path", [f"/device/{_SECOND}", "/about", "/api"])
def test_the_other_pages_are_as_light(evening: Served, path: str) -> None:
    assert _transferred(evening, path) <= 50_000


def test_the_summary_and_each_devices_verdict_in_words(evening: Served) -> None:
    text = _text(evening)
    assert "3 devices. 2 heard from in the last 15 minutes; 1 silent." in text
    assert "2 International link cut, national network works" in text
    assert "1 Silent, so unknown" in text
    assert "since 16:32:08 UTC ± 1 s , 15 Nov 2026 · 23 rounds in a row, for 1 h 30 min" in text
    assert "± 4 s" in text
    assert "seq 1–3,774: all here" in text
    assert "9 missing (17, 1,203–1,210)" in text
    assert "9 were waiting on the device when it last connected" in text
    assert "Not heard from for 1 h 22 min. Silence is unknown." in text
    assert "or earlier" in text


def test_evidence_names_the_rule_what_was_seen_and_what_would_overturn_it(evening: Served) -> None:
    text = _text(evening)
    assert "international: 0 of 5 reached" in text
    assert "domestic: 4 of 4 reached" in text
    assert ENGLISH.overturned_by("international-cut") in text
    assert "said: Inconclusive: the evidence does not decide. The change came between the two." in text


def test_a_devices_page_has_rounds_records_completeness_and_health(evening: Served) -> None:
    text = _text(evening, f"/device/{_SECOND}")
    assert "connect: generic_timeout_error" in text
    assert "generic_timeout_error in connect" in text
    assert ENGLISH.failure(Failure.TIMEOUT) in text
    assert "41aa90be6c03f7d2" in text
    assert "disk free 21,400,000,000 bytes" in text
    assert "wifi signal not known" in text
    assert "resident, worker 22,800,000 bytes" in text
    body = evening.get(f"/device/{_SECOND}").body.decode()
    assert "missed 4 rounds: the device slept, or was too busy to look in time." in body
    assert re.search(
        r'<tr><td><time datetime="[^"]+" title="15 Nov 2026">[0-9:]{8}</time> <span class="err">± ', body
    )


def test_older_rounds_have_an_address_that_stays(evening: Served) -> None:
    body = evening.get(f"/device/{_FIRST}").body.decode()
    older = re.search(r'<a href="(/device/[^"]*until=[^"]*)">Earlier rounds', body)
    assert older is not None
    first = evening.get(older[1])
    assert first.status == 200
    assert "This address stays with them" in first.body.decode()
    assert 'http-equiv="refresh"' not in first.body.decode()
    assert evening.get(older[1]).body == first.body
    assert evening.get(f"/device/{_FIRST}?until=noon").status == 400


def test_without_a_device_the_page_says_how_to_get_one(serve: Callable[[Fill], Served]) -> None:
    served = serve(lambda _store: invented.utc(15, 12))
    text = _text(served)
    assert "No device has reported yet" in text
    assert "./run" in text


def test_a_device_that_has_only_said_hello_has_no_verdict(serve: Callable[[Fill], Served]) -> None:
    def fill(store: Store) -> int:
        device = invented.Device(id=_FIRST, epoch="9f1c04d27ab35e68", weather=invented.clear)
        invented.deliver(store, device, invented.utc(15, 12))
        return invented.utc(15, 12)

    served = serve(fill)
    for path in ("/", f"/device/{_FIRST}"):
        text = _text(served, path)
        assert "No verdict yet" in text
        assert "none yet" in text


def test_what_a_device_told_ahead_of_its_records_stands_until_these_have_arrived(
    serve: Callable[[Fill], Served],
) -> None:
    def fill(store: Store) -> int:
        transition = Transition(
            since_utc_ns=invented.utc(15, 9, 30),
            error_ns=3_000_000_000,
            quality=ClockQuality.HOLDOVER,
            verdict="international_cut",
            rule_id="cut_international_dark",
        )
        hello = Hello(
            device=_FIRST,
            epoch="0123456789abcdef",
            low=1,
            high=12_345,
            waiting=12_345,
            software="0.1.0",
            country="ir",
            headline=(transition,),
        )
        store.commit([HelloArrived(hello=hello, received_ns=invented.utc(15, 11, 1))])
        # The next one says nothing of it, as an ended epoch's does: what was told stands.
        again = replace(hello, headline=())
        store.commit([HelloArrived(hello=again, received_ns=invented.utc(15, 11, 2))])
        return invented.utc(15, 11, 2)

    served = serve(fill)
    said = _text(served)
    assert "Told ahead of its records" in said
    assert "09:30:00 UTC ± 3 s" in said
    assert "12,345 were waiting on the device when it last connected" in said
    told = json.loads(served.get(f"/api/v1/devices/{_FIRST}").body)["headline"]
    assert told == [
        {
            "verdict": "international_cut",
            "rule_id": "cut_international_dark",
            "since": {"utc": "2026-11-15T09:30:00.000000000Z", "error_s": 3.0, "clock": "holdover"},
        }
    ]


_EVIL: Final = '"><script>alert(1)</script>{{ 7*7 }}'
_EVIL_EVIDENCE: Final = (
    prose(_EVIL),
    prose("rung"),
    Statement(code=_EVIL, parameters={_EVIL: [_EVIL]}),
    stated("rung", rung=_EVIL, reached=_EVIL, tried=[_EVIL]),
    stated("rung-best", rung=_EVIL, reached=1, tried=1, best_ns=_EVIL),
    stated("devices", devices=_EVIL, well=_EVIL, lost=-1, unclear=2**62, silent=True),
    stated("name-resolved", hostname=_EVIL, resolver=[_EVIL], addresses=[]),
)


def test_words_from_a_hostile_device_are_only_words(serve: Callable[[Fill], Served]) -> None:
    evil = _EVIL

    def fill(store: Store) -> int:
        device = invented.Device(id=_FIRST, epoch="9f1c04d27ab35e68", weather=invented.cut_from(0))
        device.one_round(invented.utc(15, 11))
        device.records = [
            replace(
                record,
                target=evil,
                target_name=evil,
                test=record.test if record.test == "ladder" else evil,
                context={evil: [evil]},
                verdict=record.verdict
                and Verdict(verdict=evil, rule_id=evil, evidence=_EVIL_EVIDENCE, overturned_by=_EVIL),
                outcome=replace(record.outcome, failure=f"unknown_failure: {evil}", failed_operation=evil),
            )
            for record in device.records
        ]
        invented.deliver(store, device, invented.utc(15, 11, 1))
        store.commit(
            [
                HelloArrived(
                    hello=Hello(
                        device=_FIRST,
                        epoch=device.epoch,
                        low=1,
                        high=17,
                        waiting=0,
                        software=evil,
                        country=evil,
                        headline=(
                            Transition(
                                since_utc_ns=2**62,
                                error_ns=None,
                                quality=ClockQuality.SYNCHRONISED,
                                verdict=evil,
                                rule_id=evil,
                            ),
                        ),
                    ),
                    received_ns=invented.utc(15, 11, 1),
                )
            ]
        )
        return invented.utc(15, 11, 2)

    served = serve(fill)
    for path in ("/", f"/device/{_FIRST}"):
        body = served.get(path).body
        assert b"alert(1)" in body
        assert b"<script" not in body
        assert b"{{ 7*7 }}" in body
        _tags(body)


@pytest.mark.parametrize("path", _PAGES)
def test_no_script_no_style_of_its_own_nothing_from_elsewhere(evening: Served, path: str) -> None:
    seen = _tags(evening.get(path).body)
    tags = {tag for tag, _ in seen}
    assert not tags & {"script", "style", "iframe", "object", "embed", "form", "img"}
    for _, attributes in seen:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("href", "src"):
            address = attributes.get(name) or "/"
            assert address.startswith(("/", "#", "data:image/svg+xml,")), address
            assert not address.startswith("//")
    ids = Counter(attributes["id"] for _, attributes in seen if "id" in attributes)
    assert max(ids.values()) == 1
    headings = [int(tag[1]) for tag in (tag for tag, _ in seen) if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1


@pytest.mark.parametrize("path", [*_PAGES, "/api/v1/devices", "/healthz", "/api/openapi.json"])
def test_every_answer_carries_the_security_headers_and_a_cache_rule(evening: Served, path: str) -> None:
    answer = evening.get(path)
    for name, value in SECURITY.items():
        assert answer.headers[name] == value
    expected = "no-store" if answer.status >= 400 or path == "/healthz" else "public, max-age="
    assert answer.headers["cache-control"].startswith(expected)
    head = evening.get(path, method="HEAD")
    assert (head.status, head.body) == (answer.status, b"")
    ignored = {"date"}
    assert {k: v for k, v in head.headers.items() if k not in ignored} == {
        k: v for k, v in answer.headers.items() if k not in ignored
    }


def test_what_never_changes_is_kept_and_what_changes_with_the_software_is_tagged(evening: Served) -> None:
    sheet = re.search(r'href="(/page-[0-9a-f]{12}\.css)"', evening.get("/").body.decode())
    assert sheet is not None
    assert "immutable" in evening.get(sheet[1]).headers["cache-control"]
    tag = evening.get("/about").headers["etag"]
    again = evening.get("/about", headers={"If-None-Match": tag})
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)


def test_the_page_looks_again_by_itself_until_it_is_paused(evening: Served) -> None:
    page = evening.get("/").body.decode()
    assert '<meta http-equiv="refresh" content="30">' in page
    assert 'href="/?refresh=off"' in page
    paused = evening.get("/?refresh=off").body.decode()
    assert 'http-equiv="refresh"' not in paused
    assert '<a href="/">Look again by itself' in paused


def test_more_devices_than_fit_go_on_the_next_page(serve: Callable[[Fill], Served]) -> None:
    def fill(store: Store) -> int:
        now_ns = invented.utc(15, 18)
        invented.crowd(store, DEVICES_A_PAGE + 1, 1, now_ns)
        return now_ns

    served = serve(fill)
    ids = [
        re.findall(r'<article class="device" id="(\w+)"', served.get(path).body.decode())
        for path in ("/", "/?page=2")
    ]
    assert [len(page) for page in ids] == [DEVICES_A_PAGE, 1]
    assert len({*ids[0], *ids[1]}) == DEVICES_A_PAGE + 1
    assert "Page 2 of 2" in _text(served, "/?page=2")
    for bad in ("0", "3", "two", "-1", "99999999999999999999"):
        answer = served.get(f"/?page={bad}")
        assert answer.status == 400
        assert f"page: found “{bad}”; allowed is: a whole number from 1 to 2" in answer.body.decode()


def test_devices_in_trouble_come_first_then_the_silent_then_those_well(
    serve: Callable[[Fill], Served],
) -> None:
    def fill(store: Store) -> int:
        now_ns = invented.utc(15, 18)
        for name, weather, heard_ns in (
            ("a" * 16, invented.clear, now_ns),
            ("b" * 16, invented.cut_from(0), now_ns - 3600 * invented.NS_PER_S),
            ("c" * 16, invented.cut_from(0), now_ns),
        ):
            device = invented.Device(id=name, epoch="0" * 16, weather=weather)
            device.measure(heard_ns - 400 * invented.NS_PER_S, heard_ns)
            invented.deliver(store, device, heard_ns)
        return now_ns

    shown = re.findall(r'<article class="device" id="(\w)', serve(fill).get("/").body.decode())
    assert shown == ["c", "b", "a"]


def test_what_the_words_mean_covers_every_word(evening: Served) -> None:
    body = evening.get("/about").body.decode()
    for word in VerdictWord:
        assert f'id="{word}"' in body
    for failure in Failure:
        assert f'id="{failure}"' in body
    for rule in RULES:
        assert f'id="rule-{rule.rule_id}"' in body


def test_the_apis_page_shows_every_operation_parameter_and_object(evening: Served) -> None:
    text = _text(evening, "/api")
    assert "GET /api/v1/devices/{device}/rounds" in text
    for name in ("cursor", "failure", "since", "CompletenessOut", "tombstoned", "503"):
        assert name in text
    assert f"curl -s '{evening.url}/api/v1/devices/{_FIRST}'" in text


def test_a_fault_inside_is_a_page_in_the_same_style_and_says_nothing_of_the_inside(
    serve: Callable[[Fill], Served],
) -> None:
    served = serve(invented.evening)
    with sqlite3.connect(served.database) as database:
        database.execute("UPDATE record SET body = 'torn' WHERE test = 'ladder'")
    database.close()
    answer = served.get("/")
    assert answer.status == 500
    assert ENGLISH.say("page.error_title") in answer.body.decode()
    assert b"Traceback" not in answer.body
    assert b"torn" not in answer.body
    assert answer.headers["content-security-policy"] == SECURITY["content-security-policy"]
    _tags(answer.body)


def test_a_number_past_all_bounds_in_a_record_takes_no_page_down(serve: Callable[[Fill], Served]) -> None:
    """The collector judges the record itself, and says what it counted in it."""
    flights = [[0, "up", 517], [5, "down", 10**400]]
    odd: dict[str, JsonValue] = {"server_name": "messenger.example", "address": "93.184.216.34"}

    def fill(store: Store) -> int:
        device = invented.Device(
            id=_FIRST,
            epoch="9f1c04d27ab35e68",
            weather=lambda target, _at: Failure.TIMEOUT if target.name == "messenger" else None,
        )
        device.one_round(invented.utc(15, 11))
        device.records = [
            replace(
                one,
                outcome=replace(
                    one.outcome,
                    failed_operation="tls_handshake",
                    detail={**odd, "failure": str(Failure.TIMEOUT), "flights": cast("JsonValue", flights)},
                ),
            )
            if one.target_name == "messenger"
            else one
            for one in device.records
        ]
        invented.deliver(store, device, invented.utc(15, 11, 2))
        return invented.utc(15, 11, 3)

    served = serve(fill)
    for path in ("/", f"/device/{_FIRST}", f"/api/v1/devices/{_FIRST}/targets", "/api/v1/records"):
        assert served.get(path).status == 200, path
    targets = json.loads(served.get(f"/api/v1/devices/{_FIRST}/targets").body)["targets"]
    assert "handshake-slow" in {said["code"] for target in targets for said in target["evidence"]}
