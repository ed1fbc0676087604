"""Reading files: JSON Lines or one measurement, gzip or not, and any damage named and stepped over."""

import gzip
import io
import json
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.model.jsontypes import RecordError
from firmware.model.statement import stated
from firmware.ooni.explain import Explained, explain, to_json
from firmware.ooni.keys import OoniError
from firmware.ooni.measurement import split_endpoint
from firmware.ooni.parse import parse
from firmware.ooni.read import Damage, Document, documents
from tests import english
from tests.firmware.ooni.conditions import CONDITIONS, PAIRS
from tests.firmware.ooni.mutilation import json_values, paths

BLOCKED = (CONDITIONS / "tls_blocking_reset_consistent_dns.json").read_bytes()
WELL = (CONDITIONS / "success_http.json").read_bytes()
OLD = (CONDITIONS / "v04_http_diff.json").read_bytes()


def read(text: bytes) -> list[Document | Damage]:
    return list(documents(io.BytesIO(text)))


def lines(text: bytes) -> list[tuple[int, bool]]:
    """Return the line of each thing found, and whether it is a document."""
    return [(found.line, isinstance(found, Document)) for found in read(text)]


def test_json_lines() -> None:
    assert lines(WELL + BLOCKED + OLD) == [(1, True), (2, True), (3, True)]


def test_one_measurement_over_many_lines() -> None:
    pretty = json.dumps(json.loads(WELL), indent=2).encode()
    assert lines(pretty) == [(1, True)]
    assert lines(pretty + b"\n" + BLOCKED + pretty) == [
        (1, True),
        (1 + pretty.count(b"\n") + 1, True),
        (1 + pretty.count(b"\n") + 2, True),
    ]


@pytest.mark.parametrize("packed", [False, True])
def test_gzip_is_told_by_its_first_bytes(packed: bool) -> None:
    text = WELL + BLOCKED
    assert lines(gzip.compress(text) if packed else text) == [(1, True), (2, True)]


def test_empty_files_and_empty_lines_hold_nothing() -> None:
    assert read(b"") == []
    assert read(b"\n \n\r\n") == []
    assert lines(b"\n" + WELL + b"\n" + BLOCKED) == [(2, True), (4, True)]


def test_a_byte_order_mark_is_not_part_of_the_text() -> None:
    assert lines(b"\xef\xbb\xbf" + WELL) == [(1, True)]


@pytest.mark.parametrize(
    ("damaged", "says"),
    [
        (BLOCKED[:200] + b"\n", "no JSON"),
        (b"what is this\n", "no JSON"),
        (b"[1, 2]\n", "found an array"),
        (b'"text"\n', "found 'text'"),
        (b"\xff\xfe\n", "not UTF-8"),
        (b'{"a": NaN}\n', "a number that is none"),
        (b'{"a": ' + b"9" * 5000 + b"}\n", "a number that is none"),
        (b'{"a": ' + b"[" * 100_000 + b"\n", "too deep"),
    ],
)
def test_a_damaged_line_is_named_and_the_rest_is_read(damaged: bytes, says: str) -> None:
    found = read(WELL + damaged + OLD)
    assert [(one.line, isinstance(one, Document)) for one in found] == [(1, True), (2, False), (3, True)]
    assert isinstance(found[1], Damage)
    assert says in found[1].what


def test_damage_within_a_measurement_of_many_lines_has_its_own_line() -> None:
    pretty = json.dumps(json.loads(WELL), indent=1).encode().split(b"\n")
    pretty[40] = b"   oops"
    found = read(b"\n".join(pretty) + b"\n" + OLD)
    assert [type(one) for one in found] == [Damage, Document]
    assert found[0].line == 41


def test_a_gzip_stream_that_breaks_off_ends_in_a_damage() -> None:
    found = read(gzip.compress(WELL + BLOCKED)[:-40])
    assert isinstance(found[-1], Damage)
    assert "gzip" in found[-1].what


def damaged(path: list[str | int], value: Any) -> str:
    """Return what is said of a sound measurement in which `value` stands at `path`."""
    measurement = json.loads(BLOCKED)
    place = measurement
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(OoniError) as raised:
        parse(measurement)
    return str(raised.value)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (["test_keys"], [], "test_keys: found an array; allowed is an object"),
        (["input"], 5, "input: found 5; allowed is text or null"),
        (
            ["test_keys", "queries", 2, "failure"],
            7,
            "test_keys.queries[2].failure: found 7; allowed is text or null",
        ),
        (["test_keys", "queries"], {}, "test_keys.queries: found an object; allowed is an array or null"),
        (
            ["test_keys", "queries", 0, "answers", 0, "asn"],
            "15133",
            "test_keys.queries[0].answers[0].asn: found '15133'; allowed is a whole number from 0 to 4294967295, or null",
        ),
        (
            ["test_keys", "tcp_connect", 0, "port"],
            70_000,
            "test_keys.tcp_connect[0].port: found 70000; allowed is a whole number from 0 to 65535, or null",
        ),
        (
            ["test_keys", "tls_handshakes", 0, "t"],
            "soon",
            "test_keys.tls_handshakes[0].t: found 'soon'; allowed is a number of seconds or null",
        ),
        (
            ["test_keys", "tls_handshakes", 0, "tags"],
            ["depth=0", 1],
            "test_keys.tls_handshakes[0].tags[1]: found 1; allowed is text",
        ),
        (
            ["test_keys", "control", "tcp_connect", "93.184.216.34:80"],
            True,
            "test_keys.control.tcp_connect['93.184.216.34:80']: found true; allowed is an object",
        ),
        (
            ["test_keys", "control_failure"],
            {},
            "test_keys.control_failure: found an object; allowed is text or null",
        ),
        (["test_keys", "blocking"], 3, "test_keys.blocking: found 3; allowed is text, false or null"),
        (
            ["test_keys", "accessible"],
            "no",
            "test_keys.accessible: found 'no'; allowed is true, false or null",
        ),
        (["test_name"], None, "test_name: found nothing; allowed is the name of an OONI test"),
    ],
)
def test_a_key_of_the_wrong_type_is_named(path: list[str | int], value: Any, says: str) -> None:
    assert damaged(path, value) == says


def test_a_body_in_base64_and_one_that_is_not() -> None:
    measurement = json.loads(WELL)
    response = measurement["test_keys"]["requests"][0]["response"]
    response["body"] = {"format": "base64", "data": "AP/+"}
    assert parse(measurement).requests[0].body == b"\x00\xff\xfe"
    response["body"] = {"format": "hex", "data": "00"}
    with pytest.raises(OoniError, match=r"test_keys.requests\[0\].response.body.format: found 'hex'"):
        parse(measurement)
    response["body"] = {"format": "base64", "data": "A"}
    with pytest.raises(OoniError, match=r"body.data: found 'A'; allowed is text in base64"):
        parse(measurement)


def test_headers_are_read_from_the_list_and_else_from_the_map() -> None:
    measurement = json.loads(WELL)
    response = measurement["test_keys"]["requests"][0]["response"]
    response["headers_list"] = [["X-One", "1"], ["X-Two", {"format": "base64", "data": "6Q=="}]]
    assert parse(measurement).requests[0].headers == (("X-One", "1"), ("X-Two", "é"))
    response["headers_list"] = None
    response["headers"] = {"X-Three": "3", "X-Four": ["4", "5"]}
    assert parse(measurement).requests[0].headers == (("X-Three", "3"), ("X-Four", "4, 5"))
    response["headers"] = [["X-Five", ["6", "7"]], ["X-Six", "8"]]  # ooniprobe 1
    assert parse(measurement).requests[0].headers == (("X-Five", "6, 7"), ("X-Six", "8"))
    response["headers"] = 3
    with pytest.raises(OoniError, match=r"response.headers: found 3; allowed is an object or null"):
        parse(measurement)


def test_connects_of_the_years_when_failure_was_true_or_false() -> None:
    def failures(*statuses: dict[str, Any]) -> list[str | None]:
        keys = {"tcp_connect": [{"ip": "192.0.2.1", "port": 80, "status": one} for one in statuses]}
        found = parse({"test_name": "web_connectivity", "test_keys": cast("Any", keys)}).connects
        return [one.failure for one in found]

    assert failures(
        {"success": True, "failure": False},
        {"success": False, "failure": "connection_refused_error"},
        {"success": True, "failure": None},
    ) == [None, "connection_refused_error", None]
    told = failures({"success": False, "failure": True}, {"success": False, "failure": None})
    assert all(one is not None and one.startswith("unknown_failure: ") for one in told)


def test_the_system_s_resolver_is_known_by_its_engine_whatever_its_address() -> None:
    def resolver(**query: Any) -> str:
        keys = {"queries": [{"hostname": "www.example.com", **query}]}
        (found,) = parse({"test_name": "web_connectivity", "test_keys": cast("Any", keys)}).queries
        return found.resolver

    assert resolver(engine="getaddrinfo", resolver_address="") == "@system"
    assert resolver(resolver_hostname="127.0.1.1") == "@system"  # ooniprobe 2
    assert resolver(engine="udp", resolver_address="1.1.1.1:53") == "1.1.1.1:53"


def test_what_is_missing_is_no_damage() -> None:
    found = explain(Document(line=1, value={"test_name": "web_connectivity", "test_keys": {}}))
    assert (found.verdict.verdict, found.pair.blocking, found.ooni_said) == ("inconclusive", None, None)


def test_a_measurement_that_failed_before_it_began_has_null_and_a_cut_one_has_nothing() -> None:
    null = explain(Document(line=1, value={"test_name": "web_connectivity", "test_keys": None}))
    assert (null.verdict.verdict, null.pair.accessible) == ("inconclusive", None)
    with pytest.raises(OoniError, match="test_keys: found nothing; allowed is an object or null"):
        parse({"test_name": "web_connectivity", "input": "https://www.example.com/"})


@pytest.mark.parametrize("name", ["telegram", "signal", "dnscheck", "tor", "something_new", ""])
def test_a_test_that_is_not_judged_says_so(name: str) -> None:
    found = explain(Document(line=1, value={"test_name": name, "test_keys": {"anything": [1, "x"]}}))
    assert (found.verdict.verdict, found.verdict.rule_id) == ("inconclusive", "test-not-judged")
    assert (found.pair.blocking, found.pair.accessible) == (None, None)
    assert found.verdict.evidence == (stated("not-judged", test=name or "this test"),)
    assert "not one that is judged" in english.lines(found.verdict)[0]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("192.0.2.1:443", ("192.0.2.1", 443)),
        ("[2001:db8::1]:443", ("2001:db8::1", 443)),
        ("192.0.2.1", ("", 0)),
        ("192.0.2.1:99999", ("", 0)),
        ("", ("", 0)),
    ],
)
def test_endpoints(text: str, place: tuple[str, int]) -> None:
    assert split_endpoint(text) == place


def judged(text: bytes) -> list[Explained | Damage]:
    """Do what the command does with a file."""
    found: list[Explained | Damage] = []
    for document in read(text):
        if isinstance(document, Damage):
            found.append(document)
            continue
        try:
            found.append(explain(document))
        except (OoniError, RecordError) as error:
            found.append(Damage(line=document.line, what=str(error)))
    return found


@given(
    condition=st.sampled_from(sorted(PAIRS)),
    where=st.floats(0, 0.999),
    value=json_values,
    remove=st.booleans(),
)
def test_any_mutilation_of_a_key_is_judged_or_named_and_the_neighbours_are_read(
    condition: str, where: float, value: Any, remove: bool
) -> None:
    measurement = json.loads((CONDITIONS / f"{condition}.json").read_text())
    everywhere = paths(measurement)
    path = everywhere[int(where * len(everywhere))]
    place = measurement
    for step in path[:-1]:
        place = place[step]
    if remove:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    found = judged(WELL + json.dumps(measurement).encode() + b"\n" + BLOCKED)
    assert [one.line for one in found] == [1, 2, 3]
    assert isinstance(found[0], Explained)
    assert isinstance(found[2], Explained)
    assert found[2].verdict.verdict == "blocked_tls"
    if isinstance(found[1], Explained):
        json.dumps(to_json(found[1], english.ENGLISH), allow_nan=False).encode("ascii")
    else:
        assert found[1].what


@given(start=st.integers(0, len(OLD)), cut=st.integers(0, 200), put=st.binary(max_size=20))
def test_any_mutilation_of_the_bytes_leaves_the_lines_before_and_after(
    start: int, cut: int, put: bytes
) -> None:
    broken = (OLD[:start] + put + OLD[start + cut :]).replace(b"\n", b"")
    found = judged(WELL + broken + b"\n" + BLOCKED)
    assert isinstance(found[0], Explained)
    assert found[0].line == 1
    assert isinstance(found[-1], Explained)
    assert (found[-1].line, found[-1].verdict.verdict) == (3, "blocked_tls")


@given(st.binary(max_size=300))
def test_any_bytes_are_a_file(text: bytes) -> None:
    judged(text)
    judged(gzip.compress(text))
    judged(b"\x1f\x8b" + text)
