#!/usr/bin/env python3
"""Times this implementation against PyTorch, alternately and on the same cores, and prints a table of ratios.

  run.py measure [CASE ...] [--rounds N] [--runs N] [--threads N] [--video-seconds N] [--out FILE] [--ours FOLDER]
  run.py render  [--out FILE]     writes the table of a measurement into docs/performance.md

`measure` makes a virtual environment with PyTorch and builds our side in release, both under the target folder. Then, case
by case, it runs the two sides in turn, each time as a fresh process with one warm-up. What is compared are medians.
"""
import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from cases import CASES, PEAKS
from table import table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
FOLDER = TARGET / "peers"
PACKAGES = ["torch==2.1.2", "numpy==1.26.4", "transformers==4.42.4", "decord==0.6.0", "pillow==10.4.0"]
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- bench-peers:begin -->", "<!-- bench-peers:end -->"


def say(text):
    print(text, file=sys.stderr, flush=True)


def python():
    """A Python that PyTorch 2.1.2 has wheels for."""
    names = [os.environ.get("PYTHON"), "python3", "python3.11", "python3.10", "python3.9", "python3.8"]
    for name in filter(None, names):
        check = "import sys; sys.exit(not (3, 8) <= sys.version_info[:2] <= (3, 11))"
        if shutil.which(name) and subprocess.run([name, "-c", check]).returncode == 0:
            return name
    sys.exit("PyTorch 2.1.2 needs Python 3.8 to 3.11, and none was found; name one in PYTHON")


def environment():
    """The interpreter of a virtual environment with the peers' packages."""
    venv = FOLDER / "venv"
    stamp = venv / "packages"
    wanted = "\n".join(PACKAGES)
    if not stamp.exists() or stamp.read_text() != wanted:
        say(f"installing {' '.join(PACKAGES)}")
        FOLDER.mkdir(parents=True, exist_ok=True)
        subprocess.run([python(), "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin" / "pip", "install", "-q", *PACKAGES], check=True)
        stamp.write_text(wanted)
    return venv / "bin" / "python"


def build():
    say("building our side in release")
    examples = [word for name in ("peers", "bench_video") for word in ("--example", name)]
    subprocess.run(["cargo", "build", "--release", "--workspace", *examples], cwd=ROOT, check=True)
    return TARGET / "release" / "examples"


def clip(seconds):
    """A 1080p video of FFmpeg's test pattern."""
    file = FOLDER / f"testsrc2-{seconds}s.mp4"
    if not file.exists():
        part = file.with_suffix(".part.mp4")
        source = f"testsrc2=size=1920x1080:rate=25:duration={seconds}"
        encoder = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "35", "-pix_fmt", "yuv420p"]
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source, *encoder, part], check=True)
        part.rename(file)
    return file


def sample(command, threads):
    """One process of one side: the JSON of its last line of output."""
    variables = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"]
    env = os.environ | {name: str(threads) for name in variables}
    command = [str(word) for word in command]
    result = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(command)} failed with {result.returncode}:\n{result.stderr}")
    figures = json.loads(result.stdout.strip().splitlines()[-1])
    # The video programs time one run, from a file not yet open to the last frame.
    if "peak_gib" in figures:
        figures |= {"seconds": [figures["seconds"]], "peak_bytes": round(figures["peak_gib"] * 2**30)}
    return figures


def summary(samples):
    """The median of the rounds' medians, and the rest of the first round's figures."""
    seconds = [second for one in samples for second in one["seconds"]]
    median = statistics.median(statistics.median(one["seconds"]) for one in samples)
    peak = max(one["peak_bytes"] for one in samples)
    return samples[0] | {"median": median, "best": min(seconds), "seconds": seconds, "peak_bytes": peak}


def measure_case(case, options, commands):
    theirs, ours = [], [[] for _ in case.variants]
    runs = min(case.runs or options.runs, options.runs)
    for _ in range(min(case.rounds or options.rounds, options.rounds)):
        theirs.append(sample(commands.theirs(case, runs), options.threads))
        for samples, variant in zip(ours, case.variants):
            samples.append(sample(commands.ours(case, variant, runs), options.threads))
    result = {"name": case.name, "theirs": summary(theirs), "ours": [summary(samples) for samples in ours]}
    medians = [f"{variant.label} {one['median']:.4g} s" for variant, one in zip(case.variants, result["ours"])]
    say(f"{case.name}: PyTorch {result['theirs']['median']:.4g} s, ours {', '.join(medians)}")
    return result


class Commands:
    """The command lines of both sides."""

    def __init__(self, interpreter, programs, video_seconds):
        self.interpreter, self.programs, self.video_seconds = interpreter, programs, video_seconds

    def theirs(self, case, runs):
        if case.name == "video":
            return [self.interpreter, HERE / "decord_pillow.py", clip(self.video_seconds), "1"]
        return [self.interpreter, HERE / "theirs.py", case.name, "--runs", runs]

    def ours(self, case, variant, runs):
        if case.name == "video":
            return [self.programs / "bench_video", clip(self.video_seconds), "1"]
        return [self.programs / "peers", case.name, "--runs", runs, *variant.arguments]


def machine(threads):
    cpu = "unknown"
    with open("/proc/cpuinfo") as info:
        cpu = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), cpu)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": cpu, "threads": threads, "memory_bytes": memory, "system": platform.platform()}


def measure(options):
    known = [case.name for case in CASES]
    unknown = set(options.cases) - set(known)
    if unknown:
        sys.exit(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    chosen = PEAKS + [case for case in CASES if not options.cases or case.name in options.cases]
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:options.threads])
    interpreter = environment()
    commands = Commands(interpreter, options.ours or build(), options.video_seconds)
    report = {"machine": machine(options.threads), "when": time.strftime("%Y-%m-%d"), "packages": PACKAGES,
              "rounds": options.rounds, "runs": options.runs, "video_seconds": options.video_seconds,
              "cases": [measure_case(case, options, commands) for case in chosen]}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1))
    print(table(report))
    say(f"the figures are in {options.out}")


def render(options):
    text = PAGE.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(f"{PAGE} needs one {BEGIN} and one {END}")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    report = json.loads(options.out.read_text())
    part = PAGE.with_suffix(".part")
    part.write_text(f"{before}{BEGIN}\n\n{table(report)}\n{END}{after}")
    part.rename(PAGE)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["measure", "render"])
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--rounds", type=int, default=3, help="turns of the two sides")
    parser.add_argument("--runs", type=int, default=2, help="timed runs of a process")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--video-seconds", type=int, default=600)
    parser.add_argument("--out", type=Path, default=FOLDER / "results.json")
    parser.add_argument("--ours", type=Path, help="a folder with our programs already built")
    options = parser.parse_args()
    (measure if options.command == "measure" else render)(options)


if __name__ == "__main__":
    main()
