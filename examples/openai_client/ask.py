#!/usr/bin/env python3
"""Asks a `longvu serve` about videos and pictures with OpenAI's Python client, as it comes from PyPI.

    pip install openai
    longvu serve &
    python ask.py clip.mp4 "What happens at the end?"

A file is uploaded once and then named by its id; with `--inline` it is sent in the question, as a `data:` URL. Nothing here
is longvu's own but two fields of `extra_body`: `media_io_kwargs`, which is vLLM's, and `longvu`.
"""

from __future__ import annotations

import argparse
import base64
import mimetypes
import os
import sys
from pathlib import Path

import openai

# Types of the files that Python does not know by their names everywhere.
OTHER_TYPES = {".mkv": "video/x-matroska", ".webm": "video/webm", ".ts": "video/mp2t", ".webp": "image/webp", ".avif": "image/avif"}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Ask a longvu server about videos and pictures.")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="videos and pictures, in order")
    parser.add_argument("question")
    parser.add_argument("--base-url", default=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"))
    parser.add_argument("--api-key", default=os.environ.get("OPENAI_API_KEY"), help="any text for a server without keys")
    parser.add_argument("--model", help="the first that the server names, unless given")
    parser.add_argument("--inline", action="store_true", help="send the files in the question")
    parser.add_argument("--whole", action="store_true", help="wait for the whole answer")
    parser.add_argument("--fps", type=float, help="frames looked at of each second")
    parser.add_argument("--start", type=float, metavar="SECONDS", help="look from here on")
    parser.add_argument("--end", type=float, metavar="SECONDS", help="look until here")
    parser.add_argument("--max-tokens", type=int, default=128)
    return parser.parse_args()


def main() -> int:
    args = arguments()
    with openai.OpenAI(base_url=args.base_url, api_key=args.api_key or "none") as client:
        try:
            ask(client, args)
        except openai.APIStatusError as error:
            return refused(error)
        except openai.APIConnectionError as error:
            print(f"{args.base_url} does not answer: {error.__cause__ or error}", file=sys.stderr)
            return 1
        except openai.APIError as error:
            # In the middle of a stream, whose status has been sent before.
            print(f"the answer broke off: {error.message}", file=sys.stderr)
            return 1
        except OSError as error:
            print(f"{error.filename}: {error.strerror}", file=sys.stderr)
            return 1
    return 0


def ask(client: openai.OpenAI, args: argparse.Namespace) -> None:
    uploads: list[str] = []
    try:
        parts = [part(client, path, args.inline, uploads) for path in args.files]
        request = {
            "model": args.model or next(iter(client.models.list())).id,
            "messages": [{"role": "user", "content": [*parts, {"type": "text", "text": args.question}]}],
            "max_tokens": args.max_tokens,
            "temperature": 0,
            "extra_body": settings(args),
        }
        if args.whole:
            completion = client.chat.completions.create(**request)
            print(completion.choices[0].message.content)
            tell(completion.usage, completion.model_extra.get("longvu"))
        else:
            stream(client, request)
    finally:
        for upload in uploads:
            client.files.delete(upload)


def stream(client: openai.OpenAI, request: dict) -> None:
    """Prints an answer as it is written. The report comes with its last piece, and the numbers of tokens after that."""
    report = usage = None
    with client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True}) as chunks:
        for chunk in chunks:
            report = chunk.model_extra.get("longvu") or report
            usage = chunk.usage or usage
            for choice in chunk.choices:
                print(choice.delta.content or "", end="", flush=True)
    print()
    tell(usage, report)


def part(client: openai.OpenAI, path: Path, inline: bool, uploads: list[str]) -> dict:
    """A file as a part of a message."""
    media = mimetypes.guess_type(path)[0] or OTHER_TYPES.get(path.suffix.lower(), "application/octet-stream")
    kind = "image_url" if media.startswith("image/") else "video_url"
    if inline:
        url = f"data:{media};base64,{base64.b64encode(path.read_bytes()).decode()}"
    else:
        with path.open("rb") as file:
            uploads.append(client.files.create(file=file, purpose="user_data").id)
        url = uploads[-1]
    return {"type": kind, kind: {"url": url}}


def settings(args: argparse.Namespace) -> dict:
    """What OpenAI's protocol has no words for."""
    own = {name: value for name in ("start", "end") if (value := getattr(args, name)) is not None}
    video = {"fps": args.fps} if args.fps is not None else {}
    return {"longvu": own, "media_io_kwargs": {"video": video}}


def tell(usage: openai.types.CompletionUsage | None, report: dict | None) -> None:
    """What the answer took, and what was looked at for it."""
    if usage is not None:
        print(f"{usage.prompt_tokens} tokens asked, {usage.completion_tokens} answered", file=sys.stderr)
    for visual in (report or {}).get("visuals", []):
        width, height = visual["dimensions"]
        print(
            f"{visual['kind']} of {width}x{height}: {visual['frames_sampled']} frames looked at, {visual['frames_full']} in "
            f"full and {visual['frames_low']} at low resolution shown, {visual['tokens']} tokens ({visual['origin']})",
            file=sys.stderr,
        )
        for warning in visual["warnings"]:
            print(f"warning: {warning}", file=sys.stderr)
    for field in (report or {}).get("ignored", []):
        print(f"warning: the server does not know the field {field}", file=sys.stderr)


def refused(error: openai.APIStatusError) -> int:
    """Says what the server said, at which field, and when to come back."""
    body = error.body if isinstance(error.body, dict) else {}
    place = f" ({error.param})" if error.param else ""
    print(f"refused with {error.status_code}: {body.get('message', error.message)}{place}", file=sys.stderr)
    if (after := error.response.headers.get("retry-after")) is not None:
        print(f"try again in {after} s", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
