"""The llama.cpp side of `make bench-peers`: its own llama-bench on layers at the published sizes.

  llama_cpp.py CASE --bench PROGRAM --models FOLDER [--format BF16|Q8_0|Q4_0|Q4_K_M] [--runs N] [--threads N]

Prints one JSON line: the case, the seconds of each run after a warm-up, and llama-bench's peak memory in bytes, its loading
included. Weights are random blocks of the format, and the vocabulary has 64 words, so that next to nothing beside layers is
timed. A model is written into the folder once.
"""
import argparse
import json
import resource
import subprocess
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFWriter

VOCABULARY = 64
# Tokens that a timed run of decoding makes; one alone is little for a clock.
TOKENS = 16

QWEN2 = dict(architecture="qwen2", layers=2, width=3584, hidden=18944, heads=28, groups=4, base=1e6, epsilon=1e-6, bias=True)
LLAMA = dict(architecture="llama", layers=4, width=2048, hidden=8192, heads=32, groups=8, base=5e5, epsilon=1e-5, bias=False)

# Of a prompt llama.cpp computes the last layer's feed-forward for the last token alone, half of the work of two layers. It
# computes all of it where all tokens' outputs are asked for.
ALL = ["-embd", 1]

# A case's model, and the arguments of llama-bench with the tokens that a run is of.
CASES = {
    "qwen2-prefill-1024": (QWEN2, ["-p", 1024, "-n", 0, *ALL], 1),
    "qwen2-prefill-8192": (QWEN2, ["-p", 8192, "-n", 0, *ALL], 1),
    "qwen2-decode": (QWEN2, ["-p", 0, "-n", TOKENS, "-d", 1024], TOKENS),
    "llama-prefill-1024": (LLAMA, ["-p", 1024, "-n", 0, *ALL], 1),
    "llama-decode": (LLAMA, ["-p", 0, "-n", TOKENS, "-d", 1024], TOKENS),
}

# Values of a block, its bytes, and where its 16-bit scales are; those get values of weights' size, all else is random.
BLOCKS = {
    Kind.Q8_0: (32, 34, {0: 2e-4}),
    Kind.Q4_0: (32, 18, {0: 3e-3}),
    Kind.Q4_K: (256, 144, {0: 5e-5, 2: 5e-4}),
    Kind.Q6_K: (256, 210, {208: 1e-5}),
}

random = np.random.default_rng(0)


def blocks(kind, outputs, inputs):
    values, size, scales = BLOCKS[kind]
    if inputs % values:
        raise SystemExit(f"{kind.name} has blocks of {values}, which do not divide {inputs}")
    data = np.frombuffer(random.bytes(outputs * inputs // values * size), np.uint8).reshape(-1, size).copy()
    for at, scale in scales.items():
        data[:, at:at + 2] = np.array([scale], np.float16).view(np.uint8)
    return data.reshape(outputs, -1)


def numbers(*shape):
    return (random.random(shape, dtype=np.float32) - 0.5) * 0.04


def kind_of(name, layer, form):
    """Q4_K_M keeps half of the layers' values and second matrices in six bits."""
    if form == "Q4_K_M":
        return Kind.Q6_K if name in ("attn_v", "ffn_down") and layer % 2 else Kind.Q4_K
    return Kind[form]


def add_matrix(writer, name, kind, outputs, inputs):
    if kind == Kind.BF16:
        halves = (numbers(outputs, inputs).view(np.uint32) >> 16).astype(np.uint16)
        writer.add_tensor(name, halves.view(np.uint8), raw_dtype=kind)
    else:
        writer.add_tensor(name, blocks(kind, outputs, inputs), raw_dtype=kind)


def write(path, form, architecture, layers, width, hidden, heads, groups, base, epsilon, bias):
    writer = GGUFWriter(path, architecture)
    writer.add_context_length(32768)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_head_count_kv(groups)
    writer.add_rope_freq_base(base)
    writer.add_rope_dimension_count(width // heads)
    writer.add_layer_norm_rms_eps(epsilon)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("no_vocab")
    for name in ("token_embd", "output"):
        writer.add_tensor(f"{name}.weight", numbers(VOCABULARY, width))
    writer.add_tensor("output_norm.weight", 1 + numbers(width))
    narrow = groups * width // heads
    matrices = {"attn_q": (width, width), "attn_k": (narrow, width), "attn_v": (narrow, width), "attn_output": (width, width),
                "ffn_gate": (hidden, width), "ffn_up": (hidden, width), "ffn_down": (width, hidden)}
    for layer in range(layers):
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", 1 + numbers(width))
        for name, (outputs, inputs) in matrices.items():
            add_matrix(writer, f"blk.{layer}.{name}.weight", kind_of(name, layer, form), outputs, inputs)
            if bias and name in ("attn_q", "attn_k", "attn_v"):
                writer.add_tensor(f"blk.{layer}.{name}.bias", numbers(outputs))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def model(folder, sizes, form):
    path = folder / f"{sizes['architecture']}-{sizes['layers']}-{form}.gguf"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        write(part, form, **sizes)
        part.rename(path)
    return path


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--bench", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--format", choices=["BF16", "Q8_0", "Q4_0", "Q4_K_M"], default="Q8_0")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    sizes, test, tokens = CASES[arguments.case]
    file = model(arguments.models, sizes, arguments.format)
    command = [arguments.bench, "-m", file, "-t", arguments.threads, "-r", arguments.runs, "-o", "json", *test]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True)
    if result.returncode:
        raise SystemExit(f"llama-bench ended with {result.returncode}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = [nanoseconds / 1e9 / tokens for nanoseconds in json.loads(result.stdout)[0]["samples_ns"]]
    print(json.dumps({"case": arguments.case, "seconds": seconds, "peak_bytes": used.ru_maxrss * 1024,
                      "process_core_seconds": used.ru_utime - before.ru_utime}))


if __name__ == "__main__":
    main()
