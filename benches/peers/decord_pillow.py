"""Time what the published package does before its vision towers: decord samples a video, Pillow prepares each frame.

  python3 -m venv venv && venv/bin/pip install decord==0.6.0 pillow numpy
  venv/bin/python decord_pillow.py FILE [FPS]

Every `round(average frame rate / FPS)`-th frame is decoded into one array; each is pasted on a square of its longer side
and resized to 384 and to 378 pixels (SigLIP, DINOv2), bicubic. Prints one JSON line. `cargo run --release --example
bench_video FILE [FPS]` does the same work here.
"""
import argparse, json, resource, time

import numpy as np
from decord import VideoReader, cpu
from PIL import Image

# Side in pixels and colour of the padding: SigLIP, DINOv2.
TOWERS = [(384, (127, 127, 127)), (378, (123, 116, 103))]


def expand2square(image, colour):
    width, height = image.size
    side = max(width, height)
    square = Image.new("RGB", (side, side), colour)
    square.paste(image, ((side - width) // 2, (side - height) // 2))
    return square


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("fps", nargs="?", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=0, help="decoder threads; 0: decord's own choice")
    args = parser.parse_args()

    start = time.perf_counter()
    reader = VideoReader(args.file, ctx=cpu(0), num_threads=args.threads)
    step = max(1, round(float(reader.get_avg_fps()) / args.fps))
    frames = reader.get_batch(list(range(0, len(reader), step))).asnumpy()
    decoded = time.perf_counter()
    for frame in frames:
        image = Image.fromarray(frame)
        for size, colour in TOWERS:
            np.asarray(expand2square(image, colour).resize((size, size), Image.Resampling.BICUBIC))
    end = time.perf_counter()

    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({
        "case": "video",
        "frames": len(frames),
        "seconds": round(end - start, 3),
        "decode_seconds": round(decoded - start, 3),
        "preprocess_seconds": round(end - decoded, 3),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
        "peak_gib": round(usage.ru_maxrss / 2**20, 3),
    }))


if __name__ == "__main__":
    main()
