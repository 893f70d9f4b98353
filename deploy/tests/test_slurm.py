"""The job array's script, with stand-ins for `srun` and `scontrol`, and the program itself."""

from __future__ import annotations

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from support import DEPLOY, ENVIRONMENT, PROGRAM, SHORT, VIDEOS, contents, reference, some

SCRIPT = DEPLOY / "slurm" / "longvu-batch.sbatch"
# What they were called with is written down; options of `srun` end at the first word that is none.
SRUN = '#!/usr/bin/env bash\nwhile [[ $1 == -* ]]; do shift; done\nexec "$@"\n'
SCONTROL = '#!/usr/bin/env bash\necho "$*" >>"$CALLS"\n'
# In the place of the program: ends with a code.
FAILING = '#!/usr/bin/env bash\necho "$*" >>"$CALLS"\nexit "$CODE"\n'


class Slurm(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.calls = self.folder / "calls"
        for name, text in (("srun", SRUN), ("scontrol", SCONTROL), ("failing", FAILING)):
            (self.folder / name).write_text(text)
            (self.folder / name).chmod(0o755)

    def task(self, index: int, count: int, *arguments, first: int = 0, **more) -> subprocess.CompletedProcess:
        """Runs a task of an array as Slurm does."""
        environment = ENVIRONMENT | {
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "CALLS": str(self.calls),
            "SLURM_JOB_ID": "1234",
            "SLURM_ARRAY_TASK_ID": str(index),
            "SLURM_ARRAY_TASK_COUNT": str(count),
            "SLURM_ARRAY_TASK_MIN": str(first),
            "SLURM_CPUS_PER_TASK": "2",
        }
        environment |= more
        command = ["bash", str(SCRIPT), *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def called(self) -> list[str]:
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        self.calls.unlink(missing_ok=True)
        return lines

    def test_it_has_nothing_that_shellcheck_finds(self):
        for script in (SCRIPT, DEPLOY.parent / "tools" / "deploy.sh"):
            command = ["shellcheck", "--shell=bash", str(script)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stdout), (0, ""))
        bad = self.folder / "bad"
        bad.write_text(SCRIPT.read_text() + "rm $out/x\n")
        self.assertEqual(subprocess.run(["shellcheck", str(bad)], capture_output=True, check=False).returncode, 1)

    def test_its_directives_are_read(self):
        """Slurm stops looking at the first command: all of them have to stand before it."""
        text = SCRIPT.read_text().splitlines()
        first = next(place for place, line in enumerate(text) if line and not line.startswith("#"))
        places = [place for place, line in enumerate(text) if line.startswith("#SBATCH ")]
        self.assertGreaterEqual(len(places), 8)
        self.assertLess(max(places), first)
        self.assertIn("#SBATCH --requeue", text)

    def test_tasks_do_the_parts(self):
        listed, out = some(self.folder / "list", 6), self.folder / "out"
        # Arrays may begin at any number.
        for index in (5, 6):
            done = self.task(index, 2, listed, out, *SHORT, first=5, LONGVU=PROGRAM)
            self.assertEqual((done.returncode, self.called()), (0, []), done.stderr)
        ids = {f"video-{index:04}" for index in range(6)}
        # That list names the videos by another path.
        whole = [row | {"video": str(VIDEOS / row["video"])} for row in contents(reference()) if row["id"] in ids]
        self.assertEqual(contents(out), whole)

    def test_only_what_broke_down_is_tried_again(self):
        for code, restarts, again in [
            (1, None, True),
            (1, "2", True),
            (137, None, True),
            (1, "3", False),
            (2, None, False),
            (3, None, False),
            (0, None, False),
        ]:
            more = {} if restarts is None else {"SLURM_RESTART_COUNT": restarts}
            done = self.task(1, 4, "list", "out", LONGVU="failing", CODE=str(code), **more)
            calls = ["batch list --out out --shard auto --quiet"] + ["requeue 1234"] * again
            self.assertEqual((done.returncode, self.called()), (code, calls), (code, restarts))

    def test_some_parts_again_are_those_of_the_same_division(self):
        done = self.task(3, 2, "list", "out", "--dtype", "bf16", first=3, LONGVU="failing", CODE="0", SHARDS="8")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(self.called(), ["batch list --out out --shard 3/8 --quiet --dtype bf16"])
        self.assertEqual(self.task(0, 1, "list").returncode, 2)


if __name__ == "__main__":
    unittest.main()
