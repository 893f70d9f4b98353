"""The example, run as it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support import Server, WithServer, path, question

ASK = Path(__file__).resolve().parents[1] / "ask.py"


class Ask(WithServer):
    def run_it(self, *arguments: str, server: Server | None = None) -> subprocess.CompletedProcess:
        url = (server or self.server).url
        command = [sys.executable, str(ASK), *arguments, "--base-url", f"{url}/v1"]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    def test_it_answers_the_same_in_every_way(self):
        answers = set()
        for flags in ([], ["--inline"], ["--whole"], ["--whole", "--inline"]):
            done = self.run_it(str(path()), question(), *flags)
            self.assertEqual(done.returncode, 0, done.stderr)
            answers.add(done.stdout.strip())
            self.assertIn("frames looked at", done.stderr)
            self.assertIn("tokens asked", done.stderr)
        self.assertEqual(len(answers), 1, answers)
        self.assertTrue(answers.pop())
        self.assertEqual(list(self.client.files.list()), [], "it removes what it uploaded")

    def test_it_passes_settings_on(self):
        done = self.run_it(str(path()), question(), "--fps", "3", "--start", "1", "--end", "2")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(" 3 frames looked at", done.stderr)

    def test_it_says_what_is_wrong(self):
        done = self.run_it(str(ASK), "What is it?")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r"^refused with 400: .+ \(messages\[0\]\.content\[0\]\.video_url\.url\)\n$")
        done = self.run_it("nowhere.mp4", "What is it?")
        self.assertEqual((done.returncode, done.stderr), (1, "nowhere.mp4: No such file or directory\n"))
        done = self.run_it(str(path()), "What is it?", "--model", "gpt-4o")
        self.assertIn("refused with 404", done.stderr)

    def test_it_says_when_nobody_answers(self):
        gone = Server()
        gone.stop()
        done = self.run_it("Hello?", server=gone)
        self.assertEqual(done.returncode, 1)
        self.assertIn("does not answer", done.stderr)
