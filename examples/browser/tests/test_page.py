"""The page in a headless Chromium, from a plain web server, against the program for the same model."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import tempfile
import threading
import unittest
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import expect, sync_playwright

QUESTIONS = ["Is there a square in the video?", "Is there a circle in the video?", "Which letter can be seen?"]
PROGRAM = os.environ["LONGVU_TEST_PROGRAM"]
#: Seconds that an answer about a minute of video may take, from the drop of the file on.
MOST_SECONDS = 10


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class PageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        given = os.environ.get("LONGVU_TEST_SCREENSHOTS")
        cls.pictures = Path(given) if given else cls.work
        cls.pictures.mkdir(parents=True, exist_ok=True)
        subprocess.run([PROGRAM, "demo", cls.work / "demo"], check=True, capture_output=True)
        cls.video = cls.work / "minute.mp4"
        cut = ["ffmpeg", "-v", "error", "-i", cls.work / "demo/demo.mp4", "-t", "60", "-c", "copy", cls.video]
        subprocess.run(cut, check=True)
        handler = functools.partial(Quiet, directory=os.environ["LONGVU_TEST_PAGE"])
        cls.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        cls.addClassCleanup(cls.server.server_close)
        cls.addClassCleanup(cls.server.shutdown)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.address = f"http://127.0.0.1:{cls.server.server_address[1]}/"
        playwright = sync_playwright().start()
        cls.addClassCleanup(playwright.stop)
        # Without a sandbox of its own, which root may not have and which a test of our own page does not need.
        options = {"args": ["--no-sandbox"]} if os.geteuid() == 0 else {}
        cls.browser = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], **options)
        cls.addClassCleanup(cls.browser.close)
        expect.set_options(timeout=60_000)

    def setUp(self):
        self.context = self.browser.new_context(viewport={"width": 1100, "height": 900})
        self.addCleanup(self.context.close)
        self.page = self.context.new_page()
        self.errors, self.hosts, self.sent = [], set(), []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda said: said.type in ("error", "warning") and self.errors.append(said.text))
        self.page.on("request", self.note)
        self.page.goto(self.address)

    def note(self, request):
        if request.url.startswith(("blob:", "data:")):
            return
        self.hosts.add(urlsplit(request.url).netloc)
        if request.method != "GET":
            self.sent.append(request.url)

    def nothing_went_wrong_or_out(self):
        self.assertEqual(self.errors, [])
        self.assertEqual(self.sent, [])
        self.assertEqual(self.hosts, {urlsplit(self.address).netloc})

    def take(self, file):
        self.page.set_input_files("#file", file)

    def ask(self, question):
        self.page.fill("#question", question)
        self.page.click("#send")
        expect(self.page.locator("#answer")).not_to_be_empty()
        return self.page.inner_text("#answer")

    def asked_of_the_program(self, question):
        told = subprocess.run([PROGRAM, "ask", self.video, question], check=True, capture_output=True, text=True)
        return told.stdout.strip(), int(re.search(r"(\d+) kept", told.stderr)[1])

    def test_answers_are_the_programs_and_come_soon(self):
        clock = "performance.now() / 1000"
        start = self.page.evaluate(clock)
        self.take(self.video)
        expect(self.page.locator("#send")).to_be_enabled()
        answers = [self.ask(QUESTIONS[0])]
        seconds = self.page.evaluate(clock) - start
        print(f"a minute of video to its first answer in {seconds:.1f} s: {self.page.inner_text('#note')}")
        answers += [self.ask(question) for question in QUESTIONS[1:]]
        frames = self.page.locator("#strip li")
        expect(frames).to_have_count(60)
        kept = 60 - self.page.locator("#strip li.temporal_dropped").count()
        expected = [self.asked_of_the_program(question) for question in QUESTIONS]
        self.page.screenshot(path=self.pictures / "browser-page.png", full_page=True)
        self.assertEqual(answers, [answer for answer, _ in expected])
        # The browser's decoder is another one, and colours differ by a step or two.
        self.assertAlmostEqual(kept, expected[0][1], delta=2)
        self.assertLess(seconds, MOST_SECONDS)
        self.nothing_went_wrong_or_out()

    def test_another_video_takes_the_place_of_the_first(self):
        short = self.work / "short.mp4"
        cut = ["ffmpeg", "-v", "error", "-y", "-i", self.video, "-t", "5", "-c", "copy", short]
        subprocess.run(cut, check=True)
        self.take(self.video)
        self.page.wait_for_timeout(300)
        self.take(short)
        expect(self.page.locator("#note")).to_contain_text("Looked at")
        self.assertIn("5 frames", self.page.inner_text("#note"))
        self.ask(QUESTIONS[0])
        expect(self.page.locator("#strip li")).to_have_count(5)
        self.nothing_went_wrong_or_out()

    def test_what_is_no_video_is_said(self):
        text = self.work / "notes.mp4"
        text.write_text("no video")
        self.take(text)
        expect(self.page.locator("#error")).to_contain_text("notes.mp4")
        expect(self.page.locator("#send")).to_be_disabled()
        self.take(self.video)
        expect(self.page.locator("#send")).to_be_enabled()
        expect(self.page.locator("#error")).to_be_hidden()


if __name__ == "__main__":
    unittest.main()
