"""A Ray cluster of two nodes on one machine."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import pyarrow.parquet as pq
from ray.cluster_utils import Cluster
from support import DEPLOY, ENVIRONMENT, LIST, PROGRAM, SHORT, contents, reference, rows_of, run, some
from support import wait_until, written

import ray_batch

# In the place of the program: notes each part that it is asked for, and ends as CODES has it before it does any.
FLAKY = """#!/usr/bin/env bash
if [ "$1" = batch ]; then
    shard=$(sed 's|.*--shard \\([0-9]*\\)/.*|\\1|' <<<"$*")
    echo "$shard" >>"$CALLS"
    code=$(sed -n "s/^$shard $(grep -c "^$shard$" "$CALLS") //p" "$CODES")
    [ -z "$code" ] || { echo "it ends with $code" >&2; exit "$code"; }
fi
exec "$PROGRAM" "$@"
"""


def working(out: Path, part: int, of: int) -> int | None:
    """The process that does a part."""
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0] == PROGRAM.encode() and f"{part}/{of}".encode() in words and str(out).encode() in words:
            return int(entry.name)
    return None


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def is_gone(process: int) -> bool:
    """Whether a process has ended, waited for or not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


# In the place of a worker: starts a program by the tether, says which process it is, and waits for it.
CALLER = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid()), "sleep", "60"])
print(child.pid, flush=True)
child.wait()
"""


class Tether(unittest.TestCase):
    def test_a_program_dies_with_its_caller(self):
        command = [sys.executable, "-c", CALLER, ray_batch.TETHER]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as caller:
            program = int(caller.stdout.readline())
            wait_until(lambda: b"sleep" in Path(f"/proc/{program}/cmdline").read_bytes()[:5], lambda: True)
            caller.kill()
        wait_until(lambda: is_gone(program), lambda: True, 10)

    def test_a_program_whose_caller_is_gone_is_not_started(self):
        done = subprocess.run([sys.executable, "-c", ray_batch.TETHER, "1", "sleep", "60"], check=False, timeout=60,
                              stderr=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stderr), (1, b"the caller is gone\n"))


class OnACluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        node = {"num_cpus": 1, "memory": 1 << 30, "object_store_memory": 100 << 20, "include_dashboard": False}
        cls.cluster = Cluster(initialize_head=True, head_node_args=node)
        cls.addClassCleanup(cls.cluster.shutdown)
        cls.cluster.add_node(num_cpus=1, memory=1 << 30, object_store_memory=100 << 20)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.out = self.folder / "out"

    def command(self, listed: Path, parts: int, *more, passed=()) -> list[str]:
        own = ["--out", self.out, "--parts", parts, "--address", self.cluster.address, "--pause", 0.1, *more]
        words = [sys.executable, DEPLOY / "ray_batch.py", listed, "--longvu", PROGRAM, *own, "--", *SHORT, *passed]
        return list(map(str, words))

    def test_a_killed_worker_is_replaced_and_every_row_is_there_once(self):
        merged = self.folder / "merged.parquet"
        driver = subprocess.Popen(self.command(LIST, 8, "--merged", merged), env=ENVIRONMENT, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        part = None
        try:
            def in_the_middle() -> bool:
                nonlocal part
                begun = (i for i in range(8) if 5 <= written(self.out, i, 8) < 40)
                part = next((i for i in begun if working(self.out, i, 8)), None)
                return part is not None

            wait_until(in_the_middle, lambda: driver.poll() is None)
            process = working(self.out, part, 8)
            worker = parent(process)
            self.assertIn("ray::", Path(f"/proc/{worker}/cmdline").read_text())
            os.kill(worker, signal.SIGKILL)
            # What the worker had started must not go on and hold the part.
            wait_until(lambda: is_gone(worker) and is_gone(process), lambda: driver.poll() is None)
            self.assertFalse((self.out / f"part-{part:05}-of-00008.parquet").exists())
        finally:
            stdout, stderr = driver.communicate(timeout=300)
        self.assertEqual(driver.returncode, 0, stderr)
        self.assertIn(f"8 parts, {rows_of()} rows, 0 of them failed", stdout)
        self.assertEqual(len(set(re.findall(r" s on \S+ \((\w+)\)", stderr))), 2, stderr)
        self.assertEqual(contents(self.out), contents(reference()))
        self.assertEqual(pq.read_table(merged).num_rows, rows_of())

    def flaky(self, codes: dict[tuple[int, int], int]) -> tuple[list, Path]:
        """A program that ends a part's n-th run with a code, and where it notes its runs."""
        program, calls, table = self.folder / "flaky", self.folder / "calls", self.folder / "codes"
        text = FLAKY.replace("$CALLS", str(calls)).replace("$CODES", str(table)).replace("$PROGRAM", PROGRAM)
        program.write_text(text)
        program.chmod(0o755)
        table.write_text("".join(f"{part} {nth} {code}\n" for (part, nth), code in codes.items()))
        return ["--longvu", program], calls

    def test_what_fails_is_tried_again_and_then_given_up(self):
        listed = some(self.folder / "list", 8)
        program, calls = self.flaky({(0, 1): 7, (1, 1): 9, (1, 2): 9, (1, 3): 9})
        done = run(self.command(listed, 2, *program, "--retries", "2"), 1)
        self.assertIn("part 1 failed: exit code 9", done.stdout)
        self.assertIn("it ends with 9", done.stdout)
        self.assertIn("parts 1 of 2 are missing", done.stdout)
        self.assertEqual(sorted(calls.read_text().split()), ["0", "0", "1", "1", "1"])
        # The same command again does what is missing.
        done = run(self.command(listed, 2, *program, "--retries", "2"))
        self.assertIn("0 of them failed", done.stdout)

    def test_rows_that_failed_are_counted_and_not_tried_again(self):
        listed = some(self.folder / "list", 8, broken=3)
        program, calls = self.flaky({})
        done = run(self.command(listed, 2, *program), 3)
        self.assertIn("failed: video-0003, question 0", done.stdout)
        self.assertEqual(sorted(calls.read_text().split()), ["0", "1"])

    def test_wrong_arguments_end_all_of_it(self):
        listed = some(self.folder / "list", 8)
        done = run(self.command(listed, 2, passed=["--temperature", "-1"]), 2)
        self.assertIn("temperature", done.stderr)
        run(self.command(listed, 2, passed=["--shard", "0/2"]), 2)
        self.assertIn("no node has room", run(self.command(listed, 2, "--memory", 1 << 40), 1).stderr)


if __name__ == "__main__":
    unittest.main()
