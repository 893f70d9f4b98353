"""The server's unit: what systemd says of it, and a server that lives within what it forbids."""

from __future__ import annotations

import base64
import ctypes
import ctypes.util
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

from support import DEPLOY, ENVIRONMENT, LIST, PROGRAM, VIDEOS

UNIT = DEPLOY / "systemd" / "longvu.service"
KEY = "of-the-test"
# Of systemd's own scale, from 0 to 10.
EXPOSURE = 2.0
# Of Linux: prctl to forbid memory that is written and run, seccomp to answer with an error.
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
SCMP_ACT_ALLOW, EPERM = 0x7FFF0000, 1
SCMP_ACT_EPERM = 0x00050000 | EPERM


def values(name: str) -> list[str]:
    """All values of a setting, in order."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


def calls(names: list[str]) -> set[str]:
    """The system calls of groups and names."""
    found = set()
    for name in names:
        if not name.startswith("@"):
            found.add(name)
            continue
        done = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True)
        found |= calls([line.strip() for line in done.stdout.splitlines()[1:] if line.strip() and "#" not in line])
    return found


def allowed() -> set[str]:
    """What the unit leaves of the system calls."""
    left = set()
    for value in values("SystemCallFilter"):
        if value.startswith("~"):
            left -= calls(value[1:].split())
        else:
            left |= calls(value.split())
    return left


def confine(names: list[bytes], seccomp: ctypes.CDLL) -> None:
    """Has this process, and what it starts, live as systemd would. Called between fork and exec."""
    seccomp.seccomp_init.restype = ctypes.c_void_p
    seccomp.seccomp_init.argtypes = [ctypes.c_uint32]
    seccomp.seccomp_rule_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint]
    seccomp.seccomp_load.argtypes = [ctypes.c_void_p]
    rules = seccomp.seccomp_init(SCMP_ACT_EPERM)
    for name in names:
        # Names of other architectures have no number here.
        number = seccomp.seccomp_syscall_resolve_name(name)
        if number >= 0 and seccomp.seccomp_rule_add(rules, SCMP_ACT_ALLOW, number, 0) != 0:
            os._exit(97)
    # An older kernel does not have it.
    ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)
    if seccomp.seccomp_load(rules) != 0:
        os._exit(98)


class Systemd(unittest.TestCase):
    def setUp(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not installed")
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def analyze(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess:
        unit = self.folder / "longvu.service"
        unit.write_text((text or UNIT.read_text()).replace("/usr/local/bin/longvu", PROGRAM))
        command = ["systemd-analyze", *arguments, "--no-pager", str(unit)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def test_systemd_reads_it(self):
        done = self.analyze("verify", "--man=no")
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))
        wrong = self.analyze("verify", "--man=no", text=UNIT.read_text().replace("ProtectSystem=strict", "ProtectSystem=much"))
        self.assertIn("much", wrong.stderr)

    def test_it_exposes_little(self):
        done = self.analyze("security", "--offline=true", f"--threshold={int(EXPOSURE * 10)}")
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_it_is_stopped_after_the_grace_that_requests_have(self):
        [command] = values("ExecStart")
        grace = int(re.search(r"--grace (\d+)", command)[1])
        self.assertGreater(int(values("TimeoutStopSec")[0]), grace + 10)

    def test_a_server_answers_within_what_it_forbids(self):
        """The unit's command, system calls and memory; without a user, folders and groups of its own, which need systemd."""
        library = ctypes.util.find_library("seccomp") or "libseccomp.so.2"
        try:
            seccomp = ctypes.CDLL(library)
        except OSError:
            self.skipTest("libseccomp is not installed")
        self.assertEqual(self.serve(seccomp), self.serve(None), "decoders restrict themselves as they do elsewhere")

    def serve(self, seccomp: ctypes.CDLL | None) -> list[str]:
        """Asks a server, which then ends; what its decoders could not forbid themselves."""
        (self.folder / "api-keys").write_text(f"{KEY}\n")
        (self.folder / "longvu").mkdir(exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        [command] = values("ExecStart")
        for name, value in {"%d": self.folder, "%C": self.folder, "$LONGVU_FLAGS": "", "8000": port}.items():
            command = command.replace(name, str(value))
        names = sorted(name.encode() for name in allowed())
        log = self.folder / "log"
        with log.open("w") as stderr:
            server = subprocess.Popen(
                [PROGRAM, *shlex.split(command)[1:]],
                env=ENVIRONMENT | {"TMPDIR": str(self.folder / "longvu")},
                stderr=stderr,
                umask=int(values("UMask")[0], 8),
                preexec_fn=(lambda: confine(names, seccomp)) if seccomp else None,
            )
        self.addCleanup(server.kill)
        start = time.monotonic()
        while self.get(port, "/health") != 200:
            self.assertIsNone(server.poll(), log.read_text())
            self.assertLess(time.monotonic() - start, 120)
            time.sleep(0.05)
        self.assertEqual(self.get(port, "/v1/models"), 401)
        # A video for each, so that none is known.
        row = json.loads(LIST.read_text().splitlines()[1 if seccomp else 0])
        content = base64.b64encode((VIDEOS / row["video"]).read_bytes()).decode()
        answer = self.ask(port, content, row["questions"][0])
        self.assertTrue(answer["choices"][0]["message"]["content"])
        self.assertEqual(answer["longvu"]["visuals"][0]["origin"], "computed")
        server.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(60), 0)
        return re.findall(r'missing="([^"]*)"', log.read_text())

    def get(self, port: int, path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
                return response.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def ask(self, port: int, video: str, question: str) -> dict:
        part = {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{video}"}}
        content = [part, {"type": "text", "text": question}]
        body = json.dumps({"messages": [{"role": "user", "content": content}]}).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", body, headers)
        with urllib.request.urlopen(request, timeout=120) as response:
            return json.load(response)
