"""The OpenVINO side of `make bench-peers`: layers at the published sizes on its CPU plug-in.

  openvino_layers.py CASE [--format f32|bf16|int8|int4] [--runs N] [--threads N]

Prints one JSON line: the case, the seconds of each run after a warm-up, scaled to as many layers as ours has, and, where no
scaling was needed, the process's peak memory in bytes while it ran. Weights are random. int8 and int4 are
weights in groups of 128 with a scale each, which the runtime multiplies as it sees fit; activations are in bf16 where the
processor has it, else in f32.
"""
import argparse

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from process import report

GROUP = 128
# Layers of a tower that are built; the rest cost as much each.
TOWER_LAYERS = 8
# Head dimension before sequence: where a tensor of keys grows.
SEQUENCE = 2

random = np.random.default_rng(0)


def vector(*values):
    return ops.constant(np.array(values, dtype=np.int64))


def uniform(*shape, middle=0.0):
    return ops.constant(middle + (random.random(shape, dtype=np.float32) - 0.5) * 0.04)


def nibbles(codes):
    """int4 values, two to a byte, the first in the lower half."""
    low, high = codes.reshape(-1, 2).T & 15
    tensor = ov.Tensor(ov.Type.i4, ov.Shape(codes.shape))
    # A tensor over an array would not keep the array.
    tensor.data[:] = (low | high << 4).astype(np.uint8)
    return ops.constant(tensor)


def matrix(outputs, inputs, form):
    if form not in ("int8", "int4"):
        return uniform(outputs, inputs)
    reach = 128 if form == "int8" else 8
    # SigLIP's 4,304 inputs are no groups of 128: such rows have one scale, as tools for this runtime write them.
    group = GROUP if inputs % GROUP == 0 else inputs
    codes = random.integers(-reach, reach, (outputs, inputs // group, group), dtype=np.int8)
    scales = (random.random((outputs, inputs // group, 1), dtype=np.float32) * 0.02 / reach).astype(np.float16)
    stored = ops.constant(codes) if form == "int8" else nibbles(codes)
    values = ops.multiply(ops.convert(stored, ov.Type.f16), ops.constant(scales))
    return ops.convert(ops.reshape(values, vector(outputs, inputs), False), ov.Type.f32)


class Layers:
    """Builds a model's layers with weights of one form."""

    def __init__(self, form):
        self.form = form

    def linear(self, x, outputs, inputs, bias):
        product = ops.matmul(x, matrix(outputs, inputs, self.form), False, True)
        return ops.add(product, uniform(outputs)) if bias else product

    @staticmethod
    def layer_norm(x, width):
        return ops.add(ops.multiply(ops.mvn(x, vector(2), True, 1e-6, "inside_sqrt"), uniform(width, middle=1)), uniform(width))

    @staticmethod
    def rms_norm(x, width):
        square = ops.reduce_mean(ops.power(x, ops.constant(np.float32(2))), vector(2), True)
        inverse = ops.divide(ops.constant(np.float32(1)), ops.sqrt(ops.add(square, ops.constant(np.float32(1e-6)))))
        return ops.multiply(uniform(width, middle=1), ops.multiply(x, inverse))

    @staticmethod
    def split(x, heads, size):
        return ops.transpose(ops.reshape(x, vector(0, 0, heads, size), True), vector(0, 2, 1, 3))

    @staticmethod
    def join(x, width):
        return ops.reshape(ops.transpose(x, vector(0, 2, 1, 3)), vector(0, 0, width), True)

    def swiglu(self, x, width, hidden, bias):
        gate = ops.swish(self.linear(x, hidden, width, bias))
        return self.linear(ops.multiply(gate, self.linear(x, hidden, width, bias)), width, hidden, bias)

    def tower(self, tokens, width, heads, hidden, swiglu):
        pixels = ops.parameter([1, tokens, width], np.float32)
        x = pixels
        for _ in range(TOWER_LAYERS):
            y = self.layer_norm(x, width)
            query, key, value = (self.split(self.linear(y, width, width, True), heads, width // heads) for _ in range(3))
            mixed = self.join(ops.scaled_dot_product_attention(query, key, value), width)
            mixed = self.linear(mixed, width, width, True)
            # DINOv2 scales what it adds, by channel.
            x = ops.add(x, ops.multiply(mixed, uniform(width)) if swiglu else mixed)
            y = self.layer_norm(x, width)
            if swiglu:
                x = ops.add(x, ops.multiply(self.swiglu(y, width, hidden, True), uniform(width)))
            else:
                y = ops.gelu(self.linear(y, hidden, width, True), "tanh")
                x = ops.add(x, self.linear(y, width, hidden, True))
        return ov.Model([x], [pixels])

    def decoder(self, layers, width, hidden, heads, groups, bias):
        """Layers with a key/value cache as state: what runs sees of it is how far it has grown."""
        size = width // heads
        embeds = ops.parameter([1, -1, width], np.float32, name="embeds")
        angles = [ops.parameter([1, 1, -1, size], np.float32, name=name) for name in ("cosine", "sine")]
        beam = ops.parameter([1], np.int32, name="beam")
        x, sinks = embeds, []

        def turned(y):
            half = size // 2
            first, second = (ops.slice(y, vector(start), vector(start + half), vector(1), vector(3)) for start in (0, half))
            swapped = ops.concat([ops.multiply(second, ops.constant(np.float32(-1))), first], 3)
            return ops.add(ops.multiply(y, angles[0]), ops.multiply(swapped, angles[1]))

        def grown(new, name):
            info = ov.op.util.VariableInfo()
            info.data_shape, info.data_type, info.variable_id = ov.PartialShape([1, groups, -1, size]), ov.Type.f32, name
            variable = ov.op.util.Variable(info)
            empty = ops.constant(np.zeros((1, groups, 0, size), np.float32))
            past = ops.gather(ops.read_value(empty, variable), beam, ops.constant(np.int64(0)))
            whole = ops.concat([past, new], SEQUENCE)
            sinks.append(ops.assign(whole, variable))
            # Each head of keys and values serves several of queries.
            each = ops.unsqueeze(whole, vector(2))
            each = ops.broadcast(each, vector(1, 1, heads // groups, 1, 1), broadcast_spec="BIDIRECTIONAL")
            return ops.reshape(each, vector(0, heads, -1, size), True)

        for layer in range(layers):
            y = self.rms_norm(x, width)
            query = turned(self.split(self.linear(y, width, width, bias), heads, size))
            key = turned(self.split(self.linear(y, groups * size, width, bias), groups, size))
            value = self.split(self.linear(y, groups * size, width, bias), groups, size)
            key, value = grown(key, f"key.{layer}"), grown(value, f"value.{layer}")
            mixed = ops.scaled_dot_product_attention(query, key, value, None, None, True)
            x = ops.add(x, self.linear(self.join(mixed, width), width, width, False))
            x = ops.add(x, self.swiglu(self.rms_norm(x, width), width, hidden, False))
        return ov.Model([ops.result(x)], sinks, [embeds, *angles, beam])

    def head(self, width, vocabulary):
        state = ops.parameter([1, 1, width], np.float32)
        return ov.Model([self.linear(state, vocabulary, width, False)], [state])


class Request:
    """A compiled model."""

    def __init__(self, model, threads, form):
        core = ov.Core()
        has = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        wanted = "f32" if form == "f32" or (form != "bf16" and "BF16" not in has) else "bf16"
        settings = {"INFERENCE_PRECISION_HINT": wanted, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1,
                    "PERFORMANCE_HINT": "LATENCY"}
        compiled = core.compile_model(model, "CPU", settings)
        self.precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if self.precision != wanted:
            raise SystemExit(f"OpenVINO computes in {self.precision} on this processor where {wanted} was asked for")
        self.request = compiled.create_infer_request()

    def __call__(self, feeds):
        self.request.infer(feeds, share_inputs=True, share_outputs=True)


def plain(shape):
    feeds = [random.random(shape, dtype=np.float32)]
    return lambda request: lambda: request(feeds)


def step(width, size, rows):
    angles = random.random((1, 1, rows, size), dtype=np.float32)
    embeds = random.random((1, rows, width), dtype=np.float32)
    return {"embeds": embeds, "cosine": angles, "sine": angles, "beam": np.zeros(1, np.int32)}


def prefill(sizes, rows):
    feeds = step(sizes["width"], sizes["width"] // sizes["heads"], rows)

    def bind(request):
        def run():
            request.request.reset_state()
            request(feeds)
        return run
    return bind


def decode(sizes, rows):
    """Each run is one position longer than the one before."""
    size = sizes["width"] // sizes["heads"]
    feeds, token = step(sizes["width"], size, rows), step(sizes["width"], size, 1)

    def bind(request):
        request(feeds)
        return lambda: request(token)
    return bind


QWEN2 = dict(layers=2, width=3584, hidden=18944, heads=28, groups=4, bias=True)
LLAMA = dict(layers=4, width=2048, hidden=8192, heads=32, groups=8, bias=False)

# A case's model, what a run does, and how many times its layers ours has.
CASES = {
    "dinov2": (lambda of: of.tower(730, 1536, 24, 4096, True), plain((1, 730, 1536)), 40 / TOWER_LAYERS),
    "siglip": (lambda of: of.tower(729, 1152, 16, 4304, False), plain((1, 729, 1152)), 27 / TOWER_LAYERS),
    "qwen2-prefill-1024": (lambda of: of.decoder(**QWEN2), prefill(QWEN2, 1024), 1),
    "qwen2-prefill-8192": (lambda of: of.decoder(**QWEN2), prefill(QWEN2, 8192), 1),
    "qwen2-decode": (lambda of: of.decoder(**QWEN2), decode(QWEN2, 1024), 1),
    "qwen2-lm-head": (lambda of: of.head(3584, 152064), plain((1, 1, 3584)), 1),
    "llama-prefill-1024": (lambda of: of.decoder(**LLAMA), prefill(LLAMA, 1024), 1),
    "llama-decode": (lambda of: of.decoder(**LLAMA), decode(LLAMA, 1024), 1),
    "llama-lm-head": (lambda of: of.head(2048, 128256), plain((1, 1, 2048)), 1),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--format", choices=["f32", "bf16", "int8", "int4"], default="f32")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    model, bind, scale = CASES[arguments.case]
    request = Request(model(Layers(arguments.format)), arguments.threads, arguments.format)
    report(arguments.case, bind(request), arguments.runs, scale)


if __name__ == "__main__":
    main()
