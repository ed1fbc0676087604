"""Citizen Lab lists: read as published, refused line by line."""

from pathlib import Path

from firmware.plans.citizenlab import COLUMNS, CONTROL_CATEGORY, ListEntry, read

HEADER = ",".join(COLUMNS) + "\n"


def test_a_list_as_published() -> None:
    text = (Path(__file__).parents[2] / "data" / "lists" / "ir.csv").read_text()
    entries, faults = read(text)
    assert faults == ()
    assert entries == (
        ListEntry(line=2, url="https://example.org/", category="NEWS", notes="a note, with a comma"),
        ListEntry(line=3, url="http://example.com/page", category=CONTROL_CATEGORY, notes=""),
        ListEntry(line=5, url="https://example.net/", category="NEWS", notes=""),
    )


def test_a_byte_order_mark_and_crlf_are_no_faults() -> None:
    entries, faults = read(
        "\ufeff" + HEADER.replace("\n", "\r\n") + "https://example.org/,NEWS,n,2020-01-01,s,\r\n"
    )
    assert [entry.url for entry in entries] == ["https://example.org/"]
    assert faults == ()


def test_every_bad_line_is_told() -> None:
    lines = [
        "ftp://e.org/,A,b,c,d,",
        "https://,A,b,c,d,",
        "http://[bad,A,b,c,d,",
        "x",
    ]
    entries, faults = read(HEADER + "\n".join(lines))
    assert entries == ()
    assert [fault.line for fault in faults] == [2, 3, 4, 5]


def test_text_that_is_not_csv_is_a_fault() -> None:
    _, faults = read(HEADER + '"' + "x" * 200_000)
    assert "not CSV" in faults[0].found


def test_an_empty_file_lacks_its_header() -> None:
    assert read("")[1][0].line == 1
