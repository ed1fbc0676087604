"""Lets every rule be as sure as a test says, in place of the table that ships."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

from firmware.judgement.confidence import table
from firmware.judgement.confidence.table import Said, Sureness


@dataclass(frozen=True, slots=True, kw_only=True)
class EveryRule:
    """A table in which each rule of one speaker and certainty ("": of all) that claims something has one number, others 0.995."""

    probability: float
    speaker: str = ""
    certainty: str = ""

    def of(self, said: Said) -> Sureness | None:
        """Return it."""
        is_one = self.speaker in ("", said.speaker) and self.certainty in ("", said.certainty)
        number = self.probability if is_one else 0.995
        return Sureness(probability=number, countries=50) if said.of_class else None


@contextmanager
def every_rule_is(probability: float, *, speaker: str = "", certainty: str = "") -> Iterator[None]:
    """Have every rule be so sure within, or those of one speaker or certainty."""
    with mock.patch.object(
        table,
        "shipped",
        return_value=EveryRule(probability=probability, speaker=speaker, certainty=certainty),
    ):
        yield
