"""What is compared, and how much faster ours has to be."""
from dataclasses import dataclass, field


@dataclass
class Variant:
    """One way to run our side. `bar` is the least ratio to PyTorch in float32 that is accepted."""
    label: str = "f32"
    bar: float = None
    arguments: list = field(default_factory=list)


@dataclass
class Case:
    """`per` divides times: the layers of a decoder. `runs` and `rounds` bound those of slow cases."""
    name: str
    title: str
    variants: list
    per: int = 1
    runs: int = None
    rounds: int = None


def dtype(name, bar=None):
    return Variant(name, bar, ["--dtype", name])


def quantize(name, bar=None):
    return Variant(name, bar, ["--quantize", name])


STORED = [Variant("f32", 1.0), dtype("f16", 1.8), dtype("bf16", 1.8), quantize("int8", 3.3), quantize("int4", 5.0)]

PEAKS = [
    Case("matmul-peak", "product of 4096 x 4096 matrices", [Variant()]),
    Case("memory-peak", "sum of 1 GiB", [Variant()]),
]

CASES = [
    Case("dinov2", "DINOv2-giant, one frame", [Variant("f32", 1.25)]),
    Case("siglip", "SigLIP so400m, one frame", [Variant("f32", 1.25)]),
    Case("qwen2-prefill-1024", "Qwen2-7B layer, 1,024-token prompt", [Variant("f32", 1.05)], per=2),
    Case("qwen2-prefill-8192", "Qwen2-7B layer, 8,192-token prompt", [Variant()], per=2, runs=1, rounds=1),
    Case("qwen2-decode", "Qwen2-7B layer, one token after 1,024", STORED, per=2),
    Case("qwen2-lm-head", "Qwen2-7B `lm_head`, one token", STORED),
    Case("llama-prefill-1024", "Llama-3.2-1B layer, 1,024-token prompt", [Variant("f32", 1.05)], per=4),
    Case("llama-decode", "Llama-3.2-1B layer, one token after 1,024", STORED, per=4),
    Case("llama-lm-head", "Llama-3.2-1B `lm_head`, one token", STORED),
    Case("temporal", "temporal stage, 3,600 frames x 576 x 48", [Variant("f32", 1.5)]),
    Case("spatial", "spatial stage, 400 frames x 156 x 3,584", [Variant("f32", 1.5)]),
    Case("video", "decoding and preprocessing 1080p at 1 frame a second", [Variant("", 2.0)], runs=1),
]
