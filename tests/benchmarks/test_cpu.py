from __future__ import annotations

import subprocess
import sys

from benchmarks import cpu

# A child and a grandchild burn half a second each; both are dead by the line, the child reaped, and the parent waits.
PARENT = """
import subprocess, sys, time
burn = "import time\\nend = time.process_time() + 0.5\\nwhile time.process_time() < end: pass\\n"
child = "import subprocess, sys\\nsubprocess.run([sys.executable, '-c', sys.argv[1]])\\n" + burn
subprocess.run([sys.executable, "-c", child, burn], check=True)
zombie = subprocess.Popen([sys.executable, "-c", burn])
import os
os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
print("ended", flush=True)
sys.stdin.read()
"""


def test_descendants_that_have_ended_count_reaped_or_not() -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdin is not None
        parent.stdout.readline()
        used = cpu.seconds(parent.pid)
        assert len(cpu.tree(parent.pid)) == 2
        parent.stdin.close()
    assert used >= 1.4
