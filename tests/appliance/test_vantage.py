"""What a device knows of the vantage: kept over a restart, never younger than it is, and never in the way."""

from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from appliance.vantage import NAME, NS, Now, VantageNewsStore
from firmware.judgement.site import vantage_json
from firmware.judgement.site.evidence import SecondView, SiteView, Stand, VantageSource
from firmware.model.failures import Failure
from firmware.plans.load import load
from firmware.wire.vantage_news import SecondTold, VantageNews, VantageView, decode_news, encode_news

PLAN = load(country="ir")
SITE = next(one for one in PLAN.targets if one.test == "web_connectivity")
HOUR = 3600 * NS
TOLD = 1_800_000_000 * NS
HERE = Now(boot_id="a", boottime_ns=5 * HOUR, utc_ns=TOLD + 99 * HOUR)  # a clock four days off


def news(
    failure: str | None = None, *, name: str = SITE.name, age_s: int = 0, told_utc_ns: int = TOLD
) -> bytes:
    view = SiteView(source=VantageSource.COLLECTOR, status=None if failure else 200, http_failure=failure)
    seen = VantageView(
        test=SITE.test,
        target=SITE.target,
        target_name=name,
        taken_utc_ns=TOLD - age_s * NS,
        failure=failure,
        failed_operation="connect" if failure else None,
        view=vantage_json.to_json(view),
    )
    return encode_news(VantageNews(told_utc_ns=told_utc_ns, seen=(seen,)))


def later(hours: float, *, boot_id: str = "a", boottime_ns: int | None = None) -> Now:
    past = round(hours * HOUR)
    boottime_ns = HERE.boottime_ns + past if boottime_ns is None else boottime_ns
    return Now(boot_id=boot_id, boottime_ns=boottime_ns, utc_ns=HERE.utc_ns + past)


def test_looks_from_elsewhere_are_known_with_their_age_and_unknown_stands_left_out(tmp_path: Path) -> None:
    told = decode_news(news(age_s=60))
    second = tuple(
        SecondTold(stand=stand, taken_utc_ns=TOLD - age_s * NS, failure=failure)
        for stand, age_s, failure in (
            ("second", 90, "connection_refused"),
            ("inside", 20, None),
            ("moon", 1, None),
        )
    )
    store = VantageNewsStore(tmp_path, PLAN)
    seen = tuple(replace(one, second=second) for one in told.seen)
    assert store.take(encode_news(replace(told, seen=seen)), HERE) == ""
    (view,) = store.views(later(1)).values()
    assert view.second == (
        SecondView(stand=Stand.SECOND, before_s=3_690.0, failure="connection_refused"),
        SecondView(stand=Stand.INSIDE, before_s=3_620.0),
    )


@pytest.mark.parametrize(("late_s", "age_s"), [(0, 60), (470, 530), (-5, 60), (901, 60), (99 * 3600, 60)])
def test_news_that_waited_in_a_connection_is_older_by_that(tmp_path: Path, late_s: int, age_s: int) -> None:
    """A link that was down keeps what was told meanwhile; a clock that is an hour fast tells nothing of that."""
    store = VantageNewsStore(tmp_path, PLAN)
    assert store.take(news(age_s=60), replace(HERE, utc_ns=TOLD + late_s * NS)) == ""
    (view,) = store.views(replace(HERE, utc_ns=TOLD + late_s * NS)).values()
    assert view.age_s == age_s


def test_before_any_news_there_is_no_vantage(tmp_path: Path) -> None:
    store = VantageNewsStore(tmp_path, PLAN)
    assert store.views(HERE) == {}


def test_news_is_kept_over_a_restart_with_its_age(tmp_path: Path) -> None:
    assert VantageNewsStore(tmp_path, PLAN).take(news(Failure.CONNECTION_REFUSED, age_s=60), HERE) == ""
    store = VantageNewsStore(tmp_path, PLAN)
    (view,) = store.views(later(2)).values()
    assert (view.http_failure, view.age_s) == (Failure.CONNECTION_REFUSED, 2 * 3600 + 60)


def test_news_is_read_when_it_comes_and_not_when_it_is_asked_for(tmp_path: Path) -> None:
    store = VantageNewsStore(tmp_path, PLAN)
    store.take(news(age_s=60), HERE)
    with mock.patch.object(vantage_json, "from_json", side_effect=AssertionError):
        ages_s = [view.age_s for hours in (0, 1) for view in store.views(later(hours)).values()]
    assert ages_s == [60, 3660]


def test_within_a_boot_a_wall_clock_that_steps_changes_no_age(tmp_path: Path) -> None:
    store = VantageNewsStore(tmp_path, PLAN)
    store.take(news(), HERE)
    stepped = Now(boot_id="a", boottime_ns=HERE.boottime_ns + HOUR, utc_ns=TOLD - 1000 * HOUR)
    assert [view.age_s for view in store.views(stepped).values()] == [3600]


def test_in_another_boot_it_is_at_least_as_old_as_that_boot(tmp_path: Path) -> None:
    store = VantageNewsStore(tmp_path, PLAN)
    store.take(news(), HERE)
    assert [one.age_s for one in store.views(later(30, boot_id="b", boottime_ns=HOUR)).values()] == [
        30 * 3600
    ]
    set_back = Now(boot_id="b", boottime_ns=7 * HOUR, utc_ns=0)
    assert [one.age_s for one in store.views(set_back).values()] == [7 * 3600]


@pytest.mark.parametrize("payload", [b"", b"nonsense", news()[:-3], news()[:20] + b"x" * 30])
def test_what_cannot_be_read_is_refused_and_the_last_stays(tmp_path: Path, payload: bytes) -> None:
    store = VantageNewsStore(tmp_path, PLAN)
    store.take(news(), HERE)
    assert "vantage news" in store.take(payload, later(1))
    assert [view.age_s for view in store.views(later(1)).values()] == [3600]
    assert [view.age_s for view in VantageNewsStore(tmp_path, PLAN).views(later(1)).values()] == [3600]


def test_a_view_of_another_form_refuses_the_whole(tmp_path: Path) -> None:
    seen = VantageView(
        test=SITE.test,
        target=SITE.target,
        target_name=SITE.name,
        taken_utc_ns=1,
        failure=None,
        failed_operation=None,
        view={"reachable": "yes"},
    )
    assert "reachable" in VantageNewsStore(tmp_path, PLAN).take(
        encode_news(VantageNews(told_utc_ns=1, seen=(seen,))), HERE
    )


def test_targets_that_the_plan_does_not_have_are_left_out(tmp_path: Path) -> None:
    store = VantageNewsStore(tmp_path, PLAN)
    assert store.take(news(name="somebody-elses"), HERE) == ""
    assert store.views(HERE) == {}


@pytest.mark.parametrize("text", ["", "{}", "[", '{"v":1,"payload":"!"}'])
def test_a_damaged_file_is_as_if_there_were_none(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    store = VantageNewsStore(tmp_path, PLAN)
    assert store.views(HERE) == {}
    assert store.take(news(), HERE) == ""


def test_a_disk_that_takes_nothing_stops_nothing(tmp_path: Path) -> None:
    store = VantageNewsStore(tmp_path / "gone", PLAN)
    assert store.take(news(), HERE) == ""
    assert len(store.views(HERE)) == 1


def test_news_that_was_told_before_what_is_known_is_refused_for_a_day(tmp_path: Path) -> None:
    store = VantageNewsStore(tmp_path, PLAN)
    store.take(news(Failure.TIMEOUT), HERE)
    held_back = news(told_utc_ns=TOLD - 1)
    assert "before what is known" in store.take(held_back, later(23))
    assert store.views(HERE)[SITE.name].http_failure == Failure.TIMEOUT
    assert store.take(held_back, later(25)) == ""
    assert store.take(news(told_utc_ns=TOLD), later(26)) == ""
