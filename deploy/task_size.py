"""How large a task is: what `longvu plan` forecasts, on the nodes that there are."""

from __future__ import annotations

import argparse
import json
import subprocess
from dataclasses import dataclass

# The flags of `longvu batch` that memory depends on, by which `longvu plan` knows them, too.
VALUED = [
    ("-m", "--model"),
    ("--towers",),
    ("--revision",),
    ("-d", "--device"),
    ("--dtype",),
    ("--quantize",),
    ("--max-len",),
    ("--tower-batch",),
    ("--fps",),
    ("--max-frames",),
    ("--max-new-tokens",),
]
SWITCHES = ["--low-memory"]
# What is in the machine's memory even when a GPU computes.
ON_HOST = ("program", "reading", "frames")
MIB = 1 << 20
# What a GPU's driver and compiler take of the machine's memory, which no forecast has; an estimate.
GPU_DRIVER = 4 << 30


@dataclass
class Size:
    """What Ray sets aside for a task."""

    memory: int
    gpus: float
    # None until it is known which nodes there are.
    cpus: float | None

    def text(self) -> str:
        return f"{self.memory / MIB:.0f} MiB, {self.cpus:g} CPUs, {self.gpus:g} GPUs"

    def fits(self, node: dict[str, float]) -> int:
        """How many of these a node has room for, by memory and GPUs, and by cores where they are given."""
        wanted = {"memory": self.memory, "GPU": self.gpus, "CPU": self.cpus if self.cpus is not None else 1}
        return min(int(node.get(name, 0) / amount + 1e-9) for name, amount in wanted.items() if amount > 0)


def planned(passed: list[str]) -> list[str]:
    """Those of the arguments for `longvu batch` that a forecast depends on."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for names in VALUED:
        parser.add_argument(*names)
    for name in SWITCHES:
        parser.add_argument(name, action="store_true")
    try:
        known, _ = parser.parse_known_args(passed)
    except argparse.ArgumentError as error:
        raise ValueError(f"after --: {error}") from error
    flags = []
    for name, value in vars(known).items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            flags.append(flag)
        elif value not in (None, False):
            flags.append(f"{flag}={value}")
    return flags


def forecast(program: str, longest: str, passed: list[str]) -> dict:
    """What `longvu plan` says of the longest video."""
    command = [program, "plan", "--json", "--quiet", f"--video={longest}", *planned(passed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        told = done.stderr.decode(errors="replace").strip()
        raise ValueError(f"`{' '.join(command)}` ended with exit code {done.returncode}: {told}")
    return json.loads(done.stdout)


def size(plan: dict, args: argparse.Namespace) -> Size:
    """The size that a forecast comes to, where the arguments do not say another."""
    gpu = plan["settings"]["compute"] == "gpu"
    held = plan["peak"]
    if gpu:
        on_host = (sum(item["bytes"] for item in stage["items"] if item["kind"] in ON_HOST) for stage in plan["stages"])
        held = max(on_host) + GPU_DRIVER
    gpus = float(gpu)
    if gpu and args.gpu_memory is not None:
        tasks = args.gpu_memory // plan["peak"]
        if tasks == 0:
            advice = "; what would fit: `longvu plan` with the same settings and --device-memory"
            raise ValueError(f"a task needs {plan['peak']} bytes of a GPU's {args.gpu_memory}{advice}")
        gpus = 1 / tasks
    memory = args.memory if args.memory is not None else held
    return Size(memory, args.num_gpus if args.num_gpus is not None else gpus, args.num_cpus)


def settle(task: Size, nodes: list[dict[str, float]], any_nodes: bool) -> Size:
    """Gives a task its cores, as many as leave none idle, and refuses a size that no node has room for."""
    rooms = [(node, task.fits(node)) for node in nodes]
    rooms = [(node, room) for node, room in rooms if room > 0]
    if not rooms and not any_nodes:
        wanted, there = Size(task.memory, task.gpus, task.cpus or 1).text(), "; ".join(map(told, nodes)) or "none"
        flags = "--memory, --num-cpus, --num-gpus, --any-nodes"
        raise ValueError(f"no node has room for a task of {wanted}; the nodes have {there} ({flags})")
    if task.cpus is None:
        cpus = min((max(1, node["CPU"] // room) for node, room in rooms), default=1)
        return Size(task.memory, task.gpus, cpus)
    return task


def told(node: dict[str, float]) -> str:
    memory, cpus, gpus = node.get("memory", 0) / MIB, node.get("CPU", 0), node.get("GPU", 0)
    return f"{memory:.0f} MiB, {cpus:g} CPUs, {gpus:g} GPUs"
