"""What the device page says of single sites: a round's platforms, pages beside the rounds, and by which fingerprints."""

from dataclasses import dataclass
from typing import Final

from collector.page import times
from collector.store.queries import Queries
from collector.vantage.judging import Judging
from collector.vantage.surroundings import Surroundings
from firmware.judgement.fingerprints.lists import Lists
from firmware.judgement.site.evidence import SiteView
from firmware.judgement.site.verdict import WebJudgement
from firmware.language.translator import Translator
from firmware.model.statement import Statement
from firmware.model.verdict_words import BLOCKED

BESIDE_SHOWN: Final = 12
"""Each page beside the rounds takes two rounds to be judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetLine:
    """One site in a table of the device page: the collector's verdict on it, and by which vantage. `at` is None in a round."""

    name: str
    target: str
    verdict: str
    meaning: str
    rule_id: str
    evidence: tuple[str, ...]
    vantage: str
    at: times.Moment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sites:
    """All that is said of single sites. `lists` is a sentence where lists of fingerprints were brought, else ""."""

    targets: list[TargetLine]
    beside: list[TargetLine]
    lists: str


class SiteLines:
    """The lines, from one store. Raises `StoreError`."""

    def __init__(self, queries: Queries, lists: Lists) -> None:
        self._queries = queries
        self._lists = lists
        self._judging = Judging(queries, lists.fingerprints)

    def of(self, device: str, until: tuple[str, int] | None, translator: Translator) -> Sites:
        """Return what is said of the device's last round up to `until`, and for None of its pages as they were seen last."""
        judged = self._judging.round(device, until=until)
        theirs = () if judged is None else judged.device_lists
        return Sites(
            targets=[]
            if judged is None
            else [
                _line(
                    one.row.target_name,
                    one.row.target,
                    one.judgement,
                    vantage=_vantage(one.vantage, one.why_no_vantage, translator),
                    translator=translator,
                )
                for one in judged.targets
            ],
            beside=[] if until is not None else self._beside(device, translator),
            lists=_lists(self._lists.labels, theirs, translator),
        )

    def _beside(self, device: str, translator: Translator) -> list[TargetLine]:
        surroundings = Surroundings(self._queries, self._lists.fingerprints)
        return [
            _line(
                one.row.target_name,
                one.row.target,
                one.judgement,
                vantage=_vantage(one.found.view, one.found.why_no_vantage, translator),
                translator=translator,
                at=times.by_device(
                    one.row.start.utc_ns, one.row.start.quality, one.row.start.error_ns, translator
                ),
            )
            for one in surroundings.beside(device, BESIDE_SHOWN)
        ]


def _lists(ours: tuple[str, ...], theirs: tuple[str, ...], translator: Translator) -> str:
    if not ours and not theirs:
        return ""
    none = translator.say("page.lists_none")
    return translator.say("page.lists", ours=", ".join(ours) or none, theirs=", ".join(theirs) or none)


def _line(
    name: str,
    target: str,
    judgement: WebJudgement,
    *,
    vantage: str,
    translator: Translator,
    at: times.Moment | None = None,
) -> TargetLine:
    verdict = judgement.verdict
    meaning = translator.say(f"verdict.{verdict.verdict}.meaning")
    if judgement.confidence == "low" and verdict.verdict in BLOCKED:
        meaning = translator.say("page.target_not_sure", meaning=meaning)
    return TargetLine(
        name=name,
        target=target,
        verdict=verdict.verdict,
        meaning=meaning,
        rule_id=verdict.rule_id,
        evidence=translator.evidence(verdict.evidence),
        vantage=vantage,
        at=at,
    )


def _vantage(view: SiteView | None, why: Statement | None, translator: Translator) -> str:
    if view is None:
        return "" if why is None else translator.state("no-vantage", why)
    if not view.reachable:
        return translator.say("page.target_vantage_unreachable")
    age = times.duration(round(view.age_s * times.NS_PER_S), translator)
    return translator.say("page.target_vantage_age", duration=age)
