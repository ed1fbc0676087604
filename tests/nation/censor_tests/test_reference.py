"""The censor's page says what the code does: its lists are the declarations', its examples have no fault."""

import re
import shlex
import subprocess
import sys

import pytest

from tests import needs
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


@pytest.mark.namespace
def test_the_commands_to_try_it_by_hand_work() -> None:
    needs.program("ping")
    (block,) = [block for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) if "netns add" in block]
    script = block.replace(".venv/bin/python", shlex.quote(sys.executable)) + "kill %1\nwait\n"
    done = subprocess.run(
        [*needs.namespace_command(), "bash", "-ec", script],
        capture_output=True,
        text=True,
        cwd=needs.ROOT,
        timeout=120,
        check=False,
    )
    assert done.stderr == ""
    slow, changed, free = done.stdout.partition("0 rules in force\n")
    assert changed
    assert "2 received" in slow
    assert "2 received" in free
    assert all(float(time_ms) >= 200 for time_ms in re.findall(r"time=([0-9.]+) ms", slow))
    assert '"rule": "rule 1", "did": "begins", "do": "impair"' in free
