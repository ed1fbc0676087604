"""What every test shares: how property tests search, and that Ctrl-C can be tried. What a test needs is in tests/needs.py."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.at_once import seen, stage  # noqa: F401 - fixtures
from tests.sureness import every_rule_is

# No time limits: machines are noisy. Fewer examples than usual, since every run draws others. A failing example is printed so that it can be run again anywhere.
settings.register_profile(
    "tidegauge",
    max_examples=60,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tidegauge")

# A shell starts what it puts into the background with SIGINT ignored, and whatever that starts inherits it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _every_rule_is_sure_enough() -> Iterator[None]:
    """Have every accusation said: what rules conclude is tested, whatever the counts that ship come to.

    What ships goes for whatever runs as a process of its own, and for tests of the table.
    """
    with every_rule_is(0.995):
        yield
