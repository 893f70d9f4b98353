"""What is compared, and how much faster ours has to be."""
from dataclasses import dataclass, field


@dataclass
class Variant:
    """One way to run our side. `bar` is the least ratio to PyTorch 2.1 in float32 that is accepted."""
    label: str = "f32"
    bar: float = None
    arguments: list = field(default_factory=list)


@dataclass
class Case:
    """`bound` is by what: arithmetic, the memory that a token reads, or else. `per` divides times: the layers of a decoder.
    `runs` and `rounds` bound those of slow cases."""
    name: str
    title: str
    bound: str
    variants: list
    per: int = 1
    runs: int = None
    rounds: int = None


def dtype(name, bar=None):
    return Variant(name, bar, ["--dtype", name])


def quantize(name, bar=None):
    return Variant(name, bar, ["--quantize", name])


def fast(bar=None):
    """Formats that products of matrices are fast in."""
    return [Variant("f32", bar), dtype("bf16"), quantize("int8"), quantize("int4")]


STORED = [Variant("f32", 1.0), dtype("f16", 1.8), dtype("bf16", 1.8), quantize("int8", 3.3), quantize("int4", 5.0)]

# The kind of numbers that a product with weights of a format multiplies, by which a share of the peak is taken. Where the
# processor has no instruction for it, it is float32.
MULTIPLIES = {"f32": "f32", "f16": "f32", "bf16": "bf16", "int8": "int8", "int4": "int8"}

# Levels of instructions that a level of LONGVU_KERNELS includes; one that is not named here includes all.
VECTORS = {"avx2", "avx512"}
LEVELS = {
    "avx2": {"avx2"},
    "avx-vnni": {"avx2", "avx-vnni"},
    "avx512": VECTORS,
    "avx512-vnni": VECTORS | {"avx512-vnni"},
    "avx512-bf16": VECTORS | {"avx512-vnni", "avx512-bf16"},
}

MEMORY_PEAK = Case("memory-peak", "sum of 1 GiB", "else", [Variant()])

CASES = [
    Case("dinov2", "DINOv2-giant, one frame", "arithmetic", fast(1.25)),
    Case("siglip", "SigLIP so400m, one frame", "arithmetic", fast(1.25)),
    Case("qwen2-prefill-1024", "Qwen2-7B layer, 1,024-token prompt", "arithmetic", fast(1.05), per=2),
    Case("qwen2-prefill-8192", "Qwen2-7B layer, 8,192-token prompt", "arithmetic", fast(), per=2, runs=1, rounds=1),
    Case("llama-prefill-1024", "Llama-3.2-1B layer, 1,024-token prompt", "arithmetic", fast(1.05), per=4),
    Case("qwen2-decode", "Qwen2-7B layer, one token after 1,024", "token", STORED, per=2),
    Case("qwen2-lm-head", "Qwen2-7B `lm_head`, one token", "token", STORED),
    Case("llama-decode", "Llama-3.2-1B layer, one token after 1,024", "token", STORED, per=4),
    Case("llama-lm-head", "Llama-3.2-1B `lm_head`, one token", "token", STORED),
    Case("temporal", "temporal stage, 3,600 frames x 576 x 48", "else", [Variant("f32", 1.5)]),
    Case("spatial", "spatial stage, 400 frames x 156 x 3,584", "else", [Variant("f32", 1.5)]),
    Case("video", "decoding and preprocessing 1080p at 1 frame a second", "else", [Variant("", 2.0)], runs=1),
]
