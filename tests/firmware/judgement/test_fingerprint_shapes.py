"""Every shape of row that OONI's two lists have (as of March 2023), in rows that are made: each is read, and none is left out.

What a row of each shape says here is ours; that there are rows of it is what was seen in the lists.
"""

from pathlib import Path

import pytest

from firmware.judgement.fingerprints.lists import bring, shared
from firmware.judgement.fingerprints.load import COLUMNS, builtin, parse, read
from firmware.judgement.fingerprints.table import FingerprintScope, PatternType

HEADER = ",".join(COLUMNS)
DNS = f"""{HEADER}
ooni.xx_39,isp,cl.dns_isp_xx,dns,full,192.0.2.39,5,XX,ooni,https://example.org/?input=http://a.example,"One, and its note"
ooni.xx_41,isp,cl.dns_isp_xx_cname,dns,full,blocked.example,5,XX,ooni,,Matches the CNAME
ooni.zz_4,prod,,dns,full,192.0.2.4,5,"ZZ",ooni,,
ooni.zz_5,prod,,dns,full,192.0.2.5,5,",ZZ",ooni,,
cl.dns_br_xx,vbw,,dns,full,192.0.2.6,10,,"https://a.example/1,https://a.example/2",,"A note, with ""words"" quoted"
ooni.xx_nat_1,nat,,dns,full,192.0.2.7,0,XX,,https://example.org/ ,
ooni.xx_ipv6_1,nat,,dns,full,d0::11,10,XX,,,
ooni.xx_dns_100,isp,,dns,full,192.0.2.39,5,XX,,,
ooni.xx_9,nat,,dns,full,192.0.2.9,10,XX,sinarproject,,
"""
HTTP = f"""{HEADER}
ooni.xx_0,nat,"ooni.yy_1,ooni.zz_1",header.server,prefix,Filter by Example,5,"XX,YY",ooni,,
ooni.xx_1,inst,,header.via,full,1.1 filter.example (http_scan/3.5),5,XX,ooni,,
ooni.xx_2,isp,,header.x-app-url,full,https://blocked.example,5,XX,ooni,,
ooni.xx_3,isp,,header.location,contains,/denied.php?id=,10,XX,,,
ooni.xx_4,nat,,body,contains,"<iframe src=""http://192.0.2.1",5,XX,ooni,,
ooni.xx_5,isp,,body,contains,Доступ «ограничен»,5,XX,ooni,,
ooni.xx_6,inst,,body,contains, <title>Led by a space</title>,5,XX,ooni,,
ooni.xx_7,vbw,,body,contains,Followed by a space: ,5,,censored planet,,
ooni.xx_8,inst,,body,contains,"<title>Page Restricted</title>
",5,,censored planet,,
ooni.xx_10,inst,,body,contains,"<h1>Blocked</h1>\x20
<div class=""response"">\x20
<p>by policy.</p>",10,XX,sinarproject,https://example.org/ ,
cl.injb_xx,injb,,body,contains,/update.htm,10,,,,
cl.prov_xx,prov,,header.location,contains,/blank.php?id=,10,XX,,,
cl.susp_xx,isp,,body,full,<HTML></HTML>,5,"XX,YY",,,Suspected
cl.isp_xx_9,isp,,body,contains,Nine of ten,9,XX,,,
cp.xx@net_body,isp,,body,contains,https://ban.example/%D0%B4/?,5,,censored planet,,
cp.xx_twice,isp,,body,contains,http://hold.example/block,5,,censored planet,,
cp.xx_twice,isp,,body,contains,https://hold.example/block?,5,,censored planet,,
cp.fp_xx_1,fp,,body,regexp,"{{""msg"":.*""id"":",5,,censored planet,,
cp.fp_xx_2,fp,,body,regexp,You don.t get.*on this server\\.<P>,5,,censored planet,,
cp.fp_xx_3,fp,,body,contains,Hello .orld (http|https)://a.example/*,5,,censored planet,,
cp.fp_x_\ufffd,fp,,body,regexp,\ufffd.*\ufffd,5,,censored planet,,
ooni.xx_9,nat,,body,contains,<title>Example</title>,10,XX,sinarproject,,
"""
DNS_ROWS, HTTP_ROWS = 9, 22


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """Return a directory with two lists that have every shape, and a name that both give to something else."""
    for name, text in (("fingerprints_dns.csv", DNS), ("fingerprints_http.csv", HTTP)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_every_shape_is_read_and_none_is_left_out(lists: Path) -> None:
    both = bring([lists])
    assert both.left_out == ()
    assert [len(one.fingerprints.rows) for one in both.brought] == [DNS_ROWS, HTTP_ROWS]
    assert len(both.fingerprints.rows) == len(builtin().rows) + DNS_ROWS + HTTP_ROWS


def test_what_was_read_is_what_the_lists_say(lists: Path) -> None:
    rows = {(row.name, row.location): row for row in bring([lists]).fingerprints.rows}
    assert rows["ooni.xx_0", "header.server"].countries == {"XX", "YY"}
    assert rows["ooni.zz_5", "dns"].countries == {"ZZ"}
    assert rows["cl.dns_br_xx", "dns"].countries == frozenset()
    assert rows["ooni.xx_nat_1", "dns"].confidence == 0
    assert rows["ooni.xx_4", "body"].pattern == '<iframe src="http://192.0.2.1'
    assert rows["ooni.xx_6", "body"].pattern.startswith(" <title>")
    assert rows["ooni.xx_7", "body"].pattern.endswith(": ")
    assert rows["ooni.xx_8", "body"].pattern.endswith("</title>\n")
    assert rows["ooni.xx_10", "body"].pattern.splitlines() == [
        "<h1>Blocked</h1> ",
        '<div class="response"> ',
        "<p>by policy.</p>",
    ]
    assert rows["cp.fp_xx_1", "body"].pattern == '{"msg":.*"id":'
    assert rows["cp.fp_xx_3", "body"].pattern_type is PatternType.CONTAINS
    assert {row.scope for row in rows.values()} == set(FingerprintScope) - {FingerprintScope.UNKNOWN}


def test_the_same_list_with_the_line_ends_of_windows(lists: Path, tmp_path: Path) -> None:
    (tmp_path / "windows").mkdir()
    for name, count in (("fingerprints_dns.csv", DNS_ROWS), ("fingerprints_http.csv", HTTP_ROWS)):
        copy = tmp_path / "windows" / name
        copy.write_bytes((lists / name).read_bytes().replace(b"\n", b"\r\n"))
        found = read(copy)
        assert found.left_out == ()
        assert len(found.fingerprints.rows) == count


def test_the_same_list_with_the_mark_that_spreadsheets_begin_a_file_with(lists: Path) -> None:
    marked = lists / "marked.csv"
    marked.write_bytes(b"\xef\xbb\xbf" + (lists / "fingerprints_dns.csv").read_bytes())
    found = read(marked)
    assert found.left_out == ()
    assert len(found.fingerprints.rows) == DNS_ROWS


def test_a_name_of_both_lists_and_one_that_stands_twice_are_told(lists: Path) -> None:
    told = [
        (one.first.name, one.first.location, one.second.location, one.is_of_one_list)
        for one in shared(one.fingerprints for one in bring([lists]).brought)
    ]
    assert told == [("cp.xx_twice", "body", "body", True), ("ooni.xx_9", "dns", "body", False)]


@pytest.mark.parametrize(
    ("header", "body", "name"),
    [
        (("Server", "Filter by Example 3"), b"", "ooni.xx_0"),
        (("Via", "1.1 filter.example (http_scan/3.5)"), b"", "ooni.xx_1"),
        (("X-App-Url", "https://blocked.example"), b"", "ooni.xx_2"),
        (("Location", "http://a.example/denied.php?id=7"), b"", "ooni.xx_3"),
        (("Server", "x"), b'<html><iframe src="http://192.0.2.1/">', "ooni.xx_4"),
        (("Server", "x"), "Доступ «ограничен» судом".encode(), "ooni.xx_5"),
        (("Server", "x"), b'<h1>Blocked</h1> \n<div class="response"> \n<p>by policy.</p>', "ooni.xx_10"),
        (("Server", "x"), b"<HTML></HTML>", "cl.susp_xx"),
        (("Server", "x"), b"see https://hold.example/block?u", "cp.xx_twice"),
    ],
)
def test_a_page_of_each_shape_is_known(lists: Path, header: tuple[str, str], body: bytes, name: str) -> None:
    found = bring([lists]).fingerprints.in_page([header], body)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("body", [b"<HTML></HTML>\n", b'{"msg": 1, "id": 2} <iframe src="http://192.0.2.1'])
def test_a_page_that_is_more_or_is_known_to_be_innocent_is_not(lists: Path, body: bytes) -> None:
    assert bring([lists]).fingerprints.in_page([], body) is None


def test_an_address_that_stands_under_two_names_is_known(lists: Path) -> None:
    found = bring([lists]).fingerprints.in_answer(["192.0.2.39"])
    assert found is not None
    assert found.name == "ooni.xx_39"


LINK = '<a href="http://warn.example/law">'
LETTERS = f"""{HEADER}
ooni.xx_1,isp,,body,contains,http://warn.example/law,5,XX,ooni,,
ooni.xx_2,isp,,body,contains,Notificación: política,5,XX,ooni,,
ooni.xx_3,isp,,body,contains,Доступ ограничен,5,XX,ooni,,
cp.fp_x_\ufffd,fp,,body,regexp,\ufffd.*\ufffd,5,,censored planet,,
"""


@pytest.mark.parametrize("charset", ["windows-1251", "koi8-r"])
def test_what_is_no_utf_8_takes_no_match_away(charset: str) -> None:
    """OONI's list has a row for pages with two letters U+FFFD, which nothing but their own bytes makes."""
    body = f"<title>Доступ запрещён</title>{LINK}".encode(charset)
    found = parse(LETTERS).in_page([], body)
    assert found is not None
    assert found.name == "ooni.xx_1"
    assert parse(LETTERS).in_page([], f"\ufffd, {LINK}, \ufffd".encode()) is None


def test_a_page_in_latin_1_is_read_as_one() -> None:
    found = parse(LETTERS).in_page([], "<title>Notificación: política</title>".encode("latin-1"))
    assert found is not None
    assert found.name == "ooni.xx_2"


@pytest.mark.parametrize("end", [b"", "я".encode()[:1], b"\xff\xfe and more"])
def test_a_page_in_utf_8_may_be_cut_or_have_a_byte_that_is_none(end: bytes) -> None:
    found = parse(LETTERS).in_page([], "<h1>Доступ ограничен</h1>".encode() + end)
    assert found is not None
    assert found.name == "ooni.xx_3"
