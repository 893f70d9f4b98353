#!/usr/bin/env python3
"""What PyTorch loses in fewer bits on the golden cases: where the tolerances of `--dtype bf16` and `--quantize` come from.

  few_bits_reference.py [--full]

Needs torch, transformers, safetensors and numpy: the environment that `make bench-peers` makes has them. Runs the models of
tests/golden as transformers has them, weights and activations in bfloat16, on the inputs of the golden files, and prints
the relative error (the norm of the difference over the norm) against the outputs there, which are float32. int8 and int4
are the same models in float32 whose linear layers round weights and activations as docs/accuracy.md says. With --full the
full-size ones too, filled by the rule of docs/synthetic-weights.md: 12 GB of memory, some minutes.
"""
import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import (Dinov2Config, Dinov2Model, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM,
                          SiglipVisionConfig, SiglipVisionModel)

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden"
BF16 = torch.bfloat16
torch.set_grad_enabled(False)


def error(found, expected):
    found, expected = found.double(), expected.double()
    return (torch.linalg.norm(found - expected) / torch.linalg.norm(expected)).item()


def report(name, **errors):
    print(f"{name:28}", "  ".join(f"{what} {value:.2e}" for what, value in errors.items()), flush=True)


def rule(name, shape):
    """The synthetic weights of docs/synthetic-weights.md."""
    hash = 0xcbf29ce484222325
    for byte in name.encode():
        hash = (hash ^ byte) * 0x100000001b3 % 2**64
    out = np.empty(math.prod(shape), np.float32)
    for start in range(0, out.size, 1 << 22):
        part = out[start:start + (1 << 22)]
        with np.errstate(over="ignore"):
            z = np.uint64(hash) + np.arange(start + 1, start + part.size + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z ^= z >> np.uint64(31)
        part[:] = (z >> np.uint64(40)).astype(np.float32) * np.float32(2**-23) - np.float32(1)
    if name.endswith("bias") or any(part in name for part in ("cls_token", "mask_token", "image_newline")):
        out *= np.float32(0.02)
    elif "lambda1" in name:
        out = np.float32(0.5) + np.float32(0.1) * out
    elif len(shape) == 1:
        out = np.float32(1) + np.float32(0.1) * out
    elif "position_embedding" in name or "pos_embed" in name:
        out *= np.float32(0.5)
    elif "embed_tokens" not in name and "vision_query" not in name:
        out *= np.float32(math.sqrt(3 / math.prod(shape[1:])))
    return torch.from_numpy(out.reshape(shape))


def filled(model, dtype):
    """The model, every parameter by the rule."""
    for name, parameter in model.named_parameters():
        parameter.data = rule(name, tuple(parameter.shape)).to(dtype)
    return model.eval()


def empty(kind, config, dtype=BF16):
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        return kind(config)
    finally:
        torch.set_default_dtype(default)


class Quantized(torch.nn.Module):
    """A linear layer with weights of so many bits and activations of eight, both in groups of neighbouring inputs."""

    def __init__(self, linear, bits):
        super().__init__()
        self.group = 64 if bits == 8 else 32
        self.bias = linear.bias
        groups = self.groups(linear.weight.data)
        if bits == 8:
            steps = (groups.abs().amax(-1, keepdim=True) / 127).half().float()
            codes = (groups / steps).nan_to_num().round().clamp(-128, 127)
        else:
            low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
            steps = (torch.where(-low > high, low, high) / -8).half().float()
            codes = (groups / steps).nan_to_num().round().clamp(-8, 7)
        self.weight = (codes * steps).flatten(-2)

    def groups(self, x):
        pad = -x.shape[-1] % self.group
        return torch.nn.functional.pad(x, (0, pad)).unflatten(-1, (-1, self.group))

    def forward(self, x):
        groups = self.groups(x)
        steps = groups.abs().amax(-1, keepdim=True) / 127
        x = ((groups / steps).nan_to_num().round() * steps).flatten(-2)
        return torch.nn.functional.linear(x, self.weight, self.bias)


def quantized(model, bits):
    """The model in float32, its linear layers quantised; of a vision tower not the patches."""
    model = model.float()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, torch.nn.Linear):
                setattr(parent, name, Quantized(child, bits))
    return model


WAYS = {
    "bf16": (BF16, lambda model: model),
    "int8": (torch.float32, lambda model: quantized(model, 8)),
    "int4": (torch.float32, lambda model: quantized(model, 4)),
}


def tower(kind, config_kind, folder, dtype):
    raw = json.loads((GOLDEN / "checkpoint" / folder / "config.json").read_text())
    config = config_kind.from_dict(raw.get("vision_config", raw))
    weights = load_file(GOLDEN / "checkpoint" / folder / "model.safetensors")
    model = empty(kind, config, dtype)
    state = {name: weights.get(name, weights.get(f"{folder}.{name}")) for name in model.state_dict()}
    missing = [name for name, tensor in state.items() if tensor is None]
    model.load_state_dict({name: tensor for name, tensor in state.items() if tensor is not None}, strict=False)
    left = [name for name in missing if "head" not in name and "post_layernorm" not in name and "position_ids" not in name]
    assert not left, left
    return model.eval()


def small(way):
    dtype, change = WAYS[way]
    case = load_file(GOLDEN / "dinov2.safetensors")
    model = change(tower(Dinov2Model, Dinov2Config, "dinov2", dtype))
    report(f"dinov2 {way}", last_hidden_state=error(model(case["pixel_values"].to(dtype)).last_hidden_state,
                                                    case["last_hidden_state"]))
    case = load_file(GOLDEN / "siglip.safetensors")
    model = change(tower(SiglipVisionModel, SiglipVisionConfig, "siglip", dtype))
    model.vision_model.use_head = False
    out = model.vision_model(case["pixel_values"].to(dtype), output_hidden_states=True)
    report(f"siglip {way}", hidden_state_last=error(out.hidden_states[-1], case["hidden_state_last"]))
    for family, kind, config_kind in (("qwen", Qwen2ForCausalLM, Qwen2Config), ("llama", LlamaForCausalLM, LlamaConfig)):
        folder = GOLDEN / "checkpoint" / f"longvu_{family}"
        raw = json.loads((folder / "config.json").read_text())
        names = config_kind().to_dict().keys() - {"model_type", "architectures", "auto_map", "torch_dtype"}
        model = empty(kind, config_kind(**{key: value for key, value in raw.items() if key in names}), dtype)
        weights = load_file(folder / "model.safetensors")
        if raw.get("tie_word_embeddings"):
            weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
        model.load_state_dict({name: weights[name] for name in model.state_dict()})
        case = load_file(GOLDEN / f"lm_{family}.safetensors")
        model = change(model.eval())
        out = model(inputs_embeds=case["inputs_embeds"].to(dtype)[None], use_cache=False)
        report(f"lm_{family} {way}", logits=error(out.logits[0], case["logits"]),
               same_likeliest=(out.logits[0].argmax(-1) == case["logits"].argmax(-1)).float().mean().item())


def full(way):
    dtype, change = WAYS[way]
    patches = slice(0, 729, 91)

    def synthetic(kind, config):
        return change(filled(empty(kind, config, dtype), dtype))

    def compare(name, case, found):
        report(f"{name} {way}", **{key: error(found, tensor.reshape(found.shape))
                                   for key, tensor in case.items() if tensor.numel() == found.numel()})

    case = load_file(GOLDEN / "full" / "full_dinov2_giant.safetensors")
    model = synthetic(Dinov2Model, Dinov2Config(hidden_size=1536, num_hidden_layers=40, num_attention_heads=24, mlp_ratio=4,
                                                image_size=518, patch_size=14, use_swiglu_ffn=True))
    pixels = rule("embed_tokens.input.dinov2", (1, 3, 378, 378)).to(dtype)
    compare("full_dinov2_giant", case, model(pixels).last_hidden_state[0, 1:][patches])
    del model
    case = load_file(GOLDEN / "full" / "full_siglip_so400m.safetensors")
    model = synthetic(SiglipVisionModel, SiglipVisionConfig(hidden_size=1152, intermediate_size=4304, num_hidden_layers=27,
                                                            num_attention_heads=16, image_size=384, patch_size=14))
    model.vision_model.use_head = False
    pixels = rule("embed_tokens.input.siglip", (1, 3, 384, 384)).to(dtype)
    out = model.vision_model(pixels, output_hidden_states=True)
    compare("full_siglip_so400m", case, out.hidden_states[-1][0][patches])
    del model
    case = load_file(GOLDEN / "full" / "full_qwen2_2_layers.safetensors")
    model = synthetic(Qwen2ForCausalLM, Qwen2Config(hidden_size=3584, intermediate_size=18944, num_hidden_layers=2,
                      num_attention_heads=28, num_key_value_heads=4, vocab_size=152064, rope_theta=1e6, rms_norm_eps=1e-6))
    embeddings = rule("embed_tokens.input.qwen2", (1, 24, 3584)).to(dtype)
    compare("full_qwen2_2_layers", case, model(inputs_embeds=embeddings).logits[0, -1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the full-size models too")
    arguments = parser.parse_args()
    for way in WAYS:
        small(way)
    for way in WAYS if arguments.full else ():
        full(way)
