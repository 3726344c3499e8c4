"""Runs a command and writes what it cost, as JSON: measure.py RESULT COMMAND...

Node tells no resource usage of its children; wait4 tells user and system time of the command and
of the children it waited for, the largest resident set among them, and what they wrote to disks.
"""

import ctypes
import json
import os
import sys
import time

PR_SET_PDEATHSIG = 1
SIGKILL = 9

result, command = sys.argv[1], sys.argv[2:]
libc = ctypes.CDLL(None)
started = time.monotonic()
pid = os.fork()
if pid == 0:
    # Nothing measured outlives the bench, however that ends.
    libc.prctl(PR_SET_PDEATHSIG, SIGKILL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error}", file=sys.stderr)
        os._exit(127)
_, status, usage = os.wait4(pid, 0)
seconds = time.monotonic() - started
with open(result, "w", encoding="utf8") as file:
    json.dump(
        {
            "exit": os.waitstatus_to_exitcode(status),
            "seconds": seconds,
            "cpuSeconds": usage.ru_utime + usage.ru_stime,
            "peakBytes": usage.ru_maxrss * 1024,
            "diskBytes": usage.ru_oublock * 512,
        },
        file,
    )
