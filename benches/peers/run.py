#!/usr/bin/env python3
"""Times this implementation against others, alternately and on the same cores, and prints tables of ratios.

  run.py measure [CASE ...] [--peers A,B] [--formats A,B] [--levels A,B] [--rounds N] [--runs N] [--threads N]
                 [--video-seconds N] [--out FILE] [--ours FOLDER]
  run.py render  [FILE ...]       writes the tables of measurements of one machine, the last of each case, into docs/performance.md

`measure` installs the peers and builds our side in release, both under the target folder. Then, case by case, it runs all
sides in turn, each time as a fresh process with one warm-up. What is compared are medians. A peer that can't be had on this
machine is left out, and the tables say so.
"""
import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from cases import CASES, MEMORY_PEAK
from peers import PEERS, Absent
from table import tables

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
FOLDER = TARGET / "peers"
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- bench-peers:begin -->", "<!-- bench-peers:end -->"
# A process that takes longer is left out: on a processor without instructions for a format, some take minutes a run.
TOO_LONG = 1200


def say(text):
    print(text, file=sys.stderr, flush=True)


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


class Failed(Exception):
    """Why a process has no figures."""


def output(command, threads, level=None):
    """What one process of one side prints last, read as JSON."""
    env = os.environ | {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")}
    if level:
        env["LONGVU_KERNELS"] = level
    command = [str(word) for word in command]
    try:
        result = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=TOO_LONG)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"took more than {TOO_LONG} s") from error
    if result.returncode < 0:
        raise Failed(f"was ended by {signal.Signals(-result.returncode).name}")
    if result.returncode:
        raise Failed((result.stderr.strip().splitlines() or [f"ended with {result.returncode}"])[-1])
    return json.loads(result.stdout.strip().splitlines()[-1])


def sample(command, threads, level=None):
    figures = output(command, threads, level)
    # The video programs time one run, from a file not yet open to the last frame.
    if "peak_gib" in figures:
        figures |= {"seconds": [figures["seconds"]], "peak_bytes": round(figures["peak_gib"] * 2**30)}
    return figures


def summary(samples):
    """The median of the rounds' medians, and the rest of the first round's figures."""
    seconds = [second for one in samples for second in one["seconds"]]
    median = statistics.median(statistics.median(one["seconds"]) for one in samples)
    peak = max((one["peak_bytes"] for one in samples if "peak_bytes" in one), default=None)
    return samples[0] | {"median": median, "best": min(seconds), "seconds": seconds, "peak_bytes": peak}


class Side:
    """One column of one row: who runs, what it is called, and how it starts."""

    def __init__(self, who, form, command, level=None):
        self.who, self.form, self.command, self.level = who, form, command, level
        self.samples, self.failure = [], None

    @property
    def title(self):
        return " ".join(filter(None, [self.who, self.form, self.level]))

    def take(self, threads):
        if self.failure is None:
            try:
                self.samples.append(sample(self.command, threads, self.level))
            except Failed as failed:
                self.failure = str(failed)

    def result(self):
        described = {"who": self.who, "format": self.form, "level": self.level}
        return described | ({"failure": self.failure} if self.failure else summary(self.samples))


class Measurement:
    """The sides of each case, and their turns."""

    def __init__(self, options, programs, peers):
        self.options, self.programs, self.peers = options, programs, peers

    def ours(self, case, variant, runs):
        if case.name == "video":
            return [self.programs / "bench_video", clip(self.options.video_seconds), "1"]
        return [self.programs / "peers", case.name, "--runs", runs, *variant.arguments]

    def theirs(self, peer, case, form, runs):
        if case.name == "video":
            return peer.video(clip(self.options.video_seconds))
        return peer.command(case, form, runs, self.options.threads)

    def sides(self, case, runs):
        wanted = self.options.formats if case.bound != "else" else []
        chosen = [variant for variant in case.variants if not wanted or variant.label in wanted]
        labels = [variant.label for variant in chosen]
        for peer in self.peers:
            if peer.times(case):
                for form in dict.fromkeys(form for label in labels for form in peer.formats.get(label, [])):
                    yield Side(peer.name, form, self.theirs(peer, case, form, runs))
        levels = self.options.levels if case.bound != "else" else []
        for level in [None, *levels]:
            for variant in chosen:
                yield Side("ours", variant.label, self.ours(case, variant, runs), level)

    def case(self, case):
        # A token takes a hundredth of a second, of which the first few say little.
        runs = max(10, self.options.runs) if case.bound == "token" else min(case.runs or self.options.runs, self.options.runs)
        sides = list(self.sides(case, runs))
        for _ in range(min(case.rounds or self.options.rounds, self.options.rounds)):
            for side in sides:
                side.take(self.options.threads)
        results = [side.result() for side in sides]
        for side, result in zip(sides, results):
            if side.failure and side.who == "ours" and not side.level:
                sys.exit(f"{case.name}, {side.title}: {side.failure}")
            say(f"{case.name}, {side.title}: {side.failure or format(result['median'], '.4g') + ' s'}")
        return {"name": case.name, "results": results}


def machine(threads):
    cpu = "unknown"
    with open("/proc/cpuinfo") as info:
        cpu = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), cpu)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": cpu, "threads": threads, "memory_bytes": memory, "system": platform.platform()}


def prepared(options):
    """The peers that are there, and why others are not."""
    there, absent = [], {}
    for kind in PEERS:
        peer = kind(FOLDER)
        # A build for a level stands beside ours at that level, and comes with its like.
        wanted = peer.level in options.levels and peer.title in options.peers if peer.level else peer.name in options.peers
        if wanted:
            try:
                peer.prepare(say)
                there.append(peer)
            except Absent as reason:
                say(f"left out: {peer.name}: {reason}")
                absent[peer.name] = str(reason)
    return there, absent


def head(options, programs, peers, absent):
    """What a report says beside its cases."""
    report = {"machine": machine(options.threads), "when": time.strftime("%Y-%m-%d"), "rounds": options.rounds,
              "runs": options.runs, "video_seconds": options.video_seconds, "absent": absent, "instructions": [], "cases": []}
    report["peers"] = {peer.name: {"title": peer.title, "level": peer.level, "formats": peer.formats, "versions": peer.versions}
                       for peer in peers}
    try:
        report["instructions"] = output([programs / "peers", "instruction-peaks"], options.threads)
    except Failed as failed:
        absent["the table of instructions"] = str(failed)
    return report


def measure(options):
    known = [case.name for case in CASES]
    for what, named, all_of_them in [("case", options.cases, known), ("peer", options.peers, names())]:
        if unknown := set(named) - set(all_of_them):
            sys.exit(f"no such {what}: {', '.join(sorted(unknown))}; there are {', '.join(all_of_them)}")
    programs = options.ours or build()
    peers, absent = prepared(options)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:options.threads])
    measurement = Measurement(options, programs, peers)
    report = head(options, programs, peers, absent)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for case in [MEMORY_PEAK] + [case for case in CASES if not options.cases or case.name in options.cases]:
        report["cases"].append(measurement.case(case))
        options.out.write_text(json.dumps(report, indent=1))
    print(tables(report))
    say(f"the figures are in {options.out}")


def render(options):
    text = PAGE.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(f"{PAGE} needs one {BEGIN} and one {END}")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    report, *others = [json.loads(Path(file).read_text()) for file in options.cases or [options.out]]
    for other in others:
        if other["machine"] != report["machine"]:
            sys.exit(f"measurements of {report['machine']} and {other['machine']}")
        cases = {case["name"]: case for case in report["cases"] + other["cases"]}
        report["cases"] = list(cases.values())
    part = PAGE.with_suffix(".part")
    part.write_text(f"{before}{BEGIN}\n\n{tables(report)}\n{END}{after}")
    part.rename(PAGE)


def names():
    return [peer.name for peer in PEERS if not peer.level]


def listed(text):
    return [word for word in text.split(",") if word]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["measure", "render"])
    parser.add_argument("cases", nargs="*", metavar="CASE|FILE", help="what to measure, or measurements to render")
    parser.add_argument("--peers", type=listed, default=names(), help=f"some of {','.join(names())}")
    parser.add_argument("--formats", type=listed, default=[], help="some of f32,f16,bf16,int8,int4; all unless named")
    parser.add_argument("--levels", type=listed, default=[], help="values of LONGVU_KERNELS that ours is timed with, too")
    parser.add_argument("--rounds", type=int, default=3, help="turns of the sides")
    parser.add_argument("--runs", type=int, default=2, help="timed runs of a process")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--video-seconds", type=int, default=600)
    parser.add_argument("--out", type=Path, default=FOLDER / "results.json")
    parser.add_argument("--ours", type=Path, help="a folder with our programs already built")
    options = parser.parse_args()
    (measure if options.command == "measure" else render)(options)


if __name__ == "__main__":
    main()
