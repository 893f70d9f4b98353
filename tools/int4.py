#!/usr/bin/env python3
"""Fits the language model of a LongVU checkpoint to int4 on a text: int4.py MODEL OUT TEXT… [--tokens N]

What rounding one weight takes from an output is given back by those that are not rounded yet, as far as their inputs go
together in the text: GPTQ (arXiv 2210.17323), a layer after the other, each on what the rounded ones before it give. The new
weights are multiples -8 to 7 of a half-precision step for 32 neighbours, one of which is -8, or 7 of either sign: of such
weights `--quantize int4` finds the step, and loads them as they are. They are stored in f16; all else is copied.

A layer at a time is in memory, in float32, with the second moments of its inputs in float64. Large models take hours.
"""
import argparse
import json
import shutil
import struct
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

GROUP = 32
WINDOW = 1024
# Rows that are rounded at once.
ROWS = 8192
# As longvu-kernels has them, and where a group's greatest weight ends with its others in view.
GREATEST = (-8.0, -8.5, -7.5, -7.0)
SIZES = {"F32": 4, "F16": 2, "BF16": 2}


class Checkpoint:
    """The tensors of a folder's safetensors files."""

    def __init__(self, folder):
        self.files, self.places = {}, {}
        for path in sorted(folder.glob("*.safetensors")):
            with path.open("rb") as file:
                (size,) = struct.unpack("<Q", file.read(8))
                header = json.loads(file.read(size))
            self.files[path] = header
            for name, entry in header.items():
                if name != "__metadata__":
                    self.places[name] = (path, 8 + size, entry)
        if not self.places:
            raise SystemExit(f"{folder} has no safetensors files")

    def bytes(self, name):
        path, start, entry = self.places[name]
        first, last = entry["data_offsets"]
        return np.fromfile(path, np.uint8, last - first, offset=start + first)

    def read(self, name):
        entry, data = self.places[name][2], self.bytes(name)
        if entry["dtype"] == "BF16":
            values = (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        elif entry["dtype"] in SIZES:
            values = data.view({"F32": np.float32, "F16": np.float16}[entry["dtype"]]).astype(np.float32)
        else:
            raise SystemExit(f"{name} is {entry['dtype']}; F32, F16 and BF16 are read")
        return values.reshape(entry["shape"])

    def write(self, folder, new):
        """The same files with new tensors, in f16."""
        for path, header in self.files.items():
            entries, offset = {}, 0
            for name, entry in header.items():
                if name == "__metadata__":
                    entries[name] = entry
                    continue
                first, last = entry["data_offsets"]
                size = new[name].nbytes if name in new else last - first
                dtype = "F16" if name in new else entry["dtype"]
                entries[name] = {"dtype": dtype, "shape": entry["shape"], "data_offsets": [offset, offset + size]}
                offset += size
            text = json.dumps(entries).encode()
            text += b" " * (-len(text) % 8)
            with (folder / path.name).open("wb") as file:
                file.write(struct.pack("<Q", len(text)) + text)
                for name in entries:
                    if name != "__metadata__":
                        (new[name] if name in new else self.bytes(name)).tofile(file)


class Layer:
    """A decoder layer, whose matrices may be replaced as their inputs become known."""

    def __init__(self, config, checkpoint, index):
        self.config, self.prefix = config, f"model.layers.{index}."
        names = [name for name in checkpoint.places if name.startswith(self.prefix)]
        self.tensors = {name.removeprefix(self.prefix): checkpoint.read(name) for name in names}

    def norm(self, x, name):
        return rms_norm(x, self.tensors[name], self.config["rms_norm_eps"])

    def linear(self, x, name):
        y = x @ self.tensors[f"{name}.weight"].T
        bias = self.tensors.get(f"{name}.bias")
        return y if bias is None else y + bias

    def attend(self, x, rotary):
        config, (cos, sin) = self.config, rotary
        heads = config["num_attention_heads"]
        kv_heads = config.get("num_key_value_heads") or heads
        positions, width = len(x), 2 * cos.shape[-1]
        split = lambda y, heads: y.reshape(positions, heads, width).swapaxes(0, 1)
        q, k, v = (
            split(self.linear(x, f"self_attn.{part}_proj"), n)
            for part, n in (("q", heads), ("k", kv_heads), ("v", kv_heads))
        )
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        out = np.empty((heads, positions, width), np.float32)
        later = np.triu(np.full((positions, positions), -np.inf, np.float32), 1)
        for head in range(heads):
            shared = head * kv_heads // heads
            scores = q[head] @ k[shared].T * width**-0.5 + later
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            out[head] = scores @ v[shared] / scores.sum(-1, keepdims=True)
        return out.swapaxes(0, 1).reshape(positions, heads * width)

    def fit(self, inputs, names):
        """Rounds matrices that see `inputs`."""
        moments = sum(x.T @ x for x in inputs)
        for name in names:
            self.tensors[f"{name}.weight"] = gptq(self.tensors[f"{name}.weight"], moments)

    def run(self, states, rotary):
        """Rounds all matrices on the way through the layer; returns what the rounded layer gives."""
        normed = [self.norm(x, "input_layernorm.weight") for x in states]
        self.fit(normed, [f"self_attn.{part}_proj" for part in "qkv"])
        attended = [self.attend(x, [part[: len(x)] for part in rotary]) for x in normed]
        self.fit(attended, ["self_attn.o_proj"])
        states = [x + self.linear(y, "self_attn.o_proj") for x, y in zip(states, attended)]
        normed = [self.norm(x, "post_attention_layernorm.weight") for x in states]
        self.fit(normed, ["mlp.gate_proj", "mlp.up_proj"])
        inner = [silu(self.linear(x, "mlp.gate_proj")) * self.linear(x, "mlp.up_proj") for x in normed]
        self.fit(inner, ["mlp.down_proj"])
        return [x + self.linear(y, "mlp.down_proj") for x, y in zip(states, inner)]

    def rounded(self):
        matrices = {name: values for name, values in self.tensors.items() if name.endswith("_proj.weight")}
        return {self.prefix + name: values.astype(np.float16) for name, values in matrices.items()}


def rms_norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(eps)) * weight


def silu(x):
    return x / (1 + np.exp(-np.clip(x, -80, None)))


def rotate(x, cos, sin):
    first, second = np.split(x, 2, -1)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], -1)


def rotary_tables(config):
    """Cosines and sines, each `[WINDOW, head_dim / 2]`."""
    width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    turns = config.get("rope_theta", 10000.0) ** (-np.arange(0, width, 2) / width)
    scaling = config.get("rope_scaling") or {}
    kind = scaling.get("rope_type") or scaling.get("type") or "default"
    if kind == "llama3":
        trained = scaling["original_max_position_embeddings"]
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        share = np.clip((trained * turns / (2 * np.pi) - low) / (high - low), 0, 1)
        turns = turns * (share + (1 - share) / scaling["factor"])
    elif kind != "default":
        raise SystemExit(f"rope_scaling of type {kind} is not known here")
    angles = np.outer(np.arange(WINDOW), turns)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def codes(weights, steps):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.clip(np.rint(np.where(steps == 0, 0, weights / steps)), -8, 7)


def halved(x):
    return x.astype(np.float16).astype(np.float32)


def find_steps(weights, importance):
    """The step of each row of a group that loses least, weighed by what the inputs are like."""
    greatest = np.take_along_axis(weights, np.abs(weights).argmax(1)[:, None], 1)
    least, best = np.full_like(greatest, np.inf), halved(greatest / GREATEST[0])
    for code in GREATEST:
        steps = halved(greatest / code)
        for _ in range(2):
            found = codes(weights, steps)
            error = (importance * (found * steps - weights) ** 2).sum(1, keepdims=True)
            best, least = np.where(error < least, steps, best), np.minimum(error, least)
            squares = (importance * found**2).sum(1, keepdims=True)
            products = (importance * found * weights).sum(1, keepdims=True)
            steps = halved(np.where(squares > 0, products / np.maximum(squares, 1e-30), steps))
    return best


def round_group(weights, steps, factor):
    """Rounds a group's columns in turn; returns the rounded weights and the errors that later columns have to make up for."""
    weights, rounded, errors = weights.copy(), np.empty_like(weights), np.empty_like(weights)
    for j in range(weights.shape[1]):
        rounded[:, j] = (codes(weights[:, j : j + 1], steps) * steps)[:, 0]
        errors[:, j] = (weights[:, j] - rounded[:, j]) / factor[j, j]
        weights[:, j + 1 :] -= errors[:, j : j + 1] * factor[j, j + 1 :]
    return rounded, errors


def reaches(rounded, steps):
    """Which rows have a weight of -8 steps, or 7 of either sign: their steps are found again."""
    found = codes(rounded, steps)
    return (np.abs(found).max(1) >= 7) | (steps[:, 0] == 0)


def gptq(weights, moments, damping=0.03):
    """Rounds a matrix whose inputs have these second moments; rows do not depend on each other."""
    inputs = weights.shape[1]
    moments = moments.astype(np.float64)
    moments[np.diag_indices(inputs)] += damping * np.diag(moments).mean() + 1e-12
    factor = np.linalg.cholesky(np.linalg.inv(moments)).T.astype(np.float32)
    importance = np.diag(moments).astype(np.float32)
    parts = np.split(weights, range(ROWS, len(weights), ROWS))
    return np.concatenate([round_rows(part.copy(), factor, importance) for part in parts])


def round_rows(weights, factor, importance):
    inputs, out = weights.shape[1], np.empty_like(weights)
    for first in range(0, inputs, GROUP):
        here = slice(first, min(first + GROUP, inputs))
        steps = find_steps(weights[:, here], importance[here])
        rounded, errors = round_group(weights[:, here], steps, factor[here, here])
        for _ in range(8):
            rows = np.flatnonzero(~reaches(rounded, steps))
            if not len(rows):
                break
            most = np.abs(codes(rounded[rows], steps[rows])).max(1, keepdims=True)
            steps[rows] = halved(steps[rows] * most / 7.25)
            rounded[rows], errors[rows] = round_group(weights[rows, here], steps[rows], factor[here, here])
        out[:, here] = rounded
        weights[:, here.stop :] -= errors @ factor[here, here.stop :]
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("text", type=Path, nargs="+")
    parser.add_argument("--tokens", type=int, default=8192, help="how much of the text is used (default: 8192)")
    arguments = parser.parse_args()
    if arguments.out.exists():
        raise SystemExit(f"{arguments.out} is there already")

    config = json.loads((arguments.model / "config.json").read_text())
    checkpoint = Checkpoint(arguments.model)
    text = "".join(path.read_text(encoding="utf-8") for path in arguments.text)
    ids = Tokenizer.from_file(str(arguments.model / "tokenizer.json")).encode(text, add_special_tokens=False).ids
    ids = ids[: arguments.tokens]
    embeddings = checkpoint.read("model.embed_tokens.weight")
    states = [embeddings[ids[start : start + WINDOW]] for start in range(0, len(ids), WINDOW)]
    del embeddings

    rotary, new = rotary_tables(config), {}
    for index in range(config["num_hidden_layers"]):
        layer = Layer(config, checkpoint, index)
        states = layer.run(states, rotary)
        new |= layer.rounded()
        print(f"layer {index + 1} of {config['num_hidden_layers']}", flush=True)

    if "lm_head.weight" in checkpoint.places and not config.get("tie_word_embeddings"):
        weight = checkpoint.read("model.norm.weight")
        moments = sum(x.T @ x for x in (rms_norm(x, weight, config["rms_norm_eps"]) for x in states))
        new["lm_head.weight"] = gptq(checkpoint.read("lm_head.weight"), moments).astype(np.float16)
        print("the vocabulary's matrix", flush=True)

    shutil.copytree(arguments.model, arguments.out, ignore=lambda folder, names: [
        name for name in names if Path(folder) == arguments.model and name.endswith(".safetensors")
    ])
    checkpoint.write(arguments.out, new)
    print(f"fitted {sum(values.size for values in new.values()):,} weights on {len(ids):,} tokens")


if __name__ == "__main__":
    main()
