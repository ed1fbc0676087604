"""What the page says of one target: an accusation that is not sure is not said as one."""

from collector.page.site_lines import _line
from firmware.judgement.site.verdict import WebJudgement
from firmware.model.record import Verdict
from tests.english import ENGLISH


def meaning(confidence: str) -> str:
    judgement = WebJudgement(
        verdict=Verdict(verdict="blocked_tls", rule_id="innocuous-name-unseen"),
        confidence=confidence,
        step="tls",
    )
    return _line("x", "https://x.com/", judgement, vantage="", translator=ENGLISH).meaning


def test_an_accusation_of_low_confidence_says_first_that_it_is_not_sure() -> None:
    assert meaning("low").startswith("This is not sure")
    assert meaning("low").endswith(meaning("high"))
    assert "not sure" not in meaning("high")
