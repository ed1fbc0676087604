"""A library that is held back is there for whoever uses it, and costs nothing until then. In fresh interpreters."""

import subprocess
import sys

import pytest

from firmware.measurements import EVERY_MEASUREMENT

HELD = """
import sys
from firmware.worker.lean import held_back
with held_back("inspect"):
    import inspect
    mine = inspect
assert "ast" not in sys.modules
"""


def run(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_it_works_when_it_is_used_and_is_the_real_one_afterwards() -> None:
    use = "assert str(inspect.signature(lambda one: 1)) == '(one)'"
    run(f"{HELD}\n{use}\nassert 'ast' in sys.modules")
    run(
        f"{HELD}\nimport inspect\n{use}\nassert inspect is sys.modules['inspect']\nassert 'ast' in sys.modules"
    )


def test_annotations_of_a_class_are_the_real_ones_and_load_nothing() -> None:
    classes = "class One:\n    a: int = 1\n    b: 'str'\nclass Two(One):\n    pass\n"
    run(
        f"{HELD}\n{classes}held = [mine.get_annotations(one) for one in (One, Two, int)]\nassert 'ast' not in sys.modules\n"
        "import inspect\nassert held == [inspect.get_annotations(one) for one in (One, Two, int)], held\n"
        "assert mine.get_annotations(One, eval_str=True) == inspect.get_annotations(One, eval_str=True)"
    )


def test_within_it_a_use_loads_the_real_one() -> None:
    run(
        "import sys\nfrom firmware.worker.lean import held_back\n"
        "with held_back('inspect'):\n    import inspect\n    inspect.signature(run := lambda: 1)\n"
        "    import inspect as second\n    assert second is sys.modules['inspect'] is not inspect\n"
        "assert sys.modules['inspect'] is second"
    )


def test_what_is_loaded_already_is_left_alone() -> None:
    run(
        "import sys, inspect\nfrom firmware.worker.lean import held_back\n"
        "with held_back('inspect'):\n    import inspect as again\nassert again is inspect is sys.modules['inspect']"
    )


@pytest.mark.parametrize(
    ("tests", "heavy"),
    [
        (("link", "address", "ping", "tcp", "ntp", "traceroute", "pmtu", "dns"), {"ssl", "binascii"}),
        ((), {"ssl", "firmware.measurements.ping", "firmware.protocols.dns_wire"}),
        (tuple(EVERY_MEASUREMENT), {"calendar", "datetime", "html", "stringprep", "zipfile"}),
    ],
)
def test_the_worker_loads_nothing_before_a_test_needs_it(tests: tuple[str, ...], heavy: set[str]) -> None:
    never = {"email", "dns", "tempfile"}
    libraries = (
        set()
        if "http" in tests
        else {"ast", "copy", "h11", "hashlib", "inspect", "ipaddress", "urllib.parse"}
    )
    run(
        "import sys, firmware.worker.process\nfrom firmware.worker import warmup\n"
        f"for test in {tests}: warmup.load(test)\n"
        f"assert not {heavy | never | libraries} & set(sys.modules), {heavy | never | libraries} & set(sys.modules)"
    )
