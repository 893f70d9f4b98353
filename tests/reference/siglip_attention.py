#!/usr/bin/env python3
"""Attention that each patch receives in a SigLIP's last layer but one, from its weights with NumPy.

    python3 siglip_attention.py > siglip_attention.json

Runs the golden tower on the golden pixels, stops if its last hidden state isn't the golden one, and prints the mean over heads
and queries. tests/pipeline/attention.rs compares the Rust tower with it.
"""
import json
import math
import struct
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent.parent / "golden"


def tensors(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    table = json.loads(data[8 : 8 + size])
    table.pop("__metadata__", None)
    of = lambda entry: data[8 + size + entry["data_offsets"][0] : 8 + size + entry["data_offsets"][1]]
    return {
        name: np.frombuffer(of(entry), "<f4").reshape(entry["shape"]).astype(np.float64)
        for name, entry in table.items()
        if entry["dtype"] == "F32"
    }


weights = tensors(GOLDEN / "checkpoint/siglip/model.safetensors")
case = tensors(GOLDEN / "siglip.safetensors")
config = json.loads((GOLDEN / "checkpoint/siglip/config.json").read_text())
layers, heads = config["num_hidden_layers"], config["num_attention_heads"]


def linear(x, name):
    return x @ weights[name + ".weight"].T + weights[name + ".bias"]


def norm(x, name):
    x = x - x.mean(axis=-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + config["layer_norm_eps"])
    return x * weights[name + ".weight"] + weights[name + ".bias"]


def gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


x = case["hidden_state_first"][0]
for i in range(layers):
    at = f"vision_model.encoder.layers.{i}."
    normed = norm(x, at + "layer_norm1")
    split = lambda name: linear(normed, f"{at}self_attn.{name}_proj").reshape(len(x), heads, -1).transpose(1, 0, 2)
    q, k, v = split("q"), split("k"), split("v")
    scores = np.exp(q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1]))
    scores /= scores.sum(axis=-1, keepdims=True)
    if i == layers - 2:
        received = scores.mean(axis=(0, 1))
    x = x + linear((scores @ v).transpose(1, 0, 2).reshape(x.shape), at + "self_attn.out_proj")
    x = x + linear(gelu(linear(norm(x, at + "layer_norm2"), at + "mlp.fc1")), at + "mlp.fc2")

assert np.abs(x - case["hidden_state_last"][0]).max() < 1e-4, "this is not the golden tower"
print(json.dumps([round(float(value), 9) for value in received]))
