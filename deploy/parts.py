#!/usr/bin/env python3
"""Checks that the parts of a `longvu batch` are all there, and puts them together.

    python3 deploy/parts.py OUT [--list LIST.jsonl] [--merged FILE.parquet]

Needs pyarrow. Exit code 0: all parts are there and every row has an answer; 3: some rows have an error; 1: a part is
missing, or rows are missing or there twice; 2: wrong usage.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ANSWERED, BROKEN, USAGE, SOME_FAILED = 0, 1, 2, 3

# The version of the columns that this reads: `longvu.schema` in the metadata of each file.
SCHEMA = b"1"
PART = re.compile(r"part-(\d{5,})-of-(\d{5,})\.parquet")
# Of each kind of complaint so many are told.
SHOWN = 5


@dataclass
class Checked:
    """What a folder of parts came to."""

    parts: list[Path] = field(default_factory=list)
    rows: int = 0
    # `(id, question_index, error)` of rows without an answer.
    failed: list[tuple[str, int, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def code(self) -> int:
        """The exit code."""
        return BROKEN if self.problems else SOME_FAILED if self.failed else ANSWERED

    def text(self) -> str:
        """A few lines for people."""
        lines = [f"{len(self.parts)} parts, {self.rows} rows, {len(self.failed)} of them failed"]
        lines += [f"failed: {video}, question {question}: {error}" for video, question, error in self.failed[:SHOWN]]
        if len(self.failed) > SHOWN:
            lines.append(f"failed: {len(self.failed) - SHOWN} more; their column `error` is not null")
        return "\n".join(lines + [f"problem: {problem}" for problem in self.problems])


def some(things: list) -> str:
    """The first of some things, and how many more there are."""
    shown = ", ".join(str(thing) for thing in things[:SHOWN])
    return shown if len(things) <= SHOWN else f"{shown} and {len(things) - SHOWN} more"


def find(out: Path) -> tuple[list[Path], list[str]]:
    """The parts in a folder in their order, and what is wrong with the set of them."""
    found = sorted((path for path in out.iterdir() if PART.fullmatch(path.name)), key=lambda path: path.name)
    if not found:
        return [], [f"{out} has no part-…-of-….parquet in it"]
    numbers = [tuple(map(int, PART.fullmatch(path.name).groups())) for path in found]
    divisions = sorted({of for _, of in numbers})
    if len(divisions) > 1:
        return found, [f"{out} has parts of several divisions, of {some(divisions)}: keep one of them"]
    missing = sorted(set(range(divisions[0])) - {index for index, _ in numbers})
    return found, [f"parts {some(missing)} of {divisions[0]} are missing"] if missing else []


def expected(path: Path) -> dict[tuple[str, int], str]:
    """The rows that a list asks for, and their questions."""
    rows = {}
    with open(path, encoding="utf-8") as lines:
        for line in filter(str.strip, lines):
            video = json.loads(line)
            rows.update({(video["id"], i): question for i, question in enumerate(video["questions"])})
    return rows


def check(out: Path, listed: Path | None = None) -> Checked:
    """Looks at every row of a folder's parts; with a list, that they are its rows, each once."""
    parts, problems = find(out)
    checked = Checked(parts=parts, problems=problems)
    wanted = None if listed is None else expected(listed)
    seen: set[tuple[str, int]] = set()
    twice, unknown = [], []
    for path in parts:
        version = (pq.read_metadata(path).metadata or {}).get(b"longvu.schema")
        if version != SCHEMA:
            said = "no version" if version is None else f"version {version.decode(errors='replace')}"
            checked.problems.append(f"{path.name} has {said} of columns; this program reads {SCHEMA.decode()}")
            continue
        columns = ["id", "question_index", "question", "error"]
        for row in pq.read_table(path, columns=columns).to_pylist():
            key = (row["id"], row["question_index"])
            checked.rows += 1
            if key in seen:
                twice.append(key)
            seen.add(key)
            if wanted is not None and wanted.get(key) != row["question"]:
                unknown.append(key)
            if row["error"] is not None:
                checked.failed.append((*key, row["error"]))
    if twice:
        checked.problems.append(f"rows are there twice: {some(twice)}")
    if unknown:
        checked.problems.append(f"rows are not of the list: {some(unknown)}")
    if wanted is not None and (missing := [key for key in wanted if key not in seen]):
        checked.problems.append(f"rows of the list are missing: {some(missing)}")
    return checked


def merge(parts: list[Path], merged: Path) -> None:
    """Writes the parts' rows to one file, part after part, which appears when it is complete."""
    first = pq.ParquetFile(parts[0])
    versions = {key: value for key, value in first.metadata.metadata.items() if key.startswith(b"longvu.")}
    schema = first.schema_arrow.with_metadata(versions)
    draft = merged.with_name(f".{merged.name}.{os.getpid()}.tmp")
    try:
        with pq.ParquetWriter(draft, schema, compression="zstd") as writer:
            for path in parts:
                with pq.ParquetFile(path) as part:
                    for batch in part.iter_batches():
                        writer.write_batch(batch)
        draft.replace(merged)
    finally:
        draft.unlink(missing_ok=True)


def is_in(merged: Path, out: Path) -> bool:
    """Whether a reader of the folder of parts would read the merged file with them."""
    return out.resolve() in merged.resolve().parents


def finish(out: Path, listed: Path | None, merged: Path | None) -> int:
    """Checks, merges where nothing is wrong, says what came of it, and returns the exit code."""
    checked = check(out, listed)
    print(checked.text(), flush=True)
    if merged is not None:
        if checked.problems:
            print(f"{merged} was not written", file=sys.stderr)
        else:
            merge(checked.parts, merged)
            print(f"{merged}: {checked.rows} rows", flush=True)
    return checked.code


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], allow_abbrev=False)
    parser.add_argument("out", type=Path, help="folder that --out of `longvu batch` names")
    parser.add_argument("--list", type=Path, metavar="LIST.jsonl", help="check that its rows are there, each once")
    parser.add_argument("--merged", type=Path, metavar="FILE.parquet", help="write all rows to this file")
    args = parser.parse_args()
    if not args.out.is_dir():
        parser.error(f"{args.out} is no folder")
    if args.merged is not None and is_in(args.merged, args.out):
        parser.error("--merged is in OUT: who reads that folder would read every row twice; name another place")
    try:
        return finish(args.out, args.list, args.merged)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        print(f"error: {error}", file=sys.stderr)
        return BROKEN


if __name__ == "__main__":
    sys.exit(main())
