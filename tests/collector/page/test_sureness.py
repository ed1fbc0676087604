"""The number of what is said, in the API, in exports and on the page; and that what is below 0.99 is said by none of them."""

import json
from pathlib import Path

import pytest

from firmware.judgement.confidence.accusers import concluded
from firmware.model.verdict_words import ACCUSING
from tests.collector.page import stories
from tests.collector.page.conftest import Served, serving
from tests.sureness import every_rule_is

SCOPES = "/api/v1/scopes"
HISTORY = "/api/v1/scopes/history?country=zz"
DEVICES = "/api/v1/devices"
ROUNDS = "/api/v1/records?test=ladder&format=ndjson&limit=1000"
SENTENCES = ("Total shutdown: the networks went dark together", "The international link is cut")


def verdicts(served: Served) -> dict[str, list[dict[str, object]]]:
    """Return every verdict that the API gives out, by where."""
    lines = [json.loads(line) for line in served.get(ROUNDS).body.splitlines()]
    changes = json.loads(served.get(HISTORY).body)["changes"]
    return {
        "scopes": json.loads(served.get(SCOPES).body)["scopes"],
        "history": [one for change in changes for one in (change["live"], *change["reconciled"])],
        "devices": [one["verdict"] for one in json.loads(served.get(DEVICES).body)["devices"]],
        "records": [line["record"]["verdict"] for line in lines if "record" in line],
        "lines": [line["verdict"] for line in lines if line.get("verdict")],
    }


@pytest.mark.parametrize(("number", "is_said"), [(0.98, False), (0.995, True)])
def test_an_accusation_is_said_from_0_99_on(tmp_path: Path, number: float, *, is_said: bool) -> None:
    """Abroad was cut for all devices, and that is known of the rounds of the cut, which arrived later."""
    with (
        every_rule_is(number),
        serving(tmp_path, lambda store: stories.cut_and_heard(store, tmp_path)) as served,
    ):
        told = verdicts(served)
        pages = served.get("/").body.decode()
    for where, found in told.items():
        assert found, where
        words = {str(one["verdict"]) for one in found}
        assert bool(words & ACCUSING) is is_said, where
        suspected = {concluded(str(one["verdict"]), str(one["rule_id"])) for one in found}
        assert suspected & ACCUSING, where
    for where in ("scopes", "history", "devices", "lines"):
        for one in told[where]:
            expected = None if one["verdict"] == "inconclusive" else number
            assert one["probability"] == expected, (where, one["rule_id"])
    assert any(one in pages for one in SENTENCES) is is_said
