"""The PyTorch side of `make bench-peers`: the modules that LongVU is made of, at full size, on the CPU.

  pytorch.py CASE [--format f32|bf16] [--runs N]

Prints one JSON line: the case, the seconds of each run after a warm-up, and the process's peak memory in bytes while it
ran. Weights are random, for only time and memory are measured. OMP_NUM_THREADS sets the threads. It runs on the versions that
LongVU's package was made with, and on current ones.
"""
import argparse

import torch
import torch.nn.functional as F
from transformers import (Dinov2Config, Dinov2Model, DynamicCache, LlamaConfig, LlamaModel, Qwen2Config, Qwen2Model,
                          SiglipVisionConfig, SiglipVisionModel)

from process import report

try:
    from transformers.initialization import no_init_weights
except ImportError:
    from transformers.modeling_utils import no_init_weights

torch.set_grad_enabled(False)

QWEN2 = dict(hidden_size=3584, intermediate_size=18944, num_attention_heads=28, num_key_value_heads=4, rope_theta=1e6)
LLAMA = dict(hidden_size=2048, intermediate_size=8192, num_attention_heads=32, num_key_value_heads=8, rope_theta=5e5)


def fill(module):
    for parameter in module.parameters():
        parameter.uniform_(-0.02, 0.02)
    return module.eval()


def build(model, config):
    with no_init_weights():
        return fill(model(config))


def dinov2():
    model = build(Dinov2Model, Dinov2Config(hidden_size=1536, num_hidden_layers=40, num_attention_heads=24, mlp_ratio=4,
                                            image_size=518, patch_size=14, use_swiglu_ffn=True))
    pixels = torch.randn(1, 3, 378, 378)
    return lambda: model(pixels)


def siglip():
    model = build(SiglipVisionModel, SiglipVisionConfig(hidden_size=1152, intermediate_size=4304, num_hidden_layers=27,
                                                        num_attention_heads=16, image_size=384, patch_size=14))
    pixels = torch.randn(1, 3, 384, 384)
    return lambda: model(pixels)


def prefill(model, config, sizes, layers, prompt):
    """Layers and final norm; the vocabulary has cases of its own."""
    model = build(model, config(num_hidden_layers=layers, vocab_size=64, **sizes))
    embeds = torch.randn(1, prompt, sizes["hidden_size"])
    return lambda: model(inputs_embeds=embeds, use_cache=True)


def decode(model, config, sizes, layers, prompt):
    """One step after `prompt` positions."""
    model = build(model, config(num_hidden_layers=layers, vocab_size=64, **sizes))
    heads, width = sizes["num_key_value_heads"], sizes["hidden_size"] // sizes["num_attention_heads"]
    cache = [(torch.randn(1, heads, prompt, width), torch.randn(1, heads, prompt, width)) for _ in range(layers)]
    embeds = torch.randn(1, 1, sizes["hidden_size"])

    def run():
        model(inputs_embeds=embeds, past_key_values=past_of(cache), use_cache=True)
    return run


def past_of(cache):
    """The cache as a model takes it. A step makes new tensors, so that these stay as long as they are."""
    if hasattr(DynamicCache, "from_legacy_cache"):
        return DynamicCache.from_legacy_cache(tuple(cache))
    return DynamicCache(cache)


def lm_head(hidden, vocabulary):
    with torch.device("meta"):
        head = torch.nn.Linear(hidden, vocabulary, bias=False)
    head, state = fill(head.to_empty(device="cpu")), torch.randn(1, hidden)
    return lambda: head(state)


def temporal():
    """One hour at a frame a second; 48 of DINOv2-giant's 1536 channels, to fit in memory."""
    frames = 3600
    features = torch.randn(frames, 576, 48)

    def run():
        for start in range(0, frames, 16):
            window = features[start:start + 16].flatten(1, 2)
            window = window / window.norm(dim=1, keepdim=True)
            similarity = (window @ window.T).mean(1)
            similarity[len(window) // 2] = 0
            torch.where(similarity < 0.83)
    return run


def spatial():
    """Chunks of 8 of the 400 frames that the temporal stage leaves at most."""
    frames = 400
    tokens = torch.randn(frames, 156, 3584)

    def run():
        kept = []
        for start in range(0, frames, 8):
            chunk = tokens[start:start + 8]
            first = chunk[0].unsqueeze(0).repeat_interleave(len(chunk) - 1, 0)
            similarity = F.cosine_similarity(first, chunk[1:], dim=-1)
            kept.append(torch.cat([chunk[0], chunk[1:].flatten(0, 1)[similarity.flatten() < 0.8]]))
        torch.cat(kept)
    return run


def memory_peak():
    """A sum over a gibibyte."""
    x = torch.ones(1 << 28)
    return lambda: x.sum()


CASES = {
    "dinov2": dinov2,
    "siglip": siglip,
    "qwen2-prefill-1024": lambda: prefill(Qwen2Model, Qwen2Config, QWEN2, 2, 1024),
    "qwen2-prefill-8192": lambda: prefill(Qwen2Model, Qwen2Config, QWEN2, 2, 8192),
    "qwen2-decode": lambda: decode(Qwen2Model, Qwen2Config, QWEN2, 2, 1024),
    "qwen2-lm-head": lambda: lm_head(3584, 152064),
    "llama-prefill-1024": lambda: prefill(LlamaModel, LlamaConfig, LLAMA, 4, 1024),
    "llama-decode": lambda: decode(LlamaModel, LlamaConfig, LLAMA, 4, 1024),
    "llama-lm-head": lambda: lm_head(2048, 128256),
    "temporal": temporal,
    "spatial": spatial,
    "memory-peak": memory_peak,
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--format", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_default_dtype({"f32": torch.float32, "bf16": torch.bfloat16}[arguments.format])
    report(arguments.case, CASES[arguments.case](), arguments.runs)


if __name__ == "__main__":
    main()
