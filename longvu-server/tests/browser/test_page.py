"""The page as a person uses it, against the server itself."""

from __future__ import annotations

import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from playwright.sync_api import expect

from support import VIDEOS, Browsing

# What is asked about the example, and what is right.
ANSWERS = {
    "Which color does the star have?": "yellow",
    "Which digit flashes up for about a second?": "7",
    "Tell me the shape of the purple thing.": "square",
}


def fates(page) -> list[str]:
    return page.locator("#strip > li").evaluate_all("items => items.map((item) => item.dataset.fate)")


def counts(page) -> dict[str, int]:
    """Numbers beside the names of fates."""
    numbers = page.locator("#fates button").evaluate_all(
        "buttons => buttons.map((button) => [button.dataset.fate, Number(button.querySelector('b').textContent)])"
    )
    return dict(numbers)


class Page(Browsing):
    def test_the_example_is_answered_and_questions_change_what_is_seen(self):
        for width, scheme in [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]:
            with self.subTest(width=width, scheme=scheme), self.page(width, scheme) as page:
                self.screenshot(page, f"empty-{width}-{scheme}")
                self.take_example(page)
                seen = []
                for question, right in ANSWERS.items():
                    before = page.locator("#log > li").count()
                    page.get_by_role("button", name=question).click()
                    item = page.locator("#log > li").nth(before)
                    expect(item).to_have_attribute("aria-busy", "false")
                    self.assertEqual(item.locator(".answer").inner_text(), right)
                    seen.append(fates(page))
                    self.check_frames(page, seen)
                self.check_window(page)
                self.check_play(page)
                page.evaluate("scrollTo(0, 0)")
                self.screenshot(page, f"asked-{width}-{scheme}")
                page.locator("#seen").scroll_into_view_if_needed()
                page.evaluate("document.getElementById('seen').scrollIntoView()")
                page.wait_for_timeout(300)
                self.screenshot(page, f"seen-{width}-{scheme}")

    def check_frames(self, page, seen):
        """Every frame has an outline; those that the question changed are marked."""
        told = seen[-1]
        self.assertEqual(len(told), 60)
        self.assertEqual(counts(page), {fate: told.count(fate) for fate in ("full", "low", "dropped")})
        self.assertGreater(told.count("full"), 0)
        styles = page.locator("#strip .picture").evaluate_all("all => all.map((one) => getComputedStyle(one).borderTopStyle)")
        self.assertEqual(styles, [{"full": "solid", "low": "dashed", "dropped": "dotted"}[fate] for fate in told])
        marked = page.locator("#strip button").evaluate_all("all => all.map((one) => one.dataset.was ?? null)")
        if len(seen) == 1:
            self.assertEqual(set(marked), {None})
            return
        before = seen[-2]
        self.assertEqual(marked, [was if was != now else None for was, now in zip(before, told)])
        self.assertNotEqual([i for i in range(60) if before[i] == "full"], [i for i in range(60) if told[i] == "full"])
        expect(page.locator("#changes")).to_contain_text("now at full resolution")

    def check_window(self, page):
        """The bar's parts are as wide as they are many."""
        parts = page.locator("#window span").evaluate_all("all => all.map((one) => [Number(one.style.flexGrow), one.getBoundingClientRect().width])")
        window, width = sum(grow for grow, _ in parts), sum(width for _, width in parts)
        self.assertEqual(window, 512 if window < 1000 else window)
        for grow, wide in parts:
            self.assertAlmostEqual(grow / window, wide / width, delta=0.02)
        self.assertEqual(page.locator("#window-legend li").count(), len(parts))

    def check_play(self, page):
        """A frame plays the video from there, by mouse and by key; its picture came from the server."""
        page.locator("#strip button").nth(30).click()
        self.until(page, "document.getElementById('video').currentTime >= 30")
        self.assertLess(page.evaluate("video.currentTime"), 40)
        page.evaluate("video.pause()")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        self.until(page, "video.currentTime >= 1 && video.currentTime < 10")
        page.evaluate("video.pause()")
        picture = page.locator("#strip img").nth(30)
        picture.scroll_into_view_if_needed()
        self.until(page, "document.querySelectorAll('#strip img')[30].naturalWidth > 0")
        self.assertLessEqual(picture.evaluate("one => Math.max(one.naturalWidth, one.naturalHeight)"), 160)
        self.assertTrue(page.locator("#unplayable").is_hidden())

    def test_an_upload_shows_its_way_to_the_answer(self):
        with self.page() as page:
            page.locator("#file").set_input_files(VIDEOS / "video3.mp4")
            expect(page.locator("#name")).to_contain_text("video3.mp4")
            page.get_by_label("Question", exact=True).fill("What colour is the circle?")
            page.get_by_role("button", name="Ask", exact=True).click()
            item = page.locator("#log > li").first
            expect(item).to_have_attribute("aria-busy", "false")
            seen = page.evaluate("seen")
            self.assertTrue(any("Sending the file" in text for text in seen["upload"]), seen)
            self.assertTrue(any("Looking at the frames" in text for text in seen["encode"]), seen)
            # Each state of the answer goes on from the last.
            states = seen["answer"]
            self.assertTrue(all(later.startswith(earlier) for earlier, later in zip(states, states[1:])), states)
            self.assertEqual(states[-1], item.locator(".answer").inner_text())
            self.assertTrue(page.locator("#encode").is_hidden() and page.locator("#upload").is_hidden())

    def test_a_long_answer_grows(self):
        with self.page() as page:
            self.take_example(page)
            answer = self.ask(page, "Where can the square be seen?")
            self.assertEqual(answer, "at the bottom right")
            states = page.evaluate("seen.answer")
            self.assertGreater(len(states), 2, states)

    def test_what_is_no_video_is_told_in_words(self):
        with self.page(refused=True) as page:
            page.locator("#file").set_input_files({"name": "clip.mp4", "mimeType": "video/mp4", "buffer": b"This is no video. " * 99})
            expect(page.locator("#unplayable")).to_be_visible()
            self.ask(page, "What happens?")
            error = page.locator("#log [role=alert]")
            expect(error).to_contain_text("video")
            for wrong in ("/tmp", "status", "undefined", "[object"):
                self.assertNotIn(wrong, error.inner_text())
            expect(error.get_by_role("button", name="Ask again")).to_be_visible()
            # Another file, and all is well.
            page.get_by_role("button", name="Another").click()
            self.take_example(page)
            self.assertEqual(self.ask(page, "Which color does the star have?"), "yellow")

    def test_settings_by_keyboard(self):
        for width, scheme in [(1280, "light"), (390, "dark")]:
            with self.subTest(width=width), self.page(width, scheme) as page:
                self.take_example(page)
                page.locator("#open-settings").focus()
                page.keyboard.press("Enter")
                drawer = page.get_by_role("dialog", name="Settings")
                expect(drawer).to_be_visible()
                for _ in range(2):
                    page.keyboard.press("Tab")
                self.assertEqual(page.evaluate("document.activeElement.name"), "num_frames")
                page.keyboard.type("8")
                page.keyboard.press("Tab")
                page.keyboard.type("later")
                expect(page.locator("#settings-error")).to_contain_text("Write a time")
                page.keyboard.press("Control+a")
                page.keyboard.type("0:10")
                expect(page.locator("#settings-error")).to_be_hidden()
                self.screenshot(page, f"settings-{width}-{scheme}")
                page.keyboard.press("Escape")
                expect(drawer).to_be_hidden()
                self.assertEqual(page.evaluate("document.activeElement.id"), "open-settings")
                expect(page.locator("#changed-settings")).to_have_text("2")
                self.ask(page, "Which color does the star have?")
                self.assertEqual(len(fates(page)), 8)
                expect(page.locator("#strip .time").first).to_have_text("0:10")

    def test_asking_without_a_video_says_what_to_do(self):
        with self.page() as page:
            page.get_by_label("Question", exact=True).fill("What?")
            page.keyboard.press("Enter")
            expect(page.locator("#source-error")).to_contain_text("Choose a video first")


class Keys(Browsing):
    @classmethod
    def setUpClass(cls):
        keys = Path(cls.enterClassContext(tempfile.TemporaryDirectory())) / "keys"
        keys.write_text("let-me-in\n")
        cls.arguments = ("--api-key-file", str(keys))
        super().setUpClass()

    def test_the_browser_asks_for_the_key_and_keeps_it(self):
        request = urllib.request.Request(self.server.address, headers={"accept": "text/html"})
        with self.assertRaises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        self.assertEqual(refused.exception.code, 401)
        self.assertIn("Basic", refused.exception.headers["www-authenticate"])
        refused.exception.close()
        with self.page(refused=True, http_credentials={"username": "any", "password": "let-me-in"}) as page:
            self.take_example(page)
            self.assertEqual(self.ask(page, "Which color does the star have?"), "yellow")
            page.locator("#strip img").first.scroll_into_view_if_needed()
            self.until(page, "document.querySelector('#strip img').naturalWidth > 0")
