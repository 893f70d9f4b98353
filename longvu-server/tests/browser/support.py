"""A server with the built-in model, and pages of a headless Chromium that nothing may go wrong on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import unittest
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Page, Route, expect, sync_playwright

REPOSITORY = Path(__file__).resolve().parents[3]
VIDEOS = REPOSITORY / "tests/golden/videos"
SCRIPTS = REPOSITORY / "longvu-server/src/page/script"

# Notes what is only on the page for a moment: texts of both bars and of the answer, as they change.
WATCHER = """
globalThis.seen = { upload: [], encode: [], answer: [] };
addEventListener("DOMContentLoaded", () => {
  const note = (list, text) => text && list.at(-1) !== text && list.push(text);
  const answers = new Map();
  new MutationObserver((records) => {
    for (const name of ["upload", "encode"]) {
      const shown = document.getElementById(name);
      if (shown && !shown.hidden) note(seen[name], document.getElementById(`${name}-text`).textContent);
    }
    // Pieces that come in one go are told in one go: each has a record of its own.
    for (const { target, addedNodes } of records.filter(({ target }) => target.matches?.("#log .answer"))) {
      for (const piece of addedNodes) {
        answers.set(target, (answers.get(target) ?? "") + piece.textContent);
        note(seen.answer, answers.get(target));
      }
    }
  }).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
});
"""


class Server:
    """`longvu serve` on a free port, until it is told to stop."""

    def __init__(self, *arguments: str):
        command = [os.environ["LONGVU_TEST_PROGRAM"], "serve", "--port", "0", *arguments]
        environment = {name: text for name, text in os.environ.items() if name != "LONGVU_MODEL"}
        environment["LONGVU_NO_MEMORY_CHECK"] = "1"
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        self.lines = []
        for line in self.process.stderr:
            self.lines.append(line)
            if told := re.search(r"http://[\d.]+:\d+", line):
                self.address = told[0]
                return
        raise RuntimeError("".join(self.lines))

    def stop(self) -> int:
        self.process.terminate()
        self.process.stderr.close()
        return self.process.wait(timeout=60)


class Browsing(unittest.TestCase):
    """Tests on pages of one browser and one server."""

    arguments: tuple[str, ...] = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.arguments)
        cls.addClassCleanup(cls.server.stop)
        playwright = sync_playwright().start()
        cls.addClassCleanup(playwright.stop)
        # Without a sandbox of its own, which root may not have and which a test of our own page does not need.
        options = {"args": ["--no-sandbox"]} if os.geteuid() == 0 else {}
        cls.browser = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], **options)
        cls.addClassCleanup(cls.browser.close)
        given = os.environ.get("LONGVU_TEST_SCREENSHOTS")
        cls.folder = Path(given or cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.folder.mkdir(parents=True, exist_ok=True)
        expect.set_options(timeout=60_000)

    @contextmanager
    def page(self, width=1280, scheme="light", refused=False, **options):
        """The page, opened. In the end nothing must have failed on it, save requests where they are `refused`, and
        nothing asked of another host."""
        height = 844 if width < 500 else 900
        viewport = {"width": width, "height": height}
        context = self.browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce", **options)
        page = context.new_page()
        page.set_default_timeout(60_000)
        errors, hosts = [], set()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: said.type in ("error", "warning") and errors.append(said.text))
        page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
        page.add_init_script(WATCHER)
        page.goto(self.server.address)
        try:
            yield page
            if refused:
                errors = [error for error in errors if not error.startswith("Failed to load resource")]
            self.assertEqual(errors, [])
            self.assertLessEqual(hosts, {urlsplit(self.server.address).netloc, ""})
            self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth"), width, "it scrolls sideways")
        finally:
            context.close()

    def screenshot(self, page: Page, name: str):
        page.screenshot(path=self.folder / f"{name}.png")

    def until(self, page: Page, condition: str):
        """Waits for a condition. Playwright's own way evaluates text in the page, which the page's policy forbids."""
        for _ in range(600):
            if page.evaluate(condition):
                return
            page.wait_for_timeout(100)
        self.fail(f"not after a minute: {condition}")

    def take_example(self, page: Page):
        page.get_by_role("button", name="Take the example").click()
        expect(page.locator("#player")).to_be_visible()

    def ask(self, page: Page, question: str) -> str:
        """Asks, and waits for the end; returns the answer."""
        before = page.locator("#log > li").count()
        page.get_by_label("Question", exact=True).fill(question)
        page.keyboard.press("Enter")
        item = page.locator("#log > li").nth(before)
        expect(item).to_have_attribute("aria-busy", "false")
        return item.locator(".answer").inner_text()


def fulfilled(body: str, **options):
    """Answers a question with `body` as a stream, in place of the server."""

    def answer(route: Route):
        route.fulfill(**{"status": 200, "content_type": "text/event-stream", "body": body, **options})

    return answer


def report(frames: int, full: set[int]) -> dict:
    """What a server tells of an answer about a video of so many frames."""
    used = [
        {"sample": i, "index": i, "timestamp": float(i), "fate": "full" if i in full else "temporal_dropped", "tokens": 9 * (i in full)}
        for i in range(frames)
    ]
    visual = {"key": "ab12", "kind": "video", "dimensions": [320, 180], "frames": used, "origin": "memory", "warnings": []}
    counts = {"frames_sampled": frames, "frames_kept": len(full), "frames_full": len(full), "frames_low": 0, "tokens": 9 * len(full)}
    window = {"window": 100, "text": 20, "low": 0, "full": 40, "newlines": 5, "reserved": 10, "spare": 25}
    return {"visuals": [visual | counts], "window": window, "seconds": {}}


def stream(*pieces: str, told: dict | None = None, end: str = "\n") -> str:
    """A whole answer as events, whose lines end as told."""
    events = [{"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]} for piece in pieces]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "longvu": told})
    lines = [f"data: {json.dumps(event)}{end}{end}" for event in events]
    return f": ping{end}{end}" + "".join(lines) + f"data: [DONE]{end}{end}"
