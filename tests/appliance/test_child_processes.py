"""A child started with `end_with_parent` is gone when its parent is killed."""

import os
import select
import signal
import subprocess
import sys

PARENT = """
import subprocess, sys, time
from appliance.child_processes import end_with_parent
child = subprocess.Popen([sys.executable, "-c", "import time; print(1, end='', flush=True); time.sleep(600)"],
                         stdout=int(sys.argv[1]), pass_fds=[int(sys.argv[1])], preexec_fn=end_with_parent())
print(child.pid, flush=True)
time.sleep(600)
"""


def test_the_child_ends_when_its_parent_is_killed() -> None:
    read_end, write_end = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(write_end)], stdout=subprocess.PIPE, pass_fds=[write_end]
    ) as parent:
        os.close(write_end)
        assert os.read(read_end, 1) == b"1"
        parent.send_signal(signal.SIGKILL)
    # The pipe ends only when its last holder, the child, is gone.
    readable, _, _ = select.select([read_end], [], [], 30)
    assert readable
    assert os.read(read_end, 1) == b""
    os.close(read_end)
