"""A field more in a record is one attribute (and the schema's number) in one file: all the rest of the software has it then."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from collector.store.database import Store
from firmware.model.record import SCHEMA, to_json
from tests.collector.rows_of import arrived
from tests.firmware.records import tcp_record
from tests.needs import ROOT

PLACE = "firmware/model/record.py"
EDITS = {
    f"\nSCHEMA: Final = {SCHEMA}\n": f"\nSCHEMA: Final = {SCHEMA + 1}\n",
    "\n\n\n_HAS_VERDICT: Final": f"""
    link_speed_bits_s: Annotated[
        int | None, json_key(OPTIONAL_WHOLE, "What the link is said to carry.", since={SCHEMA + 1}, asked=True)
    ] = None\n\n\n_HAS_VERDICT: Final""",
}


def tree_with_one_more_field(folder: Path) -> None:
    for package in ("firmware", "appliance", "collector", "provisioning", "docs"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tests/journeys/one_more_field.py", folder)
    text = (folder / PLACE).read_text(encoding="utf-8")
    for before, after in EDITS.items():
        assert text.count(before) == 1
        text = text.replace(before, after)
    (folder / PLACE).write_text(text, encoding="utf-8")


def test_one_attribute_is_all_that_a_field_takes(tmp_path: Path) -> None:
    database, folder = tmp_path / "collector.sqlite3", tmp_path / "tree"
    store = Store.open(database)  # by the software of now: the field's column is not there yet
    store.commit([arrived([1])])
    store.close()
    tree_with_one_more_field(folder)
    done = subprocess.run(
        [sys.executable, "one_more_field.py", str(database), json.dumps(to_json(tcp_record(1)))],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    speed, whole = (
        "link_speed_bits_s",
        "allowed is a whole number from -9223372036854775808 to 9223372036854775807",
    )
    assert json.loads(done.stdout) == {
        "written last": speed,
        "kept on the card": 1_000_000_000,
        "of before": None,
        "columns": [[1, None], [2, 1_000_000_000], [3, None], [4, None], [5, None]],
        "in the body": ["-", 1_000_000_000, None, "-", "-"],
        "wrong": f"record: {speed}: found 'x'; {whole}",
        "missing": f"record: {speed} is missing",
        "columns agree": [True] * 12,
        "documented": [
            f"| `{speed}` | a whole number or null | {SCHEMA + 1} | yes | What the link is said to carry. |"
        ],
    }
