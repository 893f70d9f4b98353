"""Times work of this process and its memory, for the peers that are written in Python."""
import json
import time


def reset_peak():
    """Forgets the peak so far, which was set by the making of weights."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def peak_bytes():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def timed(run):
    """Seconds by the clock, and of all cores."""
    clock, cores = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - clock, time.process_time() - cores


def report(case, run, runs, scale=1.0):
    """Prints one JSON line about runs after a warm-up. `scale` is for work that is a part of the case's: it scales times, and
    the memory of a part says nothing."""
    reset_peak()
    run()
    seconds, cores = zip(*(timed(run) for _ in range(runs)))
    peak = {"peak_bytes": peak_bytes()} if scale == 1 else {}
    print(json.dumps({"case": case, "seconds": [scale * value for value in seconds],
                      "core_seconds": [scale * value for value in cores], **peak}))
