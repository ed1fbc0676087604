"""A page round after round on a line with losses of its own: worlds that are free, and worlds with a censor in them.

What becomes of each handshake is drawn from the world; what may be said follows from that alone.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.judgement.facts import Past
from firmware.judgement.line_loss import (
    EXCESS,
    ReferenceHandshakes,
    RoundTries,
    TargetTries,
    excess,
    handshakes_from_json,
    is_clean,
    tries_from_json,
)
from firmware.judgement.round.verdict import RoundJudgement, judge_round
from firmware.judgement.site.evidence import (
    MOST_LOOKS,
    Connect,
    HandshakeEvidence,
    Looked,
    Lookup,
    SiteView,
    VantageSource,
    WebEvidence,
)
from firmware.model.failures import Failure
from firmware.model.jsontypes import JsonValue
from firmware.model.record import Rung
from tests.firmware.rounds import many, near, past, seen

NAME, HOST, ADDRESS = "platforms-1", "www.social.example", "93.184.216.34"
OTHER = "www.quiet.example"
REFERENCES = 5
EVERY_S = 60.0
SWEEP_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A line on which a handshake runs out of time with `loss`, a censor and a server who fail the page's name so often.

    `resent` is the share of the handshakes which got through and needed a packet sent again.
    """

    loss: float = 0.0
    resent: float = 0.0
    censor: float = 0.0
    server: float = 0.0
    failure: Failure = Failure.CONNECTION_RESET

    def handshake(self, chance: random.Random, name: str) -> str | None:
        """Return what becomes of one handshake by `name`."""
        if chance.random() < self.loss:
            return Failure.TIMEOUT
        stops = chance.random() < self.censor or chance.random() < self.server
        return self.failure if name == HOST and stops else None

    def journey(self, chance: random.Random) -> WebEvidence:
        """Return the page's measurement, tried as `firmware.protocols.web_endpoint` does."""
        tried = [own := self._tried(chance, HOST)]
        if own.failure is not None:
            tried.append(beside := replace(self._tried(chance, OTHER), is_control=True))
            if own.failure == Failure.TIMEOUT and beside.failure is None:
                tried.append(self._tried(chance, HOST))
        return WebEvidence(
            url=f"https://{HOST}/",
            lookups=(Lookup(hostname=HOST, resolver="@system", addresses=(ADDRESS,)),),
            connects=(Connect(address=ADDRESS, port=443),),
            handshakes=tuple(tried),
        )

    def _tried(self, chance: random.Random, name: str) -> HandshakeEvidence:
        return HandshakeEvidence(address=ADDRESS, server_name=name, failure=self.handshake(chance, name))

    def look(self, chance: random.Random) -> SiteView:
        """Return what the vantage finds, on a line without loss."""
        failure = self.failure if chance.random() < self.server else None
        return SiteView(
            source=VantageSource.COLLECTOR,
            addresses=(ADDRESS,),
            connects={f"{ADDRESS}:443": None},
            handshakes={f"{ADDRESS}:443": failure},
            http_failure=failure,
            status=None if failure else 200,
        )


def played(world: World, *, seed: int, rounds: int, sweep_s: float = SWEEP_S) -> Iterator[RoundJudgement]:
    """Yield what is said of each round. The vantage looks every `sweep_s`, and the device has its last look."""
    chance = random.Random(seed)
    history: list[tuple[float, Past]] = []
    looks: list[tuple[float, SiteView]] = []
    for number in range(1, rounds + 1):
        now_s = number * EVERY_S
        while not looks or looks[-1][0] + sweep_s <= now_s:
            looks.append((looks[-1][0] + sweep_s if looks else 0.0, world.look(chance)))
        journey = world.journey(chance)
        pages = {NAME: journey}
        last = journey.handshakes[-1].failure
        failed = (
            None if last is None and not journey.handshakes[-1].is_control else journey.handshakes[0].failure
        )
        references = [
            replace(
                seen(f"ref-{one}", Rung.INTERNATIONAL, world.handshake(chance, OTHER)),
                retransmitted=chance.random() < world.resent,
            )
            for one in range(REFERENCES)
        ]
        judged = judge_round(
            [
                *near(),
                *many(Rung.DOMESTIC, 4),
                *references,
                seen(NAME, Rung.PLATFORMS, failed, operation="tls_handshake", test="web_connectivity"),
            ],
            [replace(one, age_s=now_s - ended_s) for ended_s, one in history][-150:],
            pages=pages,
            views={NAME: view_of(looks, now_s)},
        )
        history.append(
            (now_s, replace(past("played"), targets=judged.targets, references=judged.facts.references))
        )
        yield judged


def view_of(looks: list[tuple[float, SiteView]], now_s: float) -> SiteView:
    """Return the vantage's last news, with how often it had found the same."""
    taken_s, view = looks[-1]
    earlier = []
    for at_s, one in reversed(looks[:-1]):
        if one.http_failure != view.http_failure:
            break
        earlier.append(taken_s - at_s)
    return replace(view, age_s=now_s - taken_s, looked=Looked.BEFORE, earlier_s=tuple(earlier[:MOST_LOOKS]))


def accusations(told: Iterator[RoundJudgement]) -> list[int]:
    """Return the rounds whose headline, or whose word on the page that is not weak, accuses."""
    return [
        number
        for number, one in enumerate(told, 1)
        if one.verdict.verdict.startswith("blocked")
        or any(target.verdict.startswith("blocked") and target.confidence != "low" for target in one.targets)
    ]


FREE = {
    "loss-of-a-tenth": World(loss=0.1, resent=0.5),
    "loss-of-a-quarter": World(loss=0.25, resent=0.8),
    "loss-of-half": World(loss=0.5, resent=0.9),
    "server-resets-its-name-for-all": World(server=1.0),
    "server-resets-its-name-now-and-then": World(server=0.3),
    "server-is-silent-now-and-then": World(server=0.3, failure=Failure.TIMEOUT),
    "lossy-line-and-flaky-server": World(loss=0.2, resent=0.7, server=0.2),
}


@pytest.mark.parametrize("world", FREE.values(), ids=FREE)
def test_a_free_line_accuses_nobody_however_often_one_looks(world: World) -> None:
    for seed in range(2):
        assert accusations(played(world, seed=seed, rounds=300)) == []


@pytest.mark.parametrize(
    ("world", "within"),
    [
        (World(censor=1.0), 22),
        (World(censor=1.0, failure=Failure.TIMEOUT), 22),
        (World(censor=1.0, failure=Failure.TIMEOUT, loss=0.1, resent=0.5), 40),
    ],
    ids=["resets", "silence", "silence-on-a-lossy-line"],
)
def test_what_is_always_stopped_is_said_after_two_sweeps(world: World, within: int) -> None:
    for seed in range(3):
        found = accusations(played(world, seed=seed, rounds=60))
        assert min(found, default=999) <= within, seed


def test_resets_in_three_of_ten_handshakes_are_found_over_the_rounds() -> None:
    """One round alone is `seen-once`, and two in a row are what a server gives that fails now and then for everyone."""
    for seed in range(3):
        found = accusations(played(World(censor=0.3), seed=seed, rounds=360))
        assert min(found, default=999) <= 300, seed


def tries(target: TargetTries, references: ReferenceHandshakes, age_s: float = 0.0) -> RoundTries:
    return RoundTries(age_s=age_s, target=target, references=references)


FAILED = TargetTries(own=1, own_failed=1, beside=1)
PASSED = TargetTries(own=1)
WELL = ReferenceHandshakes(tried=5)


class TestExcess:
    """The count over rounds."""

    def test_a_failure_of_all_alike_says_nothing(self) -> None:
        all_failed = ReferenceHandshakes(tried=5, failed=5, timed_out=5)
        alone = TargetTries(own=1, own_failed=1)
        assert excess([tries(alone, all_failed)] * 50).ratio == 1.0
        assert excess([tries(PASSED, WELL)] * 50).ratio == 1.0

    def test_failures_of_the_target_alone_add_up_and_others_take_away(self) -> None:
        some = excess([tries(FAILED, WELL)] * 3)
        assert 1.0 < some.ratio < EXCESS
        assert excess([tries(FAILED, WELL)] * 12).is_beyond_loss
        others = ReferenceHandshakes(tried=5, failed=2, timed_out=2)
        assert excess([*[tries(FAILED, WELL)] * 3, tries(PASSED, others)]).ratio < some.ratio

    def test_it_says_since_when_and_how_often(self) -> None:
        rounds = [
            tries(PASSED, WELL, 400.0),
            tries(FAILED, WELL, 300.0),
            tries(PASSED, WELL, 200.0),
            tries(FAILED, WELL, 100.0),
        ]
        found = excess(rounds)
        assert found.since_s == 300.0
        assert (found.rounds, found.failed) == (3, 2)

    @given(st.floats(0.01, 0.9), st.integers(0, 2**32))
    @settings(max_examples=60, deadline=None)
    def test_a_line_that_fails_all_alike_is_not_beyond_itself(self, loss: float, seed: int) -> None:
        chance = random.Random(seed)

        def lost(count: int) -> int:
            return sum(chance.random() < loss for _ in range(count))

        rounds = [
            tries(
                TargetTries(own=2, own_failed=lost(2), beside=1, beside_failed=lost(1)),
                ReferenceHandshakes(tried=5, failed=lost(5)),
            )
            for _ in range(150)
        ]
        assert max(excess(rounds[: length + 1]).ratio for length in range(0, 150, 10)) < EXCESS

    def test_the_mean_of_a_factor_is_one_under_the_line(self) -> None:
        """What the bound rests on: by the exact chances of a line that fails each try alike."""
        for loss in (0.05, 0.3, 0.7):
            assert mean_factor(lambda odds: odds, loss) <= 1.0 + 1e-9
            # A target twice as prone to it is still explained.
            assert mean_factor(lambda odds: 2 * odds, loss) <= 1.0 + 1e-9


def mean_factor(of_target: Callable[[float], float], loss: float) -> float:
    """Return the mean of one round's factor, where the target's odds are `of_target` of the others'."""
    odds = of_target(loss / (1 - loss))
    own_loss = odds / (1 + odds)
    total = 0.0
    for own in range(3):
        for others in range(7):
            likely = binomial(own, 2, own_loss) * binomial(others, 6, loss)
            one = tries(
                TargetTries(own=2, own_failed=own, beside=1, beside_failed=int(others == 6)),
                ReferenceHandshakes(tried=5, failed=min(others, 5)),
            )
            before = [tries(FAILED, WELL)] * 12
            factor = excess([*before, one]).ratio / excess(before).ratio
            total += likely * factor
    return total


def binomial(count: int, tried: int, share: float) -> float:
    return math.comb(tried, count) * share**count * (1 - share) ** (tried - count)


def test_a_line_is_clean_only_where_enough_was_tried_and_hardly_any_lost() -> None:
    assert not is_clean([WELL])
    assert is_clean([WELL, WELL])
    assert not is_clean([WELL, replace(WELL, resent=2)])
    assert not is_clean([WELL, replace(WELL, failed=2, timed_out=2)])


def test_the_counts_survive_json_and_damage_says_nothing() -> None:
    lost = ReferenceHandshakes(tried=5, failed=2, timed_out=1, resent=3)
    assert handshakes_from_json(lost.to_json()) == lost
    assert tries_from_json(FAILED.to_json()) == FAILED
    for damaged in cast(
        "list[JsonValue]",
        [None, [], [1, 2, 0, 0], [5, 1, 1], ["1", 0, 0, 0], [-1, -1, 0, 0], [True, 0, 0, 0]],
    ):
        assert handshakes_from_json(damaged) == ReferenceHandshakes()
        assert tries_from_json(damaged) == TargetTries()
