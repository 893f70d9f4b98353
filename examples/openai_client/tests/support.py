"""Servers with the built-in model, and drawn videos to ask them about."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

import openai

PROGRAM = os.environ["LONGVU_TEST_PROGRAM"]
# Drawn videos, and list.jsonl with their questions.
VIDEOS = Path(os.environ["LONGVU_TEST_VIDEOS"])
LIST = [json.loads(line) for line in (VIDEOS / "list.jsonl").read_text().splitlines()]
# Two minutes: enough to hang up in when every frame of it is looked at.
LONG = VIDEOS / "long" / "0000.mp4"
EVERY_FRAME = {"media_io_kwargs": {"video": {"num_frames": -1}}}
MODEL = "miniature"


class Server:
    """`longvu serve` on a free port, with temporary files of its own."""

    def __init__(self, *arguments: str):
        self.folder = tempfile.TemporaryDirectory()
        environment = {key: value for key, value in os.environ.items() if key != "LONGVU_MODEL"}
        self.log = Path(self.folder.name) / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "serve", "--port", "0", *arguments],
                stderr=log,
                env=environment | {"TMPDIR": self.folder.name},
            )
        self.url = self._address()

    def _address(self) -> str:
        start = time.monotonic()
        while not (found := re.search(r"serving \S+ at (http://\S+?)[;\s]", self.log.read_text())):
            assert self.process.poll() is None, f"the server ended: {self.log.read_text()}"
            assert time.monotonic() - start < 120, f"the server does not start: {self.log.read_text()}"
            time.sleep(0.02)
        return found[1]

    def client(self, key: str = "any") -> openai.OpenAI:
        """The client as it is, without its own tries after a refusal."""
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0)

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=10) as response:
            return response.read().decode()

    def number(self, name: str) -> float:
        """A number of /metrics."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics"), re.MULTILINE)
        assert found, f"/metrics has no {name}"
        return float(found[1])

    def stop(self) -> int:
        """Stops it as systemd does; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()
            self.folder.cleanup()


class WithServer(unittest.TestCase):
    """Tests that share a server."""

    ARGUMENTS: tuple[str, ...] = ("--metrics",)
    MODEL = MODEL

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.ARGUMENTS)
        cls.addClassCleanup(cls.server.stop)
        cls.client = cls.server.client()
        cls.addClassCleanup(cls.client.close)

    def ask(self, *parts: dict, question: str = "What is in the video?", **more):
        """Asks about parts of a message."""
        messages = [{"role": "user", "content": [*parts, text(question)]}]
        return self.client.chat.completions.create(**({"model": self.MODEL, "messages": messages, "temperature": 0} | more))

    def upload(self, index: int = 0, path: Path | None = None) -> str:
        """Uploads a video, which goes with the test; its id."""
        with (path or VIDEOS / LIST[index]["video"]).open("rb") as file:
            uploaded = self.client.files.create(file=file, purpose="user_data").id
        self.addCleanup(lambda: self.client.files.delete(uploaded))
        return uploaded


def path(index: int = 0) -> Path:
    return VIDEOS / LIST[index]["video"]


def question(index: int = 0) -> str:
    return LIST[index]["questions"][0]


def text(content: str) -> dict:
    return {"type": "text", "text": content}


def video(url: str) -> dict:
    return {"type": "video_url", "video_url": {"url": url}}


def image(url: str) -> dict:
    return {"type": "image_url", "image_url": {"url": url}}


def data_url(content: bytes, kind: str = "video/mp4") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def written(stream) -> tuple[str, list]:
    """A streamed answer, and its chunks."""
    chunks = list(stream)
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices), chunks


def wait_until(ready, seconds: float) -> None:
    start = time.monotonic()
    while not ready():
        assert time.monotonic() - start < seconds, f"not within {seconds} s"
        time.sleep(0.02)
