"""A collector that is slower than it could be: each commit takes `FACTOR` times as long.

python -m tests.drills.slow_collector FACTOR OPTION…      (the options of `tidegauge collector`)
"""

import sys
import time
from collections.abc import Sequence
from functools import wraps

from collector.command import collector
from collector.store.arrivals import Accounted, Arrival
from collector.store.database import Store


def main() -> None:
    """Run it."""
    factor = float(sys.argv[1])
    commit = Store.commit

    @wraps(commit)
    def noted(self: Store, arrivals: Sequence[Arrival]) -> tuple[Accounted | None, ...]:
        began_s = time.monotonic()
        done = commit(self, arrivals)
        time.sleep((factor - 1) * (time.monotonic() - began_s))
        return done

    Store.commit = noted  # type: ignore[method-assign]
    collector.main(args=sys.argv[2:], prog_name="collector")


if __name__ == "__main__":
    main()
