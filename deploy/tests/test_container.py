"""The container file: what a linter says of it, and what can be checked of it without building it."""

from __future__ import annotations

import platform
import re
import shlex
import shutil
import subprocess
import sys
import unittest

from support import DEPLOY, PROGRAM

FILE = DEPLOY / "container" / "Containerfile"
DOCUMENTATION = DEPLOY.parent / "docs" / "server.md"


class Container(unittest.TestCase):
    def setUp(self):
        lines = [line for line in FILE.read_text().splitlines() if not line.startswith("#")]
        self.instructions = "\n".join(lines).replace("\\\n", " ").splitlines()

    def last(self, name: str) -> str:
        return [line for line in self.instructions if line.startswith(f"{name} ")][-1].removeprefix(f"{name} ").strip()

    def test_a_linter_finds_nothing(self):
        self.lint(FILE.read_text(), 0)
        self.lint(FILE.read_text().replace("bookworm-slim", "latest"), 1)

    def lint(self, text: str, code: int):
        done = subprocess.run(["hadolint", "-"], input=text, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)

    def test_it_is_no_root_and_asks_for_a_key(self):
        self.assertRegex(self.last("USER"), r"^[1-9]\d*:[1-9]\d*$")
        command = re.findall(r'"([^"]*)"', self.last("ENTRYPOINT"))
        self.assertEqual(command[:2], ["longvu", "serve"])
        self.assertIn("--api-key-file", command)
        # A flag that there is not, or a value that makes no sense, is told before the missing keys are.
        done = subprocess.run([PROGRAM, *command[1:]], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("/run/secrets/longvu-keys", done.stderr)
        self.assertIn("/run/secrets/longvu-keys:ro", FILE.read_text())

    def test_it_has_the_libraries_that_the_program_asks_for(self):
        release = platform.freedesktop_os_release() if sys.platform == "linux" else {}
        if release.get("VERSION_CODENAME") != "bookworm" or not shutil.which("readelf"):
            self.skipTest("the libraries are those of another system")
        dynamic = subprocess.run(["readelf", "-d", PROGRAM], capture_output=True, text=True, check=True).stdout
        needed = re.findall(r"NEEDED.*\[(\S+)\]", dynamic)
        self.assertTrue(needed)
        installed = shlex.split([line for line in self.instructions if "apt-get install" in line][-1])
        for library in needed:
            owners = subprocess.run(["dpkg", "-S", f"*/{library}"], capture_output=True, text=True, check=True).stdout
            packages = {line.split(":")[0] for line in owners.splitlines()}
            self.assertTrue(packages & {"libc6", "libgcc-s1", *installed}, f"{library} is of {packages}")
