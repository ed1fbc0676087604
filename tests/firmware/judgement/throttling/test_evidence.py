"""What a paired test states, as data of the closed list."""

from math import log

import pytest

from firmware.judgement.throttling.carry_over import CarryOver
from firmware.judgement.throttling.evidence import WHY_CODES, evidence_of
from firmware.judgement.throttling.findings import Answer, Estimate, PairedFinding, Why
from firmware.model.statement_forms import EVIDENCE

FOUND = PairedFinding(
    answer=Answer.SLOWER,
    blocks=8,
    p=1 / 256,
    factor=Estimate(value=9.5, low=8.0, high=11.0),
    suspect_bytes_per_s=Estimate(value=20_000.4, low=19_000.0, high=21_000.0),
    carry_over=CarryOver(elsewhere=0.0, washed_out=None, at_once=log(8)),
    below_bytes_per_s=9e4,
    burst_bytes=81_920,
)


def test_everything_that_was_measured_is_stated() -> None:
    found = {one.code: dict(one.parameters) for one in evidence_of(FOUND)}
    assert found == {
        "paired-runs": {"blocks": 8, "factor": 9.5, "low": 8.0, "high": 11.0, "p": 1 / 256},
        "paired-rate": {"bytes_per_s": 20_000, "low_bytes_per_s": 19_000, "high_bytes_per_s": 21_000},
        "paired-control-at-once": {"factor": pytest.approx(8)},
        "paired-control-elsewhere": {"factor": 1.0},
    }


def test_what_is_clean_says_what_would_have_been_seen() -> None:
    clean = PairedFinding(answer=Answer.CLEAN, below_bytes_per_s=90_000.2, burst_bytes=81_920)
    assert [(one.code, dict(one.parameters)) for one in evidence_of(clean)] == [
        ("paired-seen-below", {"below_bytes_per_s": 90_000, "burst_bytes": 81_920})
    ]


@pytest.mark.parametrize("why", list(Why))
def test_what_is_inconclusive_says_why(why: Why) -> None:
    found = PairedFinding(answer=Answer.INCONCLUSIVE, why=why, below_bytes_per_s=9e4, burst_bytes=1)
    assert [one.code for one in evidence_of(found)] == [WHY_CODES[why]]


def test_every_statement_has_the_parameters_that_its_code_is_declared_with() -> None:
    frozen = PairedFinding(
        answer=Answer.FROZEN,
        frozen_after_bytes=18_000,
        carry_over=CarryOver(washed_out=0.1),
        why=Why.NOT_CONFIRMED,
    )
    stated = [*evidence_of(FOUND), *evidence_of(frozen)]
    assert len(stated) == 7
    for one in stated:
        assert set(one.parameters) == set(EVIDENCE[one.code].parameters)
