#!/usr/bin/env python3
"""Answers a list of videos on a Ray cluster: each part of `longvu batch` is a task of the size that is forecast for it.

    python3 deploy/ray_batch.py LIST.jsonl --out OUT --parts 64 --address auto -- --model DIR --dtype bf16

What stands after `--` is passed to `longvu batch`. The program, LIST, the videos, the model and OUT have the same paths
on every node. A task's size is what `longvu plan` says. The same command again goes on where each part was.

Needs ray and pyarrow. Exit code 0: all answered; 3: some rows have an error; 1: a part is missing; 2: wrong usage.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import parts
import pyarrow as pa
import ray
from task_size import Size, forecast, settle, size

# Runs a program that the system kills when the caller dies, however it dies: a worker that is killed must not leave a
# process behind that holds the part's lock. Ray does so, too, as long as its own process on the node lives. Linux only;
# elsewhere the program is run as it is.
TETHER = """
import os, sys
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the caller is gone")
os.execvp(sys.argv[2], sys.argv[2:])
"""

# Of what a failed part said so much is told.
TOLD = 2000


@dataclass
class Outcome:
    """How a run of a part ended."""

    code: int
    told: str
    seconds: float
    node: str

    def text(self) -> str:
        ended = f"signal {signal.Signals(-self.code).name}" if self.code < 0 else f"exit code {self.code}"
        return f"{ended} after {self.seconds:.1f} s on {self.node}: {self.told.strip() or 'it said nothing'}"


@ray.remote
def run_part(command: list[str], threads: int) -> Outcome:
    """Runs a part in a process of its own, on the worker that Ray has chosen."""
    start = time.monotonic()
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
    tethered = [sys.executable, "-c", TETHER, str(os.getpid()), *command]
    done = subprocess.run(tethered, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    told = done.stderr.decode(errors="replace")[-TOLD:]
    node = f"{platform.node()} ({ray.get_runtime_context().get_node_id()[:8]})"
    return Outcome(done.returncode, told, time.monotonic() - start, node)


class Parts:
    """The parts of a run, of which those that fail are tried again."""

    def __init__(self, command: list[str], count: int, task: Size, retries: int, pause: float):
        self.command, self.count, self.retries, self.pause = command, count, retries, pause
        threads = max(1, int(task.cpus))
        options = {"num_cpus": task.cpus, "num_gpus": task.gpus, "memory": task.memory, "max_retries": retries}
        self.start = lambda part: run_part.options(name=f"longvu-{part}-of-{count}", **options).remote(
            [*command, "--shard", f"{part}/{count}"], threads
        )
        self.running: dict[ray.ObjectRef, int] = {}
        # When to start a part again.
        self.waiting: list[tuple[float, int]] = []
        self.tries: Counter[int] = Counter()
        # Parts whose file is written, by exit code, and the others with what was said last.
        self.done: dict[int, int] = {}
        self.failed: dict[int, str] = {}

    def run(self) -> bool:
        """Runs all of them. False as soon as one has refused its arguments, which are the others' too."""
        self.running = {self.start(part): part for part in range(self.count)}
        while self.running or self.waiting:
            self.start_again()
            ready, _ = ray.wait(list(self.running), timeout=1.0) if self.running else ([], time.sleep(0.1))
            for reference in ready:
                if not self.take(self.running.pop(reference), reference):
                    for other in self.running:
                        ray.cancel(other, force=True)
                    return False
        return True

    def start_again(self) -> None:
        now = time.monotonic()
        due = [part for when, part in self.waiting if when <= now]
        self.waiting = [(when, part) for when, part in self.waiting if when > now]
        self.running.update({self.start(part): part for part in due})

    def take(self, part: int, reference: ray.ObjectRef) -> bool:
        """Notes how a part ended; false where it refused its arguments."""
        try:
            outcome = ray.get(reference)
        except ray.exceptions.RayError as error:
            # Ray has started it again as often as it may, on whichever nodes are left.
            self.failed[part] = f"its workers died: {str(error).strip().splitlines()[0]}"
            say(f"part {part} failed: {self.failed[part]}")
            return True
        if outcome.code in (parts.ANSWERED, parts.SOME_FAILED):
            self.done[part] = outcome.code
            noted = "" if outcome.code == parts.ANSWERED else ", some rows failed"
            say(f"part {part}: {outcome.seconds:.1f} s on {outcome.node}{noted}; {len(self.done)} of {self.count} done")
            return True
        self.tries[part] += 1
        if outcome.code == parts.USAGE:
            self.failed[part] = outcome.text()
            say(f"part {part} failed: {outcome.text()}")
            return False
        if self.tries[part] <= self.retries:
            say(f"part {part} is tried again ({self.tries[part]} of {self.retries}): {outcome.text()}")
            self.waiting.append((time.monotonic() + self.pause * self.tries[part], part))
        else:
            self.failed[part] = outcome.text()
            say(f"part {part} failed: {outcome.text()}")
        return True


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    this = argparse.ArgumentParser(
        description=__doc__.split("\n", 1)[0],
        epilog="What stands after -- is passed to `longvu batch`.",
        allow_abbrev=False,
    )
    add = this.add_argument
    add("list", type=Path, metavar="LIST.jsonl", help="what `longvu batch` takes")
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the parts")
    add("--parts", type=int, required=True, metavar="N", help="parts of the list; the same each time for a folder")
    add("--merged", type=Path, metavar="FILE.parquet", help="in the end write all rows to this file")
    add("--address", help="cluster to connect to, such as auto [default: RAY_ADDRESS, else this machine]")
    add("--longvu", default="longvu", metavar="PROGRAM", help="the program, on every node [longvu]")
    add("--retries", type=int, default=3, metavar="N", help="new starts after a failure, or a worker's [3]")
    add("--pause", type=float, default=5.0, metavar="SECONDS", help="before a failed part starts again; grows [5]")
    add = this.add_argument_group("size of a task").add_argument
    add("--longest", default="1h", metavar="FILE|LENGTH", help="the longest video, for the forecast of memory [1h]")
    add("--memory", type=int, metavar="BYTES", help="main memory [what `longvu plan` forecasts]")
    add("--num-cpus", type=float, metavar="X", help="cores [a node's, divided by how many tasks it has room for]")
    add("--num-gpus", type=float, metavar="X", help="GPUs [1 with a --device that is not the CPU]")
    add("--gpu-memory", type=int, metavar="BYTES", help="memory of a GPU, which tasks then share as far as they fit")
    add("--any-nodes", action="store_true", help="start although no node has room: others will come")
    return this


def arguments(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """The arguments, checked, and those for `longvu batch`."""
    cut = argv.index("--") if "--" in argv else len(argv)
    passed, this = argv[cut + 1 :], parser()
    args = this.parse_args(argv[:cut])
    if args.parts < 1 or args.retries < 0 or args.pause < 0:
        this.error("--parts is 1 or more, --retries and --pause are 0 or more")
    if any(given is not None and given <= 0 for given in (args.memory, args.num_cpus, args.gpu_memory)):
        this.error("--memory, --num-cpus and --gpu-memory are above 0")
    if args.num_gpus is not None and args.num_gpus < 0:
        this.error("--num-gpus is 0 or more")
    if not args.list.is_file():
        this.error(f"{args.list} is no file")
    if args.merged is not None and parts.is_in(args.merged, args.out):
        this.error("--merged is in --out: who reads that folder would read every row twice; name another place")
    for flag in ("--out", "--shard"):
        if any(given == flag or given.startswith(f"{flag}=") for given in passed):
            this.error(f"{flag} after -- is for this program to set")
    return args, passed


def run(args: argparse.Namespace, passed: list[str]) -> int:
    plan = forecast(args.longvu, args.longest, passed)
    ray.init(address=args.address, log_to_driver=False)
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    task = settle(size(plan, args), nodes, args.any_nodes)
    say(f"{args.parts} parts; a task is {task.text()}")
    args.out.mkdir(parents=True, exist_ok=True)
    command = [args.longvu, "batch", str(args.list.resolve()), "--out", str(args.out.resolve()), "--quiet", *passed]
    work = Parts(command, args.parts, task, args.retries, args.pause)
    try:
        if not work.run():
            return parts.USAGE
    finally:
        ray.shutdown()
    for part, reason in sorted(work.failed.items()):
        print(f"part {part} failed: {reason}")
    if work.failed and args.merged is not None:
        print(f"{args.merged} was not written", file=sys.stderr)
    code = parts.finish(args.out, args.list, None if work.failed else args.merged)
    return parts.BROKEN if work.failed else code


def main(argv: list[str]) -> int:
    args, passed = arguments(argv)
    try:
        return run(args, passed)
    except (OSError, ValueError, KeyError, RuntimeError, pa.ArrowException, ray.exceptions.RayError) as error:
        print(f"error: {error}", file=sys.stderr)
        return parts.BROKEN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
