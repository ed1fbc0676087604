"""`tidegauge plan`: what an operator sees, and that a broken plan ends it with 2."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from firmware.commands.plan import plan
from firmware.plans.load import load

DATA = Path(__file__).parents[2] / "data"


def test_show_prints_every_target_with_its_network_and_source() -> None:
    result = CliRunner().invoke(plan, ["show", "ir"])
    assert result.exit_code == 0
    ir = load(country="ir")
    lines = result.output.splitlines()
    for target in ir.targets:
        (line,) = [line for line in lines if line.split()[:2] == [str(target.rung), target.name]]
        assert target.target in line
        assert target.source in line
        assert str(target.network or "") in line
    assert all(task.source in result.output for task in ir.tasks)


def test_check_sums_up() -> None:
    result = CliRunner().invoke(plan, ["check", str(DATA / "plans" / "good.toml")])
    assert result.exit_code == 0
    assert result.output.startswith("OK  ")
    assert "international   3 targets in 3 unrelated networks, 3 asked by tls or http" in result.output
    assert "about 19,300 of 100,000 bytes" in result.output


@pytest.mark.parametrize("arguments", [[], ["ir"], ["IR"], ["zz"]])
def test_the_plans_that_ship_pass(arguments: list[str]) -> None:
    assert CliRunner().invoke(plan, ["check", *arguments]).exit_code == 0


@pytest.mark.parametrize("command", ["show", "check"])
def test_a_broken_plan_ends_with_2_and_every_fault(command: str) -> None:
    path = DATA / "broken_plans" / "six_faults.toml"
    result = CliRunner().invoke(plan, [command, str(path)])
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 7
    assert all(line.startswith(f"{path}:") for line in lines[:6])
    assert lines[6] == "6 faults; nothing was started."


def test_an_unknown_country_ends_with_2() -> None:
    result = CliRunner().invoke(plan, ["show", "xx"])
    assert result.exit_code == 2
    assert "one of ir, zz (generic)" in result.stderr
