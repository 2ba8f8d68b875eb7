"""What the peers of `cargo xtask bench --peer` share: a line asks for a pass, a JSON line answers it."""

import json
import pathlib
import sys
import time


def peak_memory():
    status = pathlib.Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def serve(work, outcome=lambda result: result):
    """Answers each line; what is told of the work's result is found out after the clock has stopped."""
    for _ in sys.stdin:
        start = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "peak_memory": peak_memory(), "result": outcome(result)}), flush=True)
