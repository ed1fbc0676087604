"""The rates' short form: each line is printed, from real parts; how fast they are is nobody's pass or fail."""

import re

import pytest

from tests import rates
from tests.needs import program


def test_every_rate_stands_beside_its_limit(capsys: pytest.CaptureFixture[str]) -> None:
    program("mosquitto_pub")
    rates.run(turns=1, turn_s=0.05, records=400, batches=8)
    lines = capsys.readouterr().out.splitlines()[1:]
    assert len(lines) == 10
    for line in lines:
        found = re.fullmatch(r"(.+?)\s+([\d,]+)\s+([\d,]+)\s+\d+\.\d\d(   goal 0\.5: (met|missed))?", line)
        assert found is not None, line
        assert int(found[2].replace(",", "")) > 0 < int(found[3].replace(",", ""))
