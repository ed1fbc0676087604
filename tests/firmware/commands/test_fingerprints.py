"""`tidegauge fingerprints` and the collector's: what loaded, what was left out and why, what two lists share."""

from pathlib import Path

import pytest
from click import Command
from click.testing import CliRunner, Result

from collector.command import collector
from firmware.commands.explain import explain
from firmware.commands.fingerprints import fingerprints
from firmware.judgement.fingerprints.load import COLUMNS

HEADER = ",".join(COLUMNS) + "\n"
DNS = (
    HEADER
    + "ooni.xx_1,nat,,dns,full,93.184.216.34,5,XX,ooni,,\nooni.xx_2,isp,,dns,full,192.0.2.2,3,XX,ooni,,\n"
)
HTTP = HEADER + "ooni.xx_1,isp,,body,contains,forbidden here,5,XX,ooni,,\ncl.br,br,,body,contains,no,5,,,,\n"


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """Return a directory with two lists that share a name, in one of which a row cannot be used."""
    (tmp_path / "fingerprints_dns-2026-11-20.csv").write_text(DNS)
    (tmp_path / "fingerprints_http-2026-11-20.csv").write_text(HTTP)
    return tmp_path


def run(command: Command, *words: str) -> Result:
    return CliRunner().invoke(command, list(words))


def test_each_list_with_its_rows_and_what_they_come_to_together(lists: Path) -> None:
    done = run(fingerprints, str(lists))
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[1][:2] == ["ir-2026-11-21.csv", "2026-11-21"]
    assert (rows[2][0], rows[2][1], rows[2][3:]) == (
        "fingerprints_dns-2026-11-20.csv", "2026-11-20", ["2", "1", "0"]
    )  # fmt: skip
    assert (rows[3][0], rows[3][3:]) == ("fingerprints_http-2026-11-20.csv", ["1", "1", "1"])
    assert "together 9 fingerprints" in done.stdout
    assert (
        "ooni.xx_1 is another in fingerprints_dns-2026-11-20.csv (dns) than in "
        "fingerprints_http-2026-11-20.csv (body): both count"
    ) in done.stdout


def test_a_name_that_stands_twice_in_one_list_is_said(tmp_path: Path) -> None:
    file = tmp_path / "http.csv"
    file.write_text(
        HEADER + "cp.a,fp,,body,contains,Default page,5,,,,\ncp.a,fp,,header.location,prefix,http://a,5,,,,\n"
    )
    done = run(fingerprints, str(file))
    assert done.exit_code == 0
    assert "cp.a stands for two patterns in http.csv (body, header.location): both count" in done.stdout


def test_a_row_that_is_left_out_is_named_and_ends_with_1(lists: Path) -> None:
    done = run(fingerprints, str(lists / "fingerprints_http-2026-11-20.csv"))
    assert done.exit_code == 1
    assert "fingerprints_http-2026-11-20.csv: line 3: scope: found 'br'; allowed are nat, isp" in done.stderr


def test_lists_that_can_be_used_whole_end_with_0(lists: Path) -> None:
    done = run(fingerprints, str(lists / "fingerprints_dns-2026-11-20.csv"))
    assert (done.exit_code, done.stderr) == (0, "")
    assert run(fingerprints).exit_code == 0


def test_the_same_row_in_two_lists_is_said(lists: Path) -> None:
    (lists / "fingerprints_http-2026-11-20.csv").unlink()
    (lists / "later.csv").write_text(DNS)
    told = run(fingerprints, str(lists)).stdout
    assert "together 8 fingerprints" in told
    assert (
        "ooni.xx_1 (dns) is the same in fingerprints_dns-2026-11-20.csv and later.csv: the row of later.csv counts"
        in told
    )


def test_a_file_that_cannot_be_read_ends_with_2(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        done = run(fingerprints, str(path))
        assert done.exit_code == 2
        assert str(path) in done.stderr


def test_the_collector_shows_which_lists_it_goes_by(lists: Path, tmp_path: Path) -> None:
    settings = tmp_path / "collector.toml"
    settings.write_text(f'fingerprints = "{lists}"\n')
    done = run(collector, "--config", str(settings), "fingerprints")
    assert done.exit_code == 1
    assert "together 9 fingerprints" in done.stdout
    assert "line 3: scope: found 'br'" in done.stderr
    assert "together 6 fingerprints" in run(collector, "fingerprints").stdout
    assert run(collector, "fingerprints", str(tmp_path / "none.csv")).exit_code == 2


def test_explain_goes_by_a_list_and_names_it(lists: Path) -> None:
    page = Path(__file__).parents[2] / "data" / "ooni" / "success_http.json"
    word = run(explain, str(page)).stdout
    assert "blocked" not in word
    body = lists / "mine-2026-11-21.csv"
    body.write_text(HEADER + "mine.1,nat,,header.alt-svc,contains,h3,5,XX,me,,\n")
    told = run(explain, "--fingerprints", str(body), str(page)).stdout
    assert "of the list mine-2026-11-21.csv of 2026-11-21 (" in told
