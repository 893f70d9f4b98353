"""The page when requests fail, and with answers that no small model gives."""

from __future__ import annotations

import contextlib
import json

from playwright.sync_api import Error, expect

from support import SCRIPTS, Browsing, fulfilled, report, stream

ASK = "**/v1/chat/completions"


class Faults(Browsing):
    def test_refusals_are_words(self):
        error = lambda text: json.dumps({"error": {"message": text, "type": "x"}})
        cut = stream("The sta")[: -len("data: [DONE]\n\n")]
        middle = f"data: {error('the video ends in the middle')}\n\ndata: [DONE]\n\n"
        cases = [
            (fulfilled(error("16 requests wait already"), status=503, headers={"retry-after": "7"}), ["too much to do", "16 requests wait", "7 s"]),
            (fulfilled(error("the prompt has 900 tokens, and 512 fit"), status=413), ["Too large", "512 fit"]),
            (fulfilled(error("no key"), status=401), ["wants a key"]),
            (fulfilled("<html>Bad gateway</html>", status=502), ["does not answer"]),
            (fulfilled(error("`fps` is negative"), status=400), ["`fps` is negative"]),
            (lambda route: route.abort("connectionrefused"), ["cannot be reached"]),
            (fulfilled(cut), ["before the answer was whole"]),
            (fulfilled(middle), ["The video ends in the middle."]),
            (fulfilled("data: {nonsense\n\n"), ["no answer"]),
        ]
        with self.page(refused=True) as page:
            self.take_example(page)
            for answer, words in cases:
                page.route(ASK, answer)
                self.ask(page, "What happens?")
                told = page.locator("#log > li").last.locator("[role=alert]")
                for word in words:
                    expect(told).to_contain_text(word)
                page.unroute(ASK)
            self.screenshot(page, "refusals")
            # Asking again by the button brings the answer to the same question.
            page.locator("#log > li").last.get_by_role("button", name="Ask again").click()
            expect(page.locator("#log > li").last).to_have_attribute("aria-busy", "false")
            self.assertEqual(page.locator("#log > li").last.locator("[role=alert]").count(), 0)

    def test_stop_ends_the_request(self):
        with self.page(refused=True) as page:
            self.take_example(page)
            # Neither answered nor refused while the page waits.
            held, given_up = [], []
            page.route(ASK, lambda route: held.append(route))
            page.on("requestfailed", lambda request: given_up.append(request.url))
            page.get_by_label("Question", exact=True).fill("What happens?")
            page.keyboard.press("Enter")
            self.until(page, "!document.getElementById('encode').hidden")
            page.get_by_role("button", name="Stop").click()
            expect(page.locator("#log .told")).to_have_text("Stopped.")
            page.wait_for_timeout(200)
            self.assertTrue(any(url.endswith("/v1/chat/completions") for url in given_up), given_up)
            expect(page.get_by_role("button", name="Ask", exact=True)).to_be_visible()
            # The browser has let go of it; Playwright waits for a word nevertheless.
            with contextlib.suppress(Error):
                held[0].abort()

    def test_a_file_that_the_server_lost_is_sent_again(self):
        with self.page(refused=True) as page:
            self.take_example(page)
            self.ask(page, "Which color does the star have?")
            uploads = []
            page.on("request", lambda request: request.method == "POST" and uploads.append(request.url))
            lost = json.dumps({"error": {"message": "there is no such file", "type": "not_found_error"}})
            page.route(ASK, fulfilled(lost, status=404), times=1)
            self.assertEqual(self.ask(page, "Which color does the star have?"), "yellow")
            self.assertEqual([url.rsplit("/v1/")[1] for url in uploads], ["chat/completions", "files", "chat/completions"])

    def test_too_large_a_file_is_not_sent(self):
        with self.page() as page:
            page.route("**/v1/longvu/settings", lambda route: route.fulfill(json=route.fetch().json() | {"max_upload": 1000}))
            page.reload()
            expect(page.locator("#model")).to_contain_text("miniature")
            uploads = []
            page.on("request", lambda request: request.method == "POST" and uploads.append(request.url))
            page.locator("#file").set_input_files({"name": "long.mp4", "mimeType": "video/mp4", "buffer": bytes(2000)})
            expect(page.locator("#source-error")).to_contain_text("no more than 1000 B")
            self.assertEqual(uploads, [])

    def test_a_server_that_is_away_is_told_and_found_again(self):
        with self.page(refused=True) as page:
            page.route("**/v1/longvu/settings", lambda route: route.abort("connectionrefused"), times=1)
            page.reload()
            expect(page.locator("#server-error")).to_contain_text("cannot be reached")
            page.get_by_role("button", name="Try again").click()
            expect(page.locator("#server-error")).to_be_hidden()
            expect(page.locator("#model")).to_contain_text("miniature")

    def test_texts_stay_texts(self):
        markup = "<img src=x onerror=document.title='broken'><b>bold</b>"
        with self.page() as page:
            self.take_example(page)
            told = report(3, {1})
            told["visuals"][0]["warnings"] = [markup]
            page.route(ASK, fulfilled(stream(markup, told=told, end="\r\n")))
            page.route("**/v1/longvu/pictures/**", lambda route: route.fulfill(path=str(self.pixel())))
            self.assertEqual(self.ask(page, markup), markup)
            expect(page.locator("#warnings")).to_have_text(markup)
            expect(page.locator("#log .question")).to_have_text(markup)
            self.assertEqual(page.locator("#log b, #log img, #warnings img").count(), 0)
            self.assertEqual(page.title(), "LongVU")

    def test_an_hour_of_frames_is_light(self):
        with self.page() as page:
            self.take_example(page)
            page.route(ASK, fulfilled(stream("yes", told=report(3600, {5, 1800, 3599}))))
            asked = []

            def picture(route):
                asked.append(route.request.url)
                route.fulfill(path=str(self.pixel()))

            page.route("**/v1/longvu/pictures/**", picture)
            self.ask(page, "Is it long?")
            expect(page.locator("#strip > li")).to_have_count(3600)
            page.locator("#seen").scroll_into_view_if_needed()
            page.wait_for_timeout(500)
            self.assertTrue(0 < len(asked) < 400, len(asked))
            # One stop of the Tab key, and the last frame by one key from the first.
            self.assertEqual(page.locator('#strip button[tabindex="0"]').count(), 1)
            page.locator('#strip button[tabindex="0"]').focus()
            page.keyboard.press("End")
            self.assertEqual(page.evaluate("document.activeElement.dataset.place"), "3599")
            self.assertEqual(page.locator("#strip .time").last.inner_text(), "59:59")
            # Without what was dropped, three are left.
            page.get_by_role("button", name="□ dropped").click()
            self.assertEqual(page.locator("#strip > li:visible").count(), 3)

    def test_events_are_whole_wherever_they_are_cut(self):
        source = (SCRIPTS / "net.js").read_text()
        text = ": longvu {\"a\":1}\r\n\r\ndata: {\"é\":\r\ndata:  \"漢\"}\n\n: ping\r\rdata: [DONE]\r\n\r\n"
        with self.page() as page:
            for step in (1, 2, 3, 1000):
                told = page.evaluate(f"""(() => {{ {source}
                  const [text, step, told] = [{json.dumps(text)}, {step}, []];
                  const events = new Events((comment) => told.push(["comment", comment]), (data) => told.push(["data", data]));
                  for (let at = 0; at < text.length; at += step) events.push(text.slice(at, at + step));
                  return told;
                }})()""")
                want = [["comment", 'longvu {"a":1}'], ["data", '{"é":\n "漢"}'], ["comment", "ping"], ["data", "[DONE]"]]
                self.assertEqual(told, want)

    def pixel(self):
        """A picture of one pixel."""
        path = self.folder / "pixel.gif"
        path.write_bytes(bytes.fromhex("47494638396101000100800000000000ffffff2c00000000010001000002024401003b"))
        return path
