"""The censor's page says what the code does: its lists are the declarations', its examples have no fault."""

import re

import pytest

from tests.nation.censor import reference, rules

TEXT = reference.PAGE.read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)


def test_the_lists_are_those_of_the_code() -> None:
    assert reference.filled(TEXT) == TEXT, "mend it with: python -m tests.nation.censor.reference"


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 3


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_has_no_fault(example: str) -> None:
    assert rules.loads(example).rules


def test_a_page_without_marks_is_no_page() -> None:
    with pytest.raises(ValueError, match="no marks for match"):
        reference.filled("nothing")
