"""How a case is paced, the same in both plays: the device's cadence, how many rounds, and how long at most."""

from typing import Final

CALM_S: Final = 5
QUICK_S: Final = 2
ROUNDS: Final = 3
LIMIT_S: Final = 75
"""A play ends with the first look after this many seconds of its device, whatever is under way."""
START_S: Final = 120
"""So long a device may take to begin on a machine that has other work to do: that counts for nothing."""
