"""Fingerprints: OONI's format is read whole or refused with the place, and no pattern may hang."""

import contextlib
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.judgement.fingerprints.lists import bring, shared
from firmware.judgement.fingerprints.load import COLUMNS, FingerprintError, builtin, parse, read

HEADER = ",".join(COLUMNS)
OONI = (
    HEADER
    + """
ooni.xx_0,nat,other.name,header.server,prefix,Protected by Filter,5,"AE,SA",ooni,,
ooni.xx_1,isp,,header.location,prefix,http://warn.example.com,5,AE,ooni,https://example.org/,a note
ooni.xx_2,inst,,body,contains,"say ""blocked"", please",5,XX,ooni,,
ooni.xx_3,nat,,dns,full,192.0.2.77,5,XX,ooni,,
ooni.xx_4,fp,,body,contains,Access denied by our CDN,5,,ooni,,
ooni.xx_5,vbw,,body,contains,Access denied,3,,ooni,,
ooni.xx_6,prov,,body,regexp,order\\s+no\\.\\s*\\d{3},5,XX,ooni,,
"""
)


def row(**changed: str) -> str:
    cells = dict.fromkeys(COLUMNS, "")
    cells |= {"name": "n", "scope": "nat", "location_found": "body", "pattern_type": "full", "pattern": "x"}
    cells |= {"confidence_no_fp": "5", **changed}
    return f"{HEADER}\n" + ",".join(cells[column] for column in COLUMNS) + "\n"


class TestMatching:
    """What an answer is known by."""

    def test_ooni_s_own_format(self, tmp_path: Path) -> None:
        file = tmp_path / "f.csv"
        file.write_text(OONI, encoding="utf-8")
        known = read(file).fingerprints
        assert len(known.rows) == 7
        headers = [("Server", "Protected by Filter 3.2")]
        for found, name in (
            (known.in_page(headers, b""), "ooni.xx_0"),
            (known.in_page([("Location", "http://warn.example.com/?q")], b""), "ooni.xx_1"),
            (known.in_page([], b'they say "blocked", please'), "ooni.xx_2"),
            (known.in_answer(["192.0.2.1", "192.0.2.77"]), "ooni.xx_3"),
            (known.in_page([], b"by order no. 123 of"), "ooni.xx_6"),
        ):
            assert found is not None
            assert found.name == name
        assert known.in_page([("Server", "nginx")], b"<html>") is None
        assert known.in_answer(["192.0.2.78"]) is None

    def test_what_is_known_to_be_innocent_takes_the_others_away(self) -> None:
        known = parse(OONI)
        vague = known.in_page([], b"Access denied")
        assert vague is not None
        assert not vague.is_strong
        assert known.in_page([], b"Access denied by our CDN, say Access denied") is None

    def test_a_school_s_filter_is_no_country_s(self) -> None:
        strong = {one.name for one in parse(OONI).rows if one.is_strong}
        assert strong == {"ooni.xx_0", "ooni.xx_1", "ooni.xx_3", "ooni.xx_6"}

    def test_what_is_injected_need_not_be_a_censor_s(self) -> None:
        """OONI's list of pages has the notice of a home router that wants its update: `injb`, confidence 10."""
        (notice,) = parse(
            row(name="cl.injb_xx", scope="injb", pattern="/update.htm", confidence_no_fp="10")
        ).rows
        assert not notice.is_strong

    @pytest.mark.parametrize(
        ("name", "source", "confidence", "is_strong"),
        [
            ("cl.isp_xx_block", "", "10", True),
            ("cl.isp_xx_forward", "", "8", False),
            ("ooni.xx_8", "ooni", "5", True),
            ("ooni.xx_8", "ooni", "4", False),
            ("ooni.xx_dns_8", "sinarproject", "10", True),
            ("ooni.xx_dns_8", "sinarproject", "5", False),
        ],
    )
    def test_citizen_lab_s_and_sinar_project_s_rows_are_sure_by_a_scale_to_ten(
        self, name: str, source: str, confidence: str, is_strong: bool
    ) -> None:
        (only,) = parse(row(name=name, scope="isp", source=source, confidence_no_fp=confidence)).rows
        assert only.is_strong is is_strong

    @pytest.mark.parametrize("address", ["10.10.34.34", "10.10.34.35", "10.10.34.36", "d0::11", "D0:0:0::11"])
    def test_the_addresses_that_iran_injects(self, address: str) -> None:
        found = builtin().in_answer([address])
        assert found is not None
        assert found.is_strong
        assert found.countries == {"IR"}

    def test_an_intranet_s_own_frame_is_no_block_page(self) -> None:
        body = b'<html><body><div><iframe src="http://10.10.20.250/dashboard/"></iframe></div></body></html>'
        assert builtin().in_page([], body) is None

    def test_every_fingerprint_that_comes_along_has_a_source(self) -> None:
        assert all(one.source for one in builtin().rows)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: found nothing"),
        ("name,scope\n", "line 1: found no column confidence_no_fp"),
        (f"{HEADER}\na,b\n", "line 2: found 2 columns, where the header has 11"),
        (row(scope="city"), "line 2: scope: found 'city'; allowed are nat, isp"),
        (
            row(location_found="header"),
            "line 2: location_found: found 'header'; allowed are dns, body and header.NAME",
        ),
        (row(pattern_type="glob"), "line 2: pattern_type: found 'glob'; allowed are full"),
        (row(pattern=""), "line 2: pattern: found 0 characters"),
        (row(confidence_no_fp="high"), "line 2: confidence_no_fp: found 'high'; allowed are 0 to 10"),
        (row(expected_countries="Iran"), "line 2: expected_countries: found 'Iran'"),
        (row(name=""), "line 2: name: found nothing"),
        (row(pattern_type="regexp", pattern="(a"), "line 2: pattern: found '(a', which does not compile"),
        (row(pattern_type="regexp", pattern="(a+)+b"), "could take for ever"),
        (row(pattern_type="regexp", pattern="(a)\\1"), "could take for ever"),
        (
            row() + row().split("\n")[1] + "\n",
            "line 3: name: found 'n' with the same pattern, which line 2 has already",
        ),
        (f'{HEADER}\n"a,b\n', "this is not CSV"),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_its_place(text: str, says: str) -> None:
    with pytest.raises(FingerprintError) as error:
        parse(text, where="f.csv")
    assert says in str(error.value)
    assert str(error.value).startswith("f.csv: ")


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(FingerprintError, match="cannot be read"):
        read(tmp_path / "none.csv")
    with pytest.raises(FingerprintError, match="cannot be read"):
        read(tmp_path)
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FingerprintError, match="not UTF-8"):
        read(tmp_path / "bytes.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FingerprintError, match="line 1: found no column"):
        read(tmp_path / "other.csv")


def test_one_row_that_cannot_be_used_takes_no_other_away(tmp_path: Path) -> None:
    """OONI's list of January 2026 has a scope, `br`, that its own checker does not know."""
    file = tmp_path / "fingerprints_dns.csv"
    file.write_text(
        OONI
        + "cl.dns_br_allzero,br,,dns,full,0.0.0.0,10,,,,\n"
        + "ooni.xx_7,isp,,dns,full,192.0.2.78,5,XX,ooni,,\n"
        + "ooni.xx_8,isp,,dns,full\n"
    )
    found = read(file)
    assert len(found.fingerprints.rows) == 8
    assert found.fingerprints.in_answer(["192.0.2.78"]) is not None
    assert [sentence.partition(": ")[2] for sentence in found.left_out] == [
        "line 9: scope: found 'br'; allowed are nat, isp, prov, prod, inst, vbw, injb, fp, nothing",
        "line 11: found 5 columns, where the header has 11",
    ]


@pytest.mark.parametrize("letter", ["\u2028", "\u2029", "\x85", "\x0c", "\x1e"])
def test_only_the_end_of_a_line_ends_a_row(tmp_path: Path, letter: str) -> None:
    """What stands in a page may be any letter, and some of them are ends of lines to some."""
    file = tmp_path / "f.csv"
    file.write_text(OONI + f"ooni.xx_7,isp,,body,contains,for{letter}bidden,5,XX,ooni,,\n")
    found = read(file)
    assert found.left_out == ()
    assert found.fingerprints.in_page([], f"it is for{letter}bidden".encode()) is not None


def test_what_is_no_csv_any_more_ends_the_list_and_is_said(tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    file.write_text(OONI + 'ooni.xx_7,isp,,dns,full,"192.0.2.78')
    found = read(file)
    assert len(found.fingerprints.rows) == 7
    assert len(found.left_out) == 1
    assert "nothing from line 9 on is read" in found.left_out[0]


class TestWhichList:
    """A list is known by its name, its day and what it holds."""

    def test_the_day_stands_in_the_name_or_is_that_of_the_file(self, tmp_path: Path) -> None:
        dated, plain = tmp_path / "dns-2026-11-20.csv", tmp_path / "dns.csv"
        for file in (dated, plain):
            file.write_text(OONI)
            os.utime(file, (1_767_830_400, 1_767_830_400))
        assert (read(dated).of.day, read(plain).of.day) == ("2026-11-20", "2026-01-08")
        digest = hashlib.sha256(OONI.encode()).hexdigest()[:12]
        assert read(plain).of.label == f"dns.csv 2026-01-08 {digest}"
        assert all(row.of == read(plain).of for row in read(plain).fingerprints.rows)

    def test_those_that_come_along_have_a_day(self) -> None:
        assert [(one.name, one.day) for one in builtin().lists] == [("ir-2026-11-21.csv", "2026-11-21")]


class TestTogether:
    """Several lists are joined, and nothing is dropped unsaid."""

    DNS = row(name="ooni.xx_5", location_found="dns", pattern="192.0.2.9", source="ooni")
    HTTP = row(name="ooni.xx_5", location_found="body", pattern_type="contains", pattern="forbidden here")

    def test_a_name_that_stands_for_two_patterns_stands_for_both(self, tmp_path: Path) -> None:
        for name, text in (("dns.csv", self.DNS), ("http.csv", self.HTTP)):
            (tmp_path / name).write_text(text)
        both = bring([tmp_path])
        assert both.left_out == ()
        assert both.fingerprints.in_answer(["192.0.2.9"]) is not None
        assert both.fingerprints.in_page([], b"it is forbidden here") is not None
        (only,) = shared(one.fingerprints for one in both.brought)
        assert not only.is_same
        assert not only.is_of_one_list

    def test_a_name_that_one_list_gives_to_two_patterns_stands_for_both(self, tmp_path: Path) -> None:
        """Names of OONI's list of pages do; of each pair the first was dropped, and nothing said it."""
        (tmp_path / "http.csv").write_text(
            HEADER
            + """
cp.fp_x_first,fp,,body,contains,Firstpittsburgh,5,,censored planet,,
cp.fp_x_second,fp,,body,contains,Second,5,,censored planet,,
cp.fp_x_first,fp,,body,contains,"<a href=""https://first.example/"">Moved Permanently</a>",5,,censored planet,,
"""
        )
        both = bring([tmp_path])
        assert both.left_out == ()
        assert len(both.fingerprints.rows) == len(builtin().rows) + 3
        (only,) = shared(one.fingerprints for one in both.brought)
        assert (only.first.name, only.first.pattern) == ("cp.fp_x_first", "Firstpittsburgh")
        assert only.second.pattern.startswith("<a href=")
        assert not only.is_same
        assert only.is_of_one_list

    def test_a_row_that_two_lists_have_counts_once_as_the_later_has_it(self, tmp_path: Path) -> None:
        (tmp_path / "1.csv").write_text(self.DNS)
        (tmp_path / "2.csv").write_text(self.DNS.replace(",5,", ",3,"))
        both = bring([tmp_path])
        found = both.fingerprints.in_answer(["192.0.2.9"])
        assert found is not None
        assert found.confidence == 3
        assert len(both.fingerprints.rows) == len(builtin().rows) + 1
        (only,) = shared(one.fingerprints for one in both.brought)
        assert only.is_same

    def test_a_file_that_cannot_be_read_takes_no_other_away(self, tmp_path: Path) -> None:
        (tmp_path / "1.csv").write_text(self.DNS)
        (tmp_path / "2.csv").write_bytes(b"\xff")
        both = bring([tmp_path, tmp_path / "none.csv", tmp_path / "empty"])
        assert both.fingerprints.in_answer(["192.0.2.9"]) is not None
        assert len(both.faults) == 3
        assert both.labels == tuple(one.of.label for one in both.brought)
        assert len(both.brought) == 1


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    for given_text in (text, f"{HEADER}\n{text}"):
        with contextlib.suppress(FingerprintError):
            parse(given_text)
