"""The worker under a grant of real-time priority, where this machine lets nobody raise RLIMIT_RTPRIO.

`python -m tests.bench.timing.granted_worker PRIORITY --fd N` stands in for what the limit says, and for nothing else: the
worker's own code reads it, bounds itself and takes the priority, as under a unit with LimitRTPRIO=. The kernel
allows it since the process has CAP_SYS_NICE. It must never set a priority itself.
"""

import resource
import subprocess
import sys
from collections.abc import Sequence


def refusal(priority: int) -> str:
    """Return what the kernel says to raising the limit, "" where it is allowed. Tried in a process of its own."""
    code = f"import resource; resource.setrlimit(resource.RLIMIT_RTPRIO, ({priority}, {priority}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip().rpartition("\n")[2]


def main(argv: Sequence[str]) -> int:
    """Run the worker with the limit as told; return its exit status."""
    granted = int(argv[0])
    real = resource.getrlimit
    resource.getrlimit = lambda which: (  # a stand-in for one answer
        (granted, granted) if which == resource.RLIMIT_RTPRIO else real(which)
    )
    from firmware.worker import process  # after the stand-in, and only here

    return process.main(argv[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
