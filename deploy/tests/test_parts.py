"""Parts of a list: killed and gone on, read by others, counted."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import duckdb
import pandas
import pyarrow.parquet as pq
from support import DEPLOY, LIST, batch, contents, reference, rows_of, run, some, wait_until, written


def kill_at(rows: int, out: Path, index: int, of: int) -> None:
    """Starts a part, and kills it when so many of its rows are written."""
    process = subprocess.Popen(batch(out, f"{index}/{of}"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: written(out, index, of) >= rows, lambda: process.poll() is None)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -9, "it was done before it was killed"


class Parts(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.out = self.folder / "out"

    def parts(self, *arguments, code: int = 0) -> str:
        return run([sys.executable, str(DEPLOY / "parts.py"), *map(str, arguments)], code).stdout

    def test_one_part_killed_at_three_places_ends_as_if_it_had_not_been(self):
        for rows in (1, rows_of() // 2, rows_of() - 10):
            kill_at(rows, self.out, 0, 1)
            self.assertEqual(list(self.out.glob("*.parquet")), [])
        run(batch(self.out, "0/1"))
        self.assertEqual(contents(self.out), contents(reference()))

    def test_four_parts_killed_at_three_places_end_as_one(self):
        for index, rows in ((0, 1), (1, 40), (2, 70)):
            kill_at(rows, self.out, index, 4)
        self.parts(self.out, code=1)
        for index in range(4):
            run(batch(self.out, f"{index}/4"))
        self.assertEqual(contents(self.out), contents(reference()))
        self.assertIn(f"4 parts, {rows_of()} rows, 0 of them failed", self.parts(self.out, "--list", LIST))

    def test_arrow_duckdb_and_pandas_read_the_folder(self):
        table = pq.read_table(reference())
        self.assertEqual(table.num_rows, rows_of())
        self.assertEqual(len(set(zip(table["id"].to_pylist(), table["question_index"].to_pylist()))), rows_of())
        part = next(reference().glob("*.parquet"))
        self.assertEqual(pq.read_metadata(part).metadata[b"longvu.schema"], b"1")
        count, answers, tokens = duckdb.sql(
            f"SELECT count(*), count(answer), sum(list_sum(kept_tokens)) FROM '{reference()}/*.parquet'"
        ).fetchall()[0]
        self.assertEqual((count, answers), (rows_of(), rows_of()))
        self.assertEqual(tokens, sum(map(sum, table["kept_tokens"].to_pylist())))
        self.assertEqual(tokens, sum(table["visual_tokens"].to_pylist()))
        frame = pandas.read_parquet(reference())
        self.assertEqual(frame["visual_tokens"].sum(), tokens)
        metadata = duckdb.sql(f"SELECT value::VARCHAR FROM parquet_kv_metadata('{part}') WHERE key = 'longvu.schema'")
        self.assertEqual(metadata.fetchall(), [("1",)])

    def test_a_video_that_cannot_be_read_is_rows_with_an_error(self):
        listed = some(self.folder / "list", 6, broken=2)
        broken = json.loads(listed.read_text().splitlines()[2])
        done = run(batch(self.out, "0/1", listed=listed), 3)
        self.assertIn("an error", done.stderr)
        rows = contents(self.out)
        failed = [row for row in rows if row["error"] is not None]
        self.assertEqual({row["id"] for row in failed}, {broken["id"]})
        self.assertEqual(len(failed), len(broken["questions"]))
        self.assertTrue(all(row["answer"] is None for row in failed))
        self.assertTrue(all(row["answer"] is not None for row in rows if row["error"] is None))
        text = self.parts(self.out, "--list", listed, code=3)
        self.assertIn(f"{len(rows)} rows, {len(failed)} of them failed\nfailed: {broken['id']}, question 0", text)

    def test_what_is_missing_or_there_twice_is_told(self):
        listed = some(self.folder / "list", 6)
        for index in range(2):
            run(batch(self.out, f"{index}/2", listed=listed))
        one, other = (self.out / f"part-0000{index}-of-00002.parquet" for index in range(2))
        merged = self.folder / "merged.parquet"
        self.parts(self.out, "--list", listed, "--merged", merged)
        table = pq.read_table(merged)
        self.assertEqual(table.to_pylist(), pq.read_table(one).to_pylist() + pq.read_table(other).to_pylist())
        self.assertEqual(pq.read_metadata(merged).metadata[b"longvu.schema"], b"1")
        self.parts(self.out, "--merged", self.out / "merged.parquet", code=2)
        merged.unlink()

        aside = self.folder / "aside"
        other.rename(aside)
        text = self.parts(self.out, "--list", listed, "--merged", merged, code=1)
        self.assertIn("parts 1 of 2 are missing", text)
        self.assertIn("rows of the list are missing", text)
        self.assertFalse(merged.exists())
        shutil.copy(one, other)
        self.assertIn("rows are there twice", self.parts(self.out, code=1))
        shutil.copy(aside, other)
        shutil.copy(one, self.out / "part-00000-of-00003.parquet")
        self.assertIn("several divisions, of 2, 3", self.parts(self.out, code=1))
        (self.out / "part-00000-of-00003.parquet").unlink()
        self.assertIn("rows are not of the list", self.parts(self.out, "--list", some(self.folder / "few", 3), code=1))


if __name__ == "__main__":
    unittest.main()
