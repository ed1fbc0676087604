"""The ladder laid out: what is a column, what is a gap, and what each says in words."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from collector.page import matrix
from collector.page.times import NS_PER_S
from collector.store.answers import RoundRow
from collector.store.history import MissedRounds, Rounds, StoredRound
from firmware.judgement.ladder import Ladder, RungProgress, RungState
from firmware.model.record import ClockQuality, ClockReading, Outcome, Record, Rung, Zone
from firmware.model.seqs import SeqRanges
from firmware.model.statement import Statement, prose, stated
from tests.english import ENGLISH

_START_NS = 1_794_760_327 * NS_PER_S
_DEVICE = "k3v9q2m7x1c8n5p4"
_EPOCH = "9f1c04d27ab35e68"


def _state(rung: Rung, reached: int = 2, tried: int = 2, failures: tuple[str, ...] = ()) -> RungState:
    state = (
        RungProgress.REACHED if reached == tried else RungProgress.PARTLY if reached else RungProgress.FAILED
    )
    return RungState(
        rung=rung, state=state, reached=reached, tried=tried, waiting=0, best_ns=None, failures=failures
    )


def _round(
    seq: int, at_s: float, *, boot: str = "boot", error_ns: int | None = 1_000, **rungs: RungState
) -> StoredRound:
    utc_ns = _START_NS + int(at_s * NS_PER_S)
    record = Record(
        boot_id=boot,
        test="ladder",
        test_version="1",
        target="",
        zone=Zone.LOCAL,
        slot_boottime_ns=0,
        start=ClockReading(
            boottime_ns=int(at_s * NS_PER_S) + 10**12,
            utc_ns=utc_ns,
            quality=ClockQuality.SYNCHRONISED if error_ns is not None else ClockQuality.UNSYNCHRONISED,
            error_ns=error_ns,
        ),
        runtime_ns=0,
        outcome=Outcome(),
    )
    row = RoundRow(
        device=_DEVICE,
        epoch=_EPOCH,
        seq=seq,
        boot_id=boot,
        round_id=seq,
        start_utc_ns=utc_ns,
        clock_quality=str(record.start.quality),
        clock_error_ns=error_ns,
        verdict="ok",
        rule_id="controls-reached",
        body="",
    )
    states = tuple(rungs.get(str(rung), _state(rung)) for rung in Rung)
    return StoredRound(row=row, record=record, ladder=Ladder(rungs=states))


def _rounds(*rounds: StoredRound, missed: tuple[MissedRounds, ...] = ()) -> Rounds:
    return Rounds(device=_DEVICE, rounds=rounds, missed=missed, before=None)


def made_of(
    found: Rounds,
    missing: Mapping[str, SeqRanges],
    *,
    silence: tuple[int, int] | None = None,
    brief: bool = False,
) -> matrix.Matrix:
    return matrix.of(found, missing, ENGLISH, silence=silence, brief=brief)


def _kinds(made: matrix.Matrix) -> str:
    return "".join("·" if column.gap else "#" for column in made.columns)


def test_rounds_at_their_ordinary_spacing_are_neighbours() -> None:
    made = made_of(_rounds(*(_round(n, n * 300) for n in range(1, 6))), {})
    assert _kinds(made) == "#####"
    assert made.rounds == 5


def test_a_faster_cadence_and_back_is_no_gap() -> None:
    at = [0, 300, 360, 420, 480, 780, 1080]
    assert _kinds(made_of(_rounds(*(_round(n, s) for n, s in enumerate(at, 1))), {})) == "#######"


def test_hours_between_two_rounds_are_a_gap_that_says_how_long() -> None:
    made = made_of(_rounds(_round(1, 0), _round(2, 300), _round(3, 300 + 7860), _round(4, 8460)), {})
    assert _kinds(made) == "##·##"
    assert made.columns[2].gap == "2 h 11 min"
    assert "No round here between 16:37:07 and 18:48:07 UTC" in made.columns[2].title


OLDER = prose("the day's budget of bytes was spent")


def _missed(
    seq: int, at_s: float, *, count: int = 1, boot: str = "boot", reason: Statement = OLDER
) -> MissedRounds:
    return MissedRounds(
        epoch=_EPOCH,
        seq=seq,
        boot_id=boot,
        boottime_ns=int(at_s * NS_PER_S) + 10**12,
        start_utc_ns=0,
        count=count,
        reason=reason,
        due=ClockReading(boottime_ns=0, utc_ns=0, quality=ClockQuality.UNSYNCHRONISED),
    )


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (OLDER, "the day's budget of bytes was spent"),
        (stated("budget"), "the bytes of the day were spent"),
        (prose("budget"), "the bytes of the day were spent"),
        (prose("worker-ended"), "worker-ended"),
        (stated("not-stored", message="disk full"), "measured, and not stored: disk full"),
    ],
)
def test_missed_rounds_are_a_gap_with_the_devices_own_reason_however_short(
    reason: Statement, words: str
) -> None:
    found = _rounds(_round(10, 0), _round(20, 60), missed=(_missed(15, 30, count=2, reason=reason),))
    made = made_of(found, {})
    assert _kinds(made) == "#·#"
    assert f"missed 2 rounds: {words}." in made.columns[1].title


def test_each_reason_of_a_gap_is_said_once() -> None:
    reasons = (stated("budget"), stated("running"), prose("budget"))
    missed = tuple(_missed(11 + n, 10 + n, reason=reason) for n, reason in enumerate(reasons))
    made = made_of(_rounds(_round(10, 0), _round(20, 60), missed=missed), {})
    running = "what the slot before had started was still under way"
    assert f"missed 3 rounds: the bytes of the day were spent; {running}." in made.columns[1].title


def test_a_round_missed_while_another_was_measured_stands_after_that_other() -> None:
    found = _rounds(_round(10, 0), _round(20, 60), _round(30, 180), missed=(_missed(19, 120),))
    assert _kinds(made_of(found, {})) == "##·#"


def test_over_a_restart_missed_rounds_are_placed_by_their_seq() -> None:
    first, second = _round(10, 0), _round(20, 60, boot="b")
    assert _kinds(made_of(_rounds(first, second, missed=(_missed(15, 10**6, boot="b"),)), {})) == "#·#"


def test_records_that_have_not_arrived_explain_a_gap_and_do_not_make_one() -> None:
    missing = {_EPOCH: SeqRanges(((12, 14), (25, 26)))}
    found = _rounds(_round(10, 0), _round(20, 300), _round(30, 900), _round(40, 1200))
    made = made_of(found, missing)
    assert _kinds(made) == "##·##"
    assert "2 records have not arrived" in made.columns[2].title


def test_within_a_boot_the_boot_clock_decides_whatever_the_wall_clock_was_set_to() -> None:
    stepped = _round(2, 300)
    stepped = replace(stepped, row=replace(stepped.row, start_utc_ns=stepped.row.start_utc_ns + 10**18))
    assert _kinds(made_of(_rounds(_round(1, 0), stepped, _round(3, 600)), {})) == "###"


def test_no_clock_can_tell_the_time_over_a_restart_without_synchronisation() -> None:
    made = made_of(_rounds(_round(1, 0), _round(2, 5, boot="another", error_ns=None)), {})
    assert _kinds(made) == "#·#"
    assert made.columns[1].gap == "unknown time"
    assert "restarted" in made.columns[1].title


def test_a_quick_restart_is_no_gap() -> None:
    assert _kinds(made_of(_rounds(_round(1, 0), _round(2, 300), _round(3, 600, boot="b")), {})) == "###"


def test_silence_until_now_is_a_gap_at_the_end() -> None:
    made = made_of(_rounds(_round(1, 0)), {}, silence=(_START_NS, _START_NS + 7860 * NS_PER_S))
    assert _kinds(made) == "#·"
    assert made.columns[-1].gap == "2 h 11 min"
    assert _kinds(made_of(_rounds(), {}, silence=(0, 1))) == ""


@pytest.mark.parametrize(
    ("reached", "state"), [(2, RungProgress.REACHED), (1, RungProgress.PARTLY), (0, RungProgress.FAILED)]
)
def test_a_cell_says_in_words_what_its_shape_says(reached: int, state: RungProgress) -> None:
    failures = ("news: connect: generic_timeout_error", "bank: connect: connection_reset")[reached:]
    one = _round(1, 0, domestic=_state(Rung.DOMESTIC, reached, failures=failures))
    cell = made_of(_rounds(one), {}).columns[0].cells[list(Rung).index(Rung.DOMESTIC)]
    assert cell.state == state
    assert f"{reached}/2" in cell.text
    assert all(failure in cell.title for failure in failures)
    assert bool(failures) == ("16:32:07 UTC. Domestic" in cell.title)


def test_in_brief_failures_are_counted_by_kind() -> None:
    failures = ("a: connect: eof_error", "b: generic_timeout_error", "c: connect: generic_timeout_error")
    one = _round(1, 0, platforms=_state(Rung.PLATFORMS, 0, 3, failures))
    cell = made_of(_rounds(one), {}, brief=True).columns[0].cells[-1]
    assert cell.title == "Platforms failed 0/3: 2 × generic_timeout_error + 1 more"


def test_an_unmeasured_and_a_pending_rung_differ() -> None:
    unknown = replace(_state(Rung.LINK, 0, 0), state=RungProgress.UNKNOWN)
    pending = replace(_state(Rung.ADDRESS, 0, 1), state=RungProgress.PENDING)
    cells = made_of(_rounds(_round(1, 0, link=unknown, address=pending)), {}).columns[0].cells
    assert [(cell.state, cell.text) for cell in cells[:2]] == [
        ("unknown", "not measured"),
        ("pending", "not in yet"),
    ]


def test_ticks_count_from_the_newest_and_name_the_day_where_it_changes() -> None:
    columns = made_of(_rounds(*(_round(n, n * 3600) for n in range(1, 20))), {}).columns
    ticks = [index for index, column in enumerate(columns) if column.tick]
    assert ticks == [0, 6, 12, 18]
    assert [columns[index].dated for index in ticks] == [True, False, True, True]


def test_strips_hold_every_column_once_the_newest_strip_first() -> None:
    whole = made_of(_rounds(*(_round(n, n * 300) for n in range(1, 101))), {})
    strips = matrix.strips(whole, 48)
    assert [len(strip.columns) for strip in strips] == [48, 48, 4]
    joined = [column.at for strip in reversed(strips) for column in strip.columns]
    assert joined == [column.at for column in whole.columns]
    assert all(strip.columns[-1].dated for strip in strips)
