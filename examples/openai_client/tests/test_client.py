"""OpenAI's client, unchanged, against a server."""

from __future__ import annotations

import io
import os
import struct
import tempfile
import time
import unittest
import urllib.request
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
from support import (
    EVERY_FRAME,
    LONG,
    MODEL,
    Server,
    WithServer,
    data_url,
    image,
    path,
    question,
    text,
    video,
    wait_until,
    written,
)


def png(red: int, green: int, blue: int, side: int = 64) -> bytes:
    """A picture of one colour."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    lines = (b"\0" + bytes((red, green, blue)) * side) * side
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


class Answers(WithServer):
    def test_models_are_listed(self):
        [model] = self.client.models.list()
        self.assertEqual(model.id, MODEL)
        self.assertIn("video", model.model_extra["architecture"]["input_modalities"])
        self.assertEqual(self.client.models.retrieve(MODEL).id, MODEL)

    def test_a_data_url_and_a_file_id_get_the_same_answer(self):
        inline = self.ask(video(data_url(path().read_bytes())), question=question())
        [choice] = inline.choices
        self.assertEqual((choice.message.role, choice.finish_reason), ("assistant", "stop"))
        self.assertTrue(choice.message.content)
        usage = inline.usage
        self.assertGreater(usage.prompt_tokens_details.model_extra["visual_tokens"], 0)
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
        named = self.ask(video(self.upload()), question=question())
        self.assertEqual(named.choices[0].message.content, choice.message.content)
        self.assertEqual(named.usage.prompt_tokens, usage.prompt_tokens)
        [report] = named.model_extra["longvu"]["visuals"]
        self.assertEqual(report["origin"], "memory", "the second question about a video looks at nothing again")

    def test_the_servers_own_settings_go_into_extra_body(self):
        part = video(self.upload())
        body = {"longvu": {"frames": True, "start": 1.0, "end": 2.0}, "media_io_kwargs": {"video": {"fps": 4}}}
        [visual] = self.ask(part, extra_body=body).model_extra["longvu"]["visuals"]
        self.assertEqual(visual["frames_sampled"], 4)
        times = [frame["timestamp"] for frame in visual["frames"]]
        self.assertTrue(all(1.0 <= time < 2.0 for time in times), times)
        picture = f"{self.server.url}/v1/longvu/pictures/{visual['key']}/{visual['frames'][0]['sample']}.jpg"
        with urllib.request.urlopen(picture, timeout=10) as response:
            self.assertEqual(response.read(2), b"\xff\xd8")
        body = {"media_io_kwargs": {"video": {"num_frames": 3}}}
        [visual] = self.ask(part, extra_body=body).model_extra["longvu"]["visuals"]
        self.assertEqual(visual["frames_sampled"], 3)
        self.assertNotIn("frames", visual)

    def test_a_prompt_has_several_videos_and_images(self):
        first, second = video(self.upload(0)), video(self.upload(1))
        red = image(data_url(png(200, 0, 0), "image/png"))
        answer = self.ask(first, red, second, question="What differs?")
        visuals = answer.model_extra["longvu"]["visuals"]
        self.assertEqual([visual["kind"] for visual in visuals], ["video", "image", "video"])
        self.assertEqual(len({visual["key"] for visual in visuals}), 3)
        self.assertTrue(answer.choices[0].message.content)

    def test_a_second_turn_has_a_video_of_its_own(self):
        first = {"role": "user", "content": [video(self.upload(0)), text(question(0))]}
        answer = self.client.chat.completions.create(model=MODEL, messages=[first], temperature=0)
        messages = [
            {"role": "system", "content": "You answer in one word."},
            first,
            {"role": "assistant", "content": answer.choices[0].message.content},
            {"role": "user", "content": [video(self.upload(1)), text("And here?")]},
        ]
        answer = self.client.chat.completions.create(model=MODEL, messages=messages, temperature=0)
        self.assertEqual([visual["kind"] for visual in answer.model_extra["longvu"]["visuals"]], ["video"] * 2)
        self.assertTrue(answer.choices[0].message.content)


class Pieces(WithServer):
    """Answers of many tokens, by a model that knows nothing."""

    MODEL = "random"
    ARGUMENTS = ("--model", os.environ["LONGVU_TEST_MODEL"], "--served-model-name", MODEL)

    def test_a_stream_has_the_whole_answer_in_pieces(self):
        part = video(self.upload())
        whole = self.ask(part, max_tokens=24)
        self.assertEqual((whole.usage.completion_tokens, whole.choices[0].finish_reason), (24, "length"))
        answer, chunks = written(self.ask(part, max_tokens=24, stream=True, stream_options={"include_usage": True}))
        self.assertEqual(answer, whole.choices[0].message.content)
        pieces = [chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
        self.assertGreater(len(pieces), 5)
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        *_, last, usage = chunks
        self.assertEqual(last.choices[0].finish_reason, "length")
        self.assertIn("visuals", last.model_extra["longvu"])
        self.assertEqual(usage.choices, [])
        for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
            self.assertEqual(getattr(usage.usage, name), getattr(whole.usage, name))
        _, chunks = written(self.ask(part, max_tokens=4, stream=True))
        self.assertEqual([chunk.usage for chunk in chunks if chunk.usage], [])

    def test_an_answer_ends_where_it_is_told_to(self):
        part = video(self.upload())
        whole = self.ask(part, max_tokens=24).choices[0].message.content
        for stop in (whole[3:5], [whole[3:5], "never"]):
            stopped = self.ask(part, max_tokens=24, stop=stop)
            self.assertEqual(stopped.choices[0].finish_reason, "stop")
            self.assertEqual(stopped.choices[0].message.content, whole[: whole.index(whole[3:5])])

    def test_a_seed_draws_the_same_answer_again(self):
        part = video(self.upload())
        drawn = [self.ask(part, seed=seed, temperature=1.5, max_tokens=8) for seed in (7, 7, 8)]
        first, again, other = (answer.choices[0].message.content for answer in drawn)
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)

    def test_answers_that_are_written_at_once_are_those_that_are_written_alone(self):
        part = video(self.upload())
        questions = [f"What is at {second} s?" for second in range(6)]

        def ask(question: str) -> str:
            return written(self.ask(part, question=question, max_tokens=24, stream=True))[0]

        alone = [ask(question) for question in questions]
        with ThreadPoolExecutor(len(questions)) as pool:
            self.assertEqual(list(pool.map(ask, questions)), alone)


class Files(WithServer):
    def test_files_are_uploaded_listed_read_and_deleted(self):
        before = {file.id for file in self.client.files.list()}
        with path().open("rb") as file:
            uploaded = self.client.files.create(file=file, purpose="user_data")
        content = path().read_bytes()
        self.assertEqual((uploaded.bytes, uploaded.filename, uploaded.purpose), (len(content), path().name, "user_data"))
        self.assertEqual({file.id for file in self.client.files.list()} - before, {uploaded.id})
        self.assertEqual(self.client.files.retrieve(uploaded.id).bytes, len(content))
        self.assertEqual(self.client.files.content(uploaded.id).read(), content)
        self.assertTrue(self.client.files.delete(uploaded.id).deleted)
        self.assertEqual({file.id for file in self.client.files.list()}, before)
        with self.assertRaises(openai.NotFoundError):
            self.client.files.retrieve(uploaded.id)
        with self.assertRaises(openai.NotFoundError) as caught:
            self.ask(video(uploaded.id))
        self.assertEqual(caught.exception.param, "messages[0].content[0].video_url.url")

    def test_what_is_no_video_is_refused(self):
        for content, why in [(b"no video", "text"), (path().read_bytes()[:2000], "a video cut short")]:
            with self.subTest(why), self.assertRaises(openai.BadRequestError) as caught:
                self.ask(video(data_url(content)))
            self.assertEqual(caught.exception.param, "messages[0].content[0].video_url.url")
            self.assertEqual(caught.exception.code, "invalid_media")

    def test_a_deleted_file_is_used_to_the_end(self):
        uploaded = self.client.files.create(file=("clip.mp4", io.BytesIO(path(2).read_bytes())), purpose="user_data").id
        stream = self.ask(video(uploaded), stream=True)
        next(iter(stream))
        self.client.files.delete(uploaded)
        answer, _ = written(stream)
        self.assertTrue(answer)


class Refusals(WithServer):
    def test_what_is_not_done_is_refused_by_name(self):
        tool = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
        for field, value in [
            ("tools", [tool]),
            ("response_format", {"type": "json_object"}),
            ("logprobs", True),
            ("logit_bias", {"1": 5}),
        ]:
            with self.subTest(field), self.assertRaises(openai.BadRequestError) as caught:
                self.ask(**{field: value})
            self.assertEqual((caught.exception.param, caught.exception.code), (field, "unsupported_parameter"))

    def test_another_model_is_not_found(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            self.ask(model="gpt-4o")
        self.assertEqual((caught.exception.param, caught.exception.code), ("model", "model_not_found"))
        self.assertIn(MODEL, caught.exception.body["message"])

    def test_values_without_sense_are_refused_with_their_field(self):
        for field, value in [("n", 2), ("top_p", 7), ("temperature", -1), ("max_tokens", 0)]:
            with self.subTest(field), self.assertRaises(openai.UnprocessableEntityError) as caught:
                self.ask(**{field: value})
            self.assertEqual(caught.exception.param, field)

    def test_urls_and_paths_are_off(self):
        for reference in ("http://127.0.0.1/clip.mp4", "https://example.com/clip.mp4", "file:///etc/passwd", str(path())):
            with self.subTest(reference), self.assertRaises(openai.APIStatusError) as caught:
                self.ask(video(reference))
            self.assertIn(caught.exception.status_code, (400, 403, 404))
            self.assertEqual(caught.exception.param, "messages[0].content[0].video_url.url")


class HangingUp(WithServer):
    def test_a_client_that_hangs_up_stops_its_work(self):
        stream = self.ask(video(self.upload(path=LONG)), stream=True, extra_body=EVERY_FRAME)
        next(iter(stream))
        self.assertEqual(self.server.number("longvu_running"), 1, "there is nothing to hang up on")
        encoded = self.encoded()
        stream.close()
        wait_until(lambda: self.server.number("longvu_running") == 0, 1.0)
        self.assertEqual(self.server.number("longvu_memory_reserved_bytes"), 0)
        self.assertEqual(self.encoded(), encoded)
        self.assertTrue(self.ask(video(self.upload(1))).choices[0].message.content)

    def encoded(self) -> float:
        numbers = [line for line in self.server.get("/metrics").splitlines() if line.startswith("longvu_encodings_total")]
        return sum(float(line.split()[-1]) for line in numbers)


class Keys(unittest.TestCase):
    def test_a_key_is_asked_for_everywhere_but_for_health(self):
        with tempfile.NamedTemporaryFile("w") as keys:
            keys.write("# of the tests\nfirst-key\nsecond-key\n")
            keys.flush()
            server = Server("--api-key-file", keys.name)
            self.addCleanup(server.stop)
        with server.client("wrong") as client:
            for call in (
                lambda: client.models.list(),
                lambda: client.files.list(),
                lambda: client.files.retrieve("file-1"),
                lambda: client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hello?"}]),
            ):
                with self.assertRaises(openai.AuthenticationError) as caught:
                    call()
                self.assertEqual(caught.exception.code, "invalid_api_key")
        with server.client("second-key") as client:
            self.assertEqual([model.id for model in client.models.list()], [MODEL])
        self.assertIn("ok", server.get("/health"))
        self.assertNotIn("second-key", server.log.read_text())


class Stopping(unittest.TestCase):
    def test_a_server_that_is_stopped_cuts_off_and_leaves_nothing(self):
        server = Server("--grace", "0")
        self.addCleanup(server.stop)
        left = Path(server.folder.name)
        with server.client() as client:
            with LONG.open("rb") as file:
                uploaded = client.files.create(file=file, purpose="user_data").id
            messages = [{"role": "user", "content": [video(uploaded), text(question())]}]
            stream = client.chat.completions.create(model=MODEL, messages=messages, stream=True, extra_body=EVERY_FRAME)
            next(iter(stream))
            self.assertTrue(list(left.rglob("longvu-server-*")))
            start = time.monotonic()
            server.process.terminate()
            with self.assertRaises(openai.APIError) as caught:
                list(stream)
            self.assertIn("stopping", caught.exception.message)
            self.assertEqual(server.process.wait(10), 0)
            self.assertLess(time.monotonic() - start, 5)
            self.assertEqual(list(left.glob("longvu-*")), [])


if __name__ == "__main__":
    unittest.main()
