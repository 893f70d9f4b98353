"""Running the program on drawn videos, and reading what it wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.dataset as dataset

DEPLOY = Path(__file__).resolve().parents[1]
PROGRAM = os.environ["LONGVU_TEST_PROGRAM"]
# 200 videos and list.jsonl.
VIDEOS = Path(os.environ["LONGVU_TEST_VIDEOS"])
WORK = Path(os.environ["LONGVU_TEST_WORK"])
LIST = VIDEOS / "list.jsonl"
# So that most of the time is not the language model's.
SHORT = ["--max-new-tokens", "4"]
SECONDS = ("encode_seconds", "answer_seconds")
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "LONGVU_MODEL"} | {"HF_HUB_OFFLINE": "1"}

sys.path.insert(0, str(DEPLOY))


def batch(out: Path, shard: str, *more: str, listed: Path = LIST) -> list[str]:
    """The command for a part."""
    return [PROGRAM, "batch", str(listed), "--out", str(out), "--shard", shard, "--quiet", *SHORT, *more]


def run(command: list[str], code: int = 0, **more) -> subprocess.CompletedProcess:
    """Runs to the end, which is to be with this exit code."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT, **more)
    assert done.returncode == code, f"{command} ended with {done.returncode}, not {code}:\n{done.stdout}\n{done.stderr}"
    return done


def contents(out: Path) -> list[dict]:
    """Every row of a folder, without what differs from run to run, by name."""
    table = dataset.dataset(out, format="parquet").to_table().drop_columns(list(SECONDS))
    return sorted(table.to_pylist(), key=lambda row: (row["id"], row["question_index"]))


def reference() -> Path:
    """The whole list by one process, answered once for all tests."""
    out = WORK / "reference"
    if not out.exists():
        run(batch(out, "0/1"))
    return out


def written(out: Path, index: int, of: int) -> int:
    """Rows that a part has in its journal."""
    journal = out / "_longvu" / f"part-{index:05}-of-{of:05}" / "answers.jsonl"
    try:
        return journal.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def wait_until(ready, still_running, seconds: float = 120.0) -> None:
    """Waits for something that is to come before a process ends."""
    start = time.monotonic()
    while not ready():
        assert still_running(), "it ended before"
        assert time.monotonic() - start < seconds, "it does not come"
        time.sleep(0.005)


def rows_of(listed: Path = LIST) -> int:
    return sum(len(json.loads(line)["questions"]) for line in listed.read_text().splitlines())


def some(folder: Path, count: int, broken: int | None = None) -> Path:
    """A list of the first videos; one of them may be no video."""
    folder.mkdir(parents=True)
    videos = [json.loads(line) for line in LIST.read_text().splitlines()[:count]]
    for place, video in enumerate(videos):
        video["video"] = str(VIDEOS / video["video"])
        if place == broken:
            (folder / "broken.mp4").write_bytes(b"no video")
            video["video"] = "broken.mp4"
    listed = folder / "list.jsonl"
    listed.write_text("".join(json.dumps(video) + "\n" for video in videos))
    return listed
