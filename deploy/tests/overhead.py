#!/usr/bin/env python3
"""What `longvu batch` takes beside looking at videos and answering.

    LONGVU_TEST_PROGRAM=… deploy/tests/overhead.py LIST.jsonl [--rounds 5] [--apart]

Two measures. Inside: from the first row's end to the end of the process, less `encode_seconds` and `answer_seconds` of
the rows that come in it. With --apart also: the whole of `longvu batch` less its start-up, against `longvu encode` for
each video and `longvu ask` for each question on what that wrote, of which only the seconds count that these programs
report for encoding, opening, preparing, prefill and generation. They run in turn, and the best rounds are compared,
because other programs on the machine make a round slower by more than what is looked for.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

PROGRAM = os.environ["LONGVU_TEST_PROGRAM"]
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


@dataclass
class Run:
    """A run of `longvu batch`, in seconds."""

    # Of the rows but the first, as they say.
    work: float
    # Of all rows.
    all_work: float
    # From the first row's end to that of the process.
    wall: float

    @property
    def inside(self) -> float:
        """What it took beside the work, as a share of it."""
        return self.wall / self.work - 1

    @property
    def whole(self) -> float:
        """All but the start-up, which ends when the first row is begun."""
        return self.wall + self.all_work - self.work


def batch(listed: Path, more: list[str]) -> Run:
    """Runs a list in one part."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        journal = out / "_longvu" / "part-00000-of-00001" / "answers.jsonl"
        process = subprocess.Popen([PROGRAM, "batch", str(listed), "--out", folder, "--quiet", *more], **QUIET)
        while not (journal.exists() and journal.stat().st_size):
            assert process.poll() is None, "it ended before its first row"
            time.sleep(0.0005)
        first = time.monotonic()
        code = process.wait()
        wall = time.monotonic() - first
        assert code == 0, f"it ended with exit code {code}"
        # Work takes place in the order of the list, as the rows have it.
        table = pq.read_table(next(out.glob("*.parquet")), columns=["encode_seconds", "answer_seconds"])
        seconds = [row["encode_seconds"] + row["answer_seconds"] for row in table.to_pylist()]
        return Run(sum(seconds[1:]), sum(seconds), wall)


def apart(listed: Path, more: list[str]) -> float:
    """Seconds that `encode` and `ask` report for the same videos and questions."""
    total = 0.0
    with tempfile.TemporaryDirectory() as folder:
        encoded, report = Path(folder) / "video.longvu", Path(folder) / "report.json"
        for line in listed.read_text().splitlines():
            video = json.loads(line)
            path = listed.parent / video["video"]
            command = [PROGRAM, "encode", str(path), "--out", str(encoded), "--json", "--quiet"]
            printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
            total += json.loads(printed)["timings"]["wall"]
            for question in video["questions"]:
                command = [PROGRAM, "ask", str(encoded), question, "--report", str(report), "--quiet", *more]
                subprocess.run(command, check=True, **QUIET)
                timings = json.loads(report.read_text())["timings"]
                total += timings["open"] + sum(timings["answer"].values())
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("list", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--apart", action="store_true", help="also against `longvu encode` and `longvu ask`")
    args, more = parser.parse_known_args()
    inside, whole, against = [], [], []
    for _ in range(args.rounds):
        done = batch(args.list, more)
        inside.append(done.inside)
        told = f"work {done.work:.2f} s in {done.wall:.2f} s: {done.inside:+.2%} inside"
        if args.apart:
            other = apart(args.list, more)
            whole.append(done.whole)
            against.append(other)
            told += f"; batch {done.whole:.2f} s, encode and ask {other:.2f} s"
        print(told, flush=True)
    print(f"inside {statistics.median(inside):+.2%}, the median of {args.rounds} rounds")
    if against:
        more_than = min(whole) / min(against) - 1
        print(f"batch against encode and ask {more_than:+.2%}, the best of {args.rounds} rounds each")


if __name__ == "__main__":
    main()
