"""The validation bench in its short form: both ways make the same rows. Never times."""

from tests.bench.validation import RECORDS, by_columns, by_records, compare, message


def test_both_ways_make_the_same_rows() -> None:
    payload = message()
    assert len(by_columns(payload)) == RECORDS
    assert by_columns(payload) == by_records(payload)


def test_it_measures_both() -> None:
    assert all(found > 0 for found in compare(times=1))
