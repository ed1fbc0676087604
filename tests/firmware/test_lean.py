"""A library that is held back is there for whoever uses it, and costs nothing until then. In fresh interpreters."""

import subprocess
import sys

import pytest

HELD = """
import sys
from firmware.lean import held_back
with held_back("{name}"):
    import {name}
    mine = {name}
assert "{behind}" not in sys.modules
"""


def run(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "behind", "use"),
    [
        ("inspect", "ast", "assert str(inspect.signature(lambda one: 1)) == '(one)'"),
        ("importlib.metadata", "zipfile", "assert importlib.metadata.version('h11')"),
    ],
)
def test_it_works_when_it_is_used_and_is_the_real_one_afterwards(name: str, behind: str, use: str) -> None:
    held = HELD.format(name=name, behind=behind)
    run(f"{held}\n{use}\nassert '{behind}' in sys.modules")
    run(
        f"{held}\nimport {name}\n{use}\nassert {name} is sys.modules['{name}']\nassert '{behind}' in sys.modules"
    )


def test_within_it_a_use_loads_the_real_one() -> None:
    run(
        "import sys\nfrom firmware.lean import held_back\n"
        "with held_back('inspect'):\n    import inspect\n    inspect.signature(run := lambda: 1)\n"
        "    import inspect as second\n    assert second is sys.modules['inspect'] is not inspect\n"
        "assert sys.modules['inspect'] is second"
    )


def test_what_is_loaded_already_is_left_alone() -> None:
    run(
        "import sys, inspect\nfrom firmware.lean import held_back\n"
        "with held_back('inspect'):\n    import inspect as again\nassert again is inspect is sys.modules['inspect']"
    )


def test_the_worker_loads_no_library_before_it_needs_one() -> None:
    heavy = (
        "ast",
        "dns",
        "email",
        "h11",
        "hashlib",
        "html",
        "inspect",
        "ipaddress",
        "pathlib",
        "ssl",
        "urllib.parse",
    )
    run(
        f"import sys, firmware.worker.process\nassert not set({heavy}) & set(sys.modules), set({heavy}) & set(sys.modules)"
    )


def test_dnspython_comes_without_what_searches_for_packages() -> None:
    run(
        "import sys, firmware.protocols.dnspython\nassert not {'email', 'zipfile', 'tempfile', 'stringprep'} & set(sys.modules)"
    )
