"""How fast a line is: by its own handshakes alone, the last ones, and never quick for want of them."""

from dataclasses import replace

from firmware.judgement.facts import Past
from firmware.judgement.ladder import Ladder
from firmware.judgement.pace import QUICK_NS, is_quick, usual_handshakes_ns
from firmware.model.failures import Failure
from firmware.model.record import Rung
from tests.firmware.rounds import S, many, past


def round_of(usual_s: float | None, *, age_s: float = 60) -> Past:
    """Return a round before this one in which reference targets answered after `usual_s`; None: nothing did."""
    usual_ns = None if usual_s is None else int(usual_s * S)
    found = past("controls-reached", age_s=age_s)
    rungs = tuple(
        replace(state, usual_ns=usual_ns, best_ns=usual_ns) if state.rung is Rung.INTERNATIONAL else state
        for state in found.ladder.rungs
    )
    return replace(found, ladder=Ladder(rungs=rungs))


def quick(*rounds: Past) -> bool:
    return is_quick(usual_handshakes_ns(rounds), ())


def test_a_line_of_which_nothing_is_known_is_not_quick() -> None:
    assert not quick()
    assert not quick(round_of(None))
    assert quick(round_of(0.1))
    assert not quick(round_of(2.0))


def test_the_last_three_rounds_with_an_answer_tell_and_the_slowest_of_them_counts() -> None:
    assert not quick(round_of(5.6), round_of(0.1), round_of(0.1))
    assert quick(round_of(5.6), round_of(0.1), round_of(0.1), round_of(0.1))
    assert quick(round_of(0.1), *[round_of(None)] * 40), "a long dark time tells nothing new of the line"


def test_what_is_older_than_an_hour_tells_nothing() -> None:
    assert not quick(round_of(0.1, age_s=3_601))


def test_this_round_counts_as_well_also_what_only_connected() -> None:
    known = usual_handshakes_ns([round_of(0.1)])
    assert is_quick((), many(Rung.DOMESTIC, 3))
    late = [replace(one, best_ns=6 * S) for one in many(Rung.DOMESTIC, 3)]
    assert not is_quick(known, late)
    timed_out = many(Rung.INTERNATIONAL, 3, Failure.TIMEOUT, operation="tls_handshake")
    assert not is_quick(known, [replace(one, best_ns=13 * S) for one in timed_out])
    assert is_quick(known, many(Rung.INTERNATIONAL, 3, Failure.TIMEOUT)), "silence is no slowness"


def test_an_older_record_has_its_best_time_for_it() -> None:
    before = round_of(0.1)
    rungs = tuple(replace(state, usual_ns=None) for state in before.ladder.rungs)
    assert usual_handshakes_ns([replace(before, ladder=Ladder(rungs=rungs))]) == (S // 10,)
    assert QUICK_NS == 2 * S
