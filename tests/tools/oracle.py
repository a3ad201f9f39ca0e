#!/usr/bin/env python3
"""The forward pass of a GGUF model in float64, for comparison: numpy only, no cache, every position
at once. Written from the papers and the meaning of the metadata keys (Llama: Touvron et al. 2023;
RoPE: Su et al. 2021; GQA: Ainslie et al. 2023; Gemma 3: Gemma Team 2025), not from the engine, so
that an error there does not repeat here.

Everything is exact but for float64, unless `rounded`: then keys and values are rounded to F16 and
the inputs of products with quantised weights to int8, as compute/numerics.md says. What is left
against the engine is then its f32 arithmetic alone, so that limits can be tight.

    oracle.py model.gguf --tokens 1,5,9 --logits logits.f64 --hidden hidden.f64
"""
import argparse
import math

import gguf
import numpy


def read_keys(reader):
    return {name: field.contents() for name, field in reader.fields.items()
            if not name.startswith("tokenizer.")}


# Columns that share one scale when a row of activations becomes int8; other types read it as it is.
INPUT_BLOCK = {"Q4_0": 32, "Q5_0": 32, "Q8_0": 32, "Q4_K": 256, "Q5_K": 256, "Q6_K": 256}


def round_to_int8(x, block):
    blocks = x.reshape(*x.shape[:-1], -1, block)
    step = numpy.abs(blocks).max(-1, keepdims=True) / 127
    return (numpy.rint(blocks / numpy.where(step > 0, step, 1)) * step).reshape(x.shape)


class Oracle:
    def __init__(self, path, rounded=False):
        self.rounded = rounded
        reader = gguf.GGUFReader(path)
        self.keys = read_keys(reader)
        self.family = self.keys["general.architecture"]
        if self.family not in ("llama", "gemma3"):
            raise SystemExit(f"the oracle knows no family {self.family}")
        self.tensors = {t.name: t for t in reader.tensors}
        self.gemma = self.family == "gemma3"
        self.n_layers = self.key("block_count")
        self.n_embd = self.key("embedding_length")
        self.n_head = self.key("attention.head_count")
        self.n_head_kv = self.key("attention.head_count_kv", self.n_head)
        self.head_k = self.key("attention.key_length", self.n_embd // self.n_head)
        self.head_v = self.key("attention.value_length", self.n_embd // self.n_head)
        self.n_rot = self.key("rope.dimension_count", self.head_k)
        self.eps = self.key("attention.layer_norm_rms_epsilon")

    def key(self, name, default=None):
        value = self.keys.get(f"{self.family}.{name}", default)
        if value is None:
            raise SystemExit(f"the model lacks {self.family}.{name}")
        return value

    def has(self, name):
        return name in self.tensors

    def weight(self, name):
        """A tensor's exact values, as a matrix [out, in] or a vector."""
        tensor = self.tensors[name]
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float64)
        return values.reshape([int(n) for n in reversed(tensor.shape)])

    def product(self, x, name):
        """x [rows, in] by the matrix [out, in]"""
        block = INPUT_BLOCK.get(self.tensors[name].tensor_type.name)
        if self.rounded and block:
            first = round_to_int8(x, block)
            fine = name.endswith("ffn_down.weight") or name in ("output.weight", "token_embd.weight")
            x = first + round_to_int8(x - first, block) if fine else first
        return x @ self.weight(name).T

    # ---- the pieces of a layer ----

    def norm(self, x, name):
        """RMS norm. Gemma's 1 + w is already in the file's weights."""
        return x / numpy.sqrt((x * x).mean(-1, keepdims=True) + self.eps) * self.weight(name)

    def is_global(self, layer):
        """Gemma 3: five local layers, then one that sees everything."""
        if not self.gemma or not self.key("attention.sliding_window", 0):
            return True
        return (layer + 1) % self.key("attention.sliding_window_pattern", 6) == 0

    def angles(self, layer, positions):
        """[positions, n_rot / 2]"""
        i = numpy.arange(self.n_rot // 2)
        if self.is_global(layer):
            base = self.key("rope.freq_base", 10000.0)
            scale = 1.0 / self.key("rope.scaling.factor", 1.0)
        else:
            base, scale = 10000.0, 1.0
        turns = scale * base ** (-2.0 * i / self.n_rot)
        if self.has("rope_freqs.weight"):
            turns = turns / self.weight("rope_freqs.weight")
        return positions[:, None] * turns[None, :]

    def rotate(self, x, angles):
        """x [positions, heads, width]: pairs of the first n_rot values turn by the angles."""
        half = self.n_rot // 2
        if self.gemma:  # pairs (i, i + n/2)
            first, second = slice(0, half), slice(half, self.n_rot)
        else:  # pairs (2i, 2i + 1)
            first, second = slice(0, self.n_rot, 2), slice(1, self.n_rot, 2)
        cosine, sine = numpy.cos(angles)[:, None, :], numpy.sin(angles)[:, None, :]
        out = x.copy()
        out[..., first] = x[..., first] * cosine - x[..., second] * sine
        out[..., second] = x[..., first] * sine + x[..., second] * cosine
        return out

    def project(self, x, layer, name, heads, width):
        out = self.product(x, f"blk.{layer}.{name}.weight")
        if self.has(f"blk.{layer}.{name}.bias"):
            out = out + self.weight(f"blk.{layer}.{name}.bias")
        return out.reshape(len(x), heads, width)

    def scale(self):
        if self.gemma and self.n_layers == 62:  # the 27B model scales by its model width
            return 1.0 / math.sqrt(self.n_embd / self.n_head)
        return 1.0 / math.sqrt(self.head_k)

    def visible(self, layer, n):
        """[query, key]: causal, and within the window of a local layer."""
        distance = numpy.arange(n)[:, None] - numpy.arange(n)[None, :]
        window = n if self.is_global(layer) else self.key("attention.sliding_window")
        return (distance >= 0) & (distance < window)

    def attention(self, x, layer):
        at = f"blk.{layer}."
        n = len(x)
        q = self.project(x, layer, "attn_q", self.n_head, self.head_k)
        k = self.project(x, layer, "attn_k", self.n_head_kv, self.head_k)
        v = self.project(x, layer, "attn_v", self.n_head_kv, self.head_v)
        if self.has(at + "attn_q_norm.weight"):
            q = self.norm(q, at + "attn_q_norm.weight")
            k = self.norm(k, at + "attn_k_norm.weight")
        angles = self.angles(layer, numpy.arange(n))
        q, k = self.rotate(q, angles), self.rotate(k, angles)
        if self.rounded:
            k, v = (a.astype(numpy.float16).astype(numpy.float64) for a in (k, v))
        group = self.n_head // self.n_head_kv
        k, v = numpy.repeat(k, group, 1), numpy.repeat(v, group, 1)
        scores = numpy.einsum("qhd,khd->hqk", q, k) * self.scale()
        scores = numpy.where(self.visible(layer, n)[None], scores, -numpy.inf)
        scores = numpy.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        mixed = numpy.einsum("hqk,khd->qhd", scores, v).reshape(n, -1)
        return self.product(mixed, at + "attn_output.weight")

    def activate(self, x):
        if self.gemma:  # GELU, tanh form
            return 0.5 * x * (1 + numpy.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))
        return x / (1 + numpy.exp(-x))

    def feed_forward(self, x, layer):
        at = f"blk.{layer}.ffn_"
        gate = self.activate(self.product(x, at + "gate.weight"))
        return self.product(gate * self.product(x, at + "up.weight"), at + "down.weight")

    def layer(self, h, layer):
        at = f"blk.{layer}."
        branch = self.attention(self.norm(h, at + "attn_norm.weight"), layer)
        if self.gemma:
            branch = self.norm(branch, at + "post_attention_norm.weight")
        h = h + branch
        branch = self.feed_forward(self.norm(h, at + "ffn_norm.weight"), layer)
        if self.gemma:
            branch = self.norm(branch, at + "post_ffw_norm.weight")
        return h + branch

    def run(self, tokens):
        """Hidden states at each layer border [n_layers + 1, n, n_embd], logits [n, n_vocab]."""
        h = self.weight("token_embd.weight")[numpy.asarray(tokens)]
        if self.gemma:
            h = h * math.sqrt(self.n_embd)
        borders = [h]
        for i in range(self.n_layers):
            borders.append(self.layer(borders[-1], i))
        output = "output.weight" if self.has("output.weight") else "token_embd.weight"
        last = self.norm(borders[-1], "output_norm.weight")
        return numpy.stack(borders), self.product(last, output)


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("--tokens", required=True, help="ids, with commas between them")
    p.add_argument("--logits", help="file for float64 [tokens, vocabulary]")
    p.add_argument("--hidden", help="file for float64 [layers + 1, tokens, width]")
    o = p.parse_args()
    hidden, logits = Oracle(o.model).run([int(t) for t in o.tokens.split(",")])
    if o.logits:
        logits.tofile(o.logits)
    if o.hidden:
        hidden.tofile(o.hidden)
    print("most likely next tokens:", *logits.argmax(-1))


if __name__ == "__main__":
    main()
