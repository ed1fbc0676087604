"""The how-to about identities: its commands, in its order, do what it says."""

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from appliance.identity.command import identity
from provisioning.command import provision
from tests.needs import ROOT

PAGE = ROOT / "docs" / "how-to" / "provision.md"
GROUPS: dict[str, click.Group] = {"provision": provision, "identity": identity}


def lines() -> list[list[str]]:
    """Return the page's `tidegauge` commands, as words."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    every = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    return [words for words in every if words and words[0] == "tidegauge"]


def test_every_command_of_the_page_works_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = 0
    for _, group, *words in lines():
        if "--watch" in words:
            words.remove("--watch")
        # A second device's certificate goes into a directory of its own, and its card is here.
        here = ["second-device" if "--device" in words and word == "new-device" else word for word in words]
        if "--data" in words:
            here = ["second-device" if word == "new-device" else word for word in here]
            here[-1] = str(tmp_path / "card")
        done = CliRunner().invoke(GROUPS[group], here, catch_exceptions=False)
        assert done.exit_code == 0, (words, done.output)
        ran += 1
    assert ran >= 10
    listed = CliRunner().invoke(provision, ["list"], catch_exceptions=False).output
    assert re.search(r"abcd0123efgh4567 +device +until [\d-]+ +revoked [\d-]+: seized", listed)
    assert listed.count("in force") == 3
    assert (tmp_path / "card" / "identity" / "key.pem").exists()
