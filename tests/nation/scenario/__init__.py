"""A scenario: a short file that says what goes wrong in the made country, and what must be said of it. Pure.

`load` reads a file and refuses whatever is not known, with its place and what is allowed. Nothing here may touch a network:
`tests.nation.stage` does what is written.
"""

from tests.nation.scenario.model import CensorAt, Change, DeviceAt, Expected, Page, Scenario
from tests.nation.scenario.reader import ScenarioError, load, names, read

__all__ = [
    "CensorAt",
    "Change",
    "DeviceAt",
    "Expected",
    "Page",
    "Scenario",
    "ScenarioError",
    "load",
    "names",
    "read",
]
