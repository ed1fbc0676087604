"""Times as they are shown never claim more than is known."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from collector.page import language, times
from collector.page.times import NS_PER_S, Moment
from tests.english import ENGLISH

_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}


@given(st.integers(0, 2**63 - 1))
def test_an_error_is_never_understated(error_ns: int) -> None:
    amount, unit = times.error_bound(error_ns, ENGLISH).split(" ")
    shown_s = int(amount.replace(",", "")) * _UNITS[unit]
    assert shown_s * NS_PER_S >= error_ns
    assert shown_s >= 1


@given(st.integers(0, 2**62))
def test_a_duration_is_rounded_down_by_less_than_its_smallest_unit_shown(ns: int) -> None:
    parts = times.duration(ns, ENGLISH).split(" ")
    shown_s = sum(
        int(amount.replace(",", "")) * _UNITS[unit]
        for amount, unit in zip(parts[::2], parts[1::2], strict=True)
    )
    slack_s = {"s": 1, "min": 60, "h": 60, "d": 3600}[parts[1]]
    assert 0 <= ns / NS_PER_S - shown_s < slack_s + 1e-3 * shown_s


def test_durations_as_people_say_them() -> None:
    seconds = {0: "0 s", 59: "59 s", 60: "1 min", 7860: "2 h 11 min", 3600: "1 h", 273_600: "3 d 4 h"}
    assert {s: times.duration(s * NS_PER_S, ENGLISH) for s in seconds} == seconds
    assert times.duration(-5, ENGLISH) == "0 s"


def test_a_moment_is_utc_to_the_second() -> None:
    moment = Moment(ns=1_794_760_327_999_999_999)
    assert (moment.iso, moment.clock, moment.date) == ("2026-11-15T16:32:07Z", "16:32:07", date(2026, 11, 15))
    assert (language.day(moment.date, "en"), language.short_day(moment.date, "en")) == (
        "15 Nov 2026",
        "15 Nov",
    )
    assert times.iso_ns(moment.ns) == "2026-11-15T16:32:07.999999999Z"


def test_an_unsynchronised_clock_is_said_in_words_whatever_its_error() -> None:
    for error_ns in (None, 4_000):
        assert "not synchronised" in times.error_words("unsynchronised", error_ns, ENGLISH)
    assert times.error_words("synchronised", 3_200_000_000, ENGLISH) == "± 4 s"
    assert "unknown" in times.error_words("synchronised", None, ENGLISH)


def test_how_long_a_measurement_took() -> None:
    took = [times.took(ns, ENGLISH) for ns in (310_000, 22_400_000, 20_000_000_000)]
    assert took == ["0.3 ms", "22 ms", "20.0 s"]
