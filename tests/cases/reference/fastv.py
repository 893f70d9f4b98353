#!/usr/bin/env python3
"""FastV (arXiv 2403.06764) on the golden language models, worked out with NumPy in float64: python3 fastv.py > fastv.json

Written from the paper and apart from the Rust code, which tests/cases/fastv.rs compares with what this prints. Before that it
checks its own decoder, without FastV, against the golden outputs of transformers.
"""
import json
import struct
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
VISUAL = [[4, 15], [18, 30]]


def read(path):
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    kinds = {"F32": np.float32, "F16": np.float16}
    tensors = {}
    for name, info in json.loads(data[8 : 8 + size]).items():
        if name != "__metadata__" and info["dtype"] in kinds:
            begin, end = (8 + size + offset for offset in info["data_offsets"])
            values = np.frombuffer(data[begin:end], kinds[info["dtype"]]).astype(np.float64)
            tensors[name] = values.reshape(info["shape"])
    return tensors


class Decoder:
    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        self.weights = read(folder / "model.safetensors")
        self.heads = self.config["num_attention_heads"]
        self.kv_heads = self.config["num_key_value_heads"]
        self.dim = self.config.get("head_dim") or self.config["hidden_size"] // self.heads
        self.layers = self.config["num_hidden_layers"]
        assert not self.config.get("rope_scaling")

    def linear(self, name, x):
        out = x @ self.weights[name + ".weight"].T
        return out + self.weights.get(name + ".bias", 0.0)

    def norm(self, name, x):
        scale = 1 / np.sqrt((x**2).mean(-1, keepdims=True) + self.config["rms_norm_eps"])
        return x * scale * self.weights[name + ".weight"]

    def rotated(self, x, positions):
        frequencies = self.config["rope_theta"] ** (-np.arange(0, self.dim, 2) / self.dim)
        angles = np.outer(positions, frequencies)[:, None, :]
        a, b = x[..., : self.dim // 2], x[..., self.dim // 2 :]
        return np.concatenate([a * np.cos(angles) - b * np.sin(angles), b * np.cos(angles) + a * np.sin(angles)], -1)

    def layer(self, index, x, positions, cache):
        """Outputs, and the attention of the last position to all keys as the mean over heads; the cache gets the new keys."""
        name = f"model.layers.{index}."
        normed = self.norm(name + "input_layernorm", x)
        split = lambda part, heads: self.linear(name + f"self_attn.{part}_proj", normed).reshape(len(x), heads, self.dim)
        query = self.rotated(split("q", self.heads), positions)
        key = self.rotated(split("k", self.kv_heads), positions)
        value = split("v", self.kv_heads)
        if index in cache:
            key, value = (np.concatenate([old, new]) for old, new in zip(cache[index], (key, value)))
        cache[index] = (key, value)
        group = self.heads // self.kv_heads
        key, value = key.repeat(group, axis=1), value.repeat(group, axis=1)
        scores = np.einsum("qhd,khd->hqk", query, key) / np.sqrt(self.dim)
        count, seen = scores.shape[1:]
        scores[:, np.arange(seen)[None, :] > np.arange(count)[:, None] + seen - count] = -np.inf
        attention = np.exp(scores - scores.max(-1, keepdims=True))
        attention /= attention.sum(-1, keepdims=True)
        mixed = np.einsum("hqk,khd->qhd", attention, value).reshape(count, -1)
        x = x + self.linear(name + "self_attn.o_proj", mixed)
        normed = self.norm(name + "post_attention_layernorm", x)
        gate, up = (self.linear(name + f"mlp.{part}_proj", normed) for part in ("gate", "up"))
        x = x + self.linear(name + "mlp.down_proj", gate / (1 + np.exp(-gate)) * up)
        return x, attention[:, -1].mean(0)

    def prompt(self, x, k=None, r=None, visual=()):
        """Final-norm outputs of what is left, the cache, and the visual positions that stay."""
        positions, cache, kept = np.arange(len(x)), {}, None
        for index in range(self.layers):
            if index == k:
                visual = np.array(visual)
                count = round(len(visual) * (1 - r))
                kept = np.sort(visual[np.argsort(-attention[visual], kind="stable")[:count]])
                stays = ~np.isin(positions, visual) | np.isin(positions, kept)
                x, positions = x[stays], positions[stays]
            x, attention = self.layer(index, x, positions, cache)
        return self.norm("model.norm", x), cache, kept

    def next(self, x, position, cache):
        for index in range(self.layers):
            x, _ = self.layer(index, x, np.array([position]), cache)
        return self.norm("model.norm", x)


cases = []
for model in ["qwen", "llama"]:
    decoder = Decoder(GOLDEN / f"checkpoint/longvu_{model}")
    golden = read(GOLDEN / f"lm_{model}.safetensors")
    embeds = golden["inputs_embeds"]
    whole, _, _ = decoder.prompt(embeds)
    assert np.abs(whole - golden["final_norm_out"]).max() < 1e-4, model
    visual = [position for begin, end in VISUAL for position in range(begin, end)]
    for k in range(1, decoder.layers):
        for r in [0.0, 0.25, 0.5, 0.9, 1.0]:
            out, cache, kept = decoder.prompt(embeds, k, r, visual)
            after = decoder.next(embeds[2:3], len(embeds), cache)
            cases.append({
                "model": model, "k": k, "r": r, "visual": VISUAL, "kept": kept.tolist(),
                "last": np.round(out[-1], 6).tolist(), "next": np.round(after[0], 6).tolist(),
            })  # fmt: skip
print("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]")
