"""What a task is to take, from the program's own forecasts."""

from __future__ import annotations

import argparse
import unittest

from support import DEPLOY, PROGRAM

import task_size

QWEN = str(DEPLOY.parent / "configs" / "longvu_qwen2_7b")
GIB = 1 << 30


def asked(**given) -> argparse.Namespace:
    return argparse.Namespace(**({"memory": None, "num_cpus": None, "num_gpus": None, "gpu_memory": None} | given))


class TaskSize(unittest.TestCase):
    def test_flags_that_memory_depends_on_are_passed_on(self):
        given = ["-m", "x", "--dtype=bf16", "--top-k", "3", "--fps", "2", "--low-memory", "--encodings", "e"]
        self.assertEqual(task_size.planned(given), ["--model=x", "--dtype=bf16", "--fps=2", "--low-memory"])
        with self.assertRaisesRegex(ValueError, "--model"):
            task_size.planned(["--model"])

    def test_on_a_cpu_it_is_the_forecast(self):
        plan = task_size.forecast(PROGRAM, "1h", ["--model", QWEN, "--dtype", "bf16"])
        size = task_size.size(plan, asked())
        self.assertEqual((size.memory, size.gpus, size.cpus), (plan["peak"], 0, None))
        self.assertTrue(18 * GIB < size.memory < 20 * GIB)
        # Three fit into the first node by memory, and get its cores; the second has room for none.
        nodes = [{"CPU": 16.0, "memory": 64.0 * GIB}, {"CPU": 16.0, "memory": 8.0 * GIB}]
        self.assertEqual(task_size.settle(size, nodes, False).cpus, 5)
        with self.assertRaisesRegex(ValueError, "no node has room"):
            task_size.settle(size, nodes[1:], False)
        self.assertEqual(task_size.settle(size, nodes[1:], True).cpus, 1)

    def test_on_a_gpu_the_machine_has_the_rest(self):
        plan = task_size.forecast(PROGRAM, "1h", ["--model", QWEN, "--device", "cuda:0", "--dtype", "bf16"])
        size = task_size.size(plan, asked())
        self.assertEqual(size.gpus, 1)
        self.assertTrue(4 * GIB < size.memory < 5 * GIB)
        node = {"CPU": 64.0, "GPU": 8.0, "memory": 512.0 * GIB}
        self.assertEqual(task_size.settle(size, [node], False).cpus, 8)
        shared = task_size.size(plan, asked(gpu_memory=80 * GIB))
        self.assertEqual((shared.gpus, shared.fits(node)), (1 / 4, 32))
        self.assertEqual(task_size.size(plan, asked(num_gpus=2.0)).gpus, 2)
        with self.assertRaisesRegex(ValueError, "a task needs"):
            task_size.size(plan, asked(gpu_memory=16 * GIB))

    def test_what_the_program_refuses_is_told(self):
        with self.assertRaisesRegex(ValueError, "exit code 2.*--fps"):
            task_size.forecast(PROGRAM, "1h", ["--fps", "none"])


if __name__ == "__main__":
    unittest.main()
