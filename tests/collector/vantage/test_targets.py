"""What the vantage measures: plans by what devices said, targets that mean something from elsewhere."""

import re
from pathlib import Path

from collector.vantage.targets import asked, choose, read_plans, targets_of
from firmware.model.record import Rung, Zone
from firmware.model.task import Task
from firmware.net.targets import TargetError
from firmware.plans.load import load
from firmware.worker import runner
from tests.needs import ROOT

GOOD = ROOT / "tests" / "data" / "plans" / "good.toml"


def test_the_plans_that_come_along_and_the_operators(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(GOOD.read_text())
    (tmp_path / "broken.toml").write_text("schema = 1")
    plans, faults = read_plans(tmp_path)
    assert {plan.country for plan in plans} >= {"ir", "zz", load(path=GOOD).country}
    assert len(faults) == 1
    assert "broken.toml" in faults[0]


def test_a_plan_is_found_by_its_label_and_else_by_its_country() -> None:
    plans, _ = read_plans(None)
    ir = load(country="ir")
    assert choose(plans, labels=[ir.label], countries_heard=[]).plans == (ir,)
    other = choose(plans, labels=["ir 2020-01-01"], countries_heard=["ir"])
    assert (other.plans, other.unknown) == ((ir,), ())


def test_an_operators_plan_goes_before_one_that_comes_along(tmp_path: Path) -> None:
    text = (ROOT / "firmware" / "plans" / "generic.toml").read_text()
    for name, day in (("a", "2026-01-02"), ("b", "2026-01-01")):
        (tmp_path / f"{name}.toml").write_text(
            re.sub(r"^revised = \S+$", f"revised = {day}", text, flags=re.MULTILINE)
        )
    plans, _ = read_plans(tmp_path)
    assert [plan.label for plan in choose(plans, labels=[], countries_heard=["zz"]).plans] == [
        "zz 2026-01-02"
    ]
    both = choose(plans, labels=["zz 2026-01-01"], countries_heard=["zz"])
    assert [plan.label for plan in both.plans] == ["zz 2026-01-01"]


def test_an_unknown_plan_is_said_and_nothing_is_measured_for_it() -> None:
    plans, _ = read_plans(None)
    chosen = choose(plans, labels=["qq 2026-01-01", ""], countries_heard=["qq"])
    assert (chosen.plans, chosen.unknown) == ((), ("qq 2026-01-01",))
    assert targets_of(chosen.plans) == ()


def test_every_far_target_is_measured_once_and_can_be_measured() -> None:
    plan = load(country="ir")
    targets = targets_of([plan, plan])
    far = [one for one in plan.targets if one.rung in (Rung.DOMESTIC, Rung.INTERNATIONAL, Rung.PLATFORMS)]
    assert [target.key.target_name for target in targets if target.in_rounds] == [one.name for one in far]
    neutral = {target.neutral_network for target in targets if target.neutral_network}
    assert len(neutral) >= 3
    for target in targets:
        task = Task(
            task_id="x",
            test=target.key.test,
            target=target.key.target,
            options=target.options,
            zone=Zone.INTERNATIONAL,
            start_boottime_ns=0,
            deadline_boottime_ns=0,
        )
        try:
            runner.parse(task)
        except TargetError as error:
            raise AssertionError(f"{target.key}: {error}") from error
    pages = [target for target in targets if target.key.test == "web_connectivity"]
    assert pages
    assert all(target.options["fetch"] is True for target in pages)


def test_a_look_at_one_page_takes_another_beside_it_whose_name_shows_how_the_resolver_is() -> None:
    targets = targets_of([load()])
    pages = [one.key.target_name for one in targets if one.in_rounds and one.key.test == "web_connectivity"]
    references = {one.key.target_name for one in targets if one.neutral_network and one.in_rounds}
    looked = {one.key.target_name for one in asked(targets, [pages[1]])}
    assert looked == {*references, pages[1], pages[0]}
    assert {one.key.target_name for one in asked(targets, pages[:2])} == {*references, *pages[:2]}
    other = next(one.key.target_name for one in targets if one.in_rounds and one.key.test == "tcp")
    assert {one.key.target_name for one in asked(targets, [other])} == {*references, other}
