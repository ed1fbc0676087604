"""The bench of what a salvage recognises, in its short form: rows go into no other table, and the schema tells none that their form does not."""

from tests.bench.recognition import compare


def test_a_rows_form_tells_its_table() -> None:
    found = compare(times=12, seed=7)
    assert found.flips == 12
    assert found.in_another_table == 0
    assert found.by_schema_alone == 0
    assert found.rows * 0.99 < found.by_form <= found.rows


def test_the_bench_flips_what_leads_to_tables() -> None:
    """A fault that the other reader does not survive must be among them, or the two would not be told apart."""
    found = compare(times=12, seed=7)
    assert found.flips_schema_lost > 0
    assert found.by_schema < found.by_form
