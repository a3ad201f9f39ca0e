#!/usr/bin/env python3
"""The forward pass of a GGUF model in float64, for comparison: numpy only, no cache, every position
at once. Written from the papers, the published configurations and the meaning of the metadata keys
(Llama: Touvron et al. 2023; RoPE: Su et al. 2021; YaRN: Peng et al. 2023; LongRoPE: Ding et al. 2024;
GQA: Ainslie et al. 2023; Gemma 2 and 3: Gemma Team 2024, 2025; OLMo 2: OLMo Team 2024; Granite 3: IBM
2024; Phi-3: Abdin et al. 2024; Mixtral: Jiang et al. 2024; gated delta nets: Yang et al. 2024; Qwen 3: Qwen Team 2025; gpt-oss: OpenAI
2025), not from the engine, so that an error there does not repeat here.

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


def round_to_int8(x, block=32):
    """Blocks of columns share one scale."""
    blocks = x.reshape(*x.shape[:-1], -1, block)
    step = numpy.abs(blocks).max(-1, keepdims=True) / 127
    return (numpy.rint(blocks / numpy.where(step > 0, step, 1)) * step).reshape(x.shape)


# What the papers say of each family. rope: which values of a head form pairs. windows: (of how many
# layers one is global, base of the others' RoPE or None, whether the others' RoPE is scaled).
FAMILIES = {
    "llama": dict(rope="adjacent"),
    "mistral3": dict(rope="adjacent"),
    "qwen2": dict(rope="halves"),
    "qwen3": dict(rope="halves"),
    "qwen3moe": dict(rope="halves"),
    "qwen35": dict(rope="halves", ffn_norm="post_attention_norm", gate=True),
    "qwen35moe": dict(rope="halves", ffn_norm="post_attention_norm", gate=True),
    "gpt-oss": dict(rope="halves", windows=(2, None, True), clamped=True, chosen=True,
                    ffn_norm="post_attention_norm"),
    "gemma2": dict(rope="halves", gelu=True, embedding="sqrt", windows=(2, None, True),
                   wide_layers=46),
    "gemma3": dict(rope="halves", gelu=True, embedding="sqrt", windows=(6, 10000.0, False),
                   wide_layers=62),
    "gemma4": dict(rope="halves", gelu=True, embedding="sqrt", windows=(6, 10000.0, False),
                   scale=1.0, value_norm=True),
    "phi3": dict(rope="halves"),
    "olmo2": dict(rope="halves", windows=(4, None, False)),
    "granite": dict(rope="adjacent"),
}


def softmax(x):
    e = numpy.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


class Oracle:
    def __init__(self, path, rounded=False):
        self.rounded = rounded
        reader = gguf.GGUFReader(path)
        self.keys = read_keys(reader)
        self.family = self.keys["general.architecture"]
        if self.family not in FAMILIES:
            raise SystemExit(f"the oracle knows no family {self.family}")
        self.facts = FAMILIES[self.family]
        self.tensors = {t.name: t for t in reader.tensors}
        self.n_layers = self.key("block_count") - self.key("nextn_predict_layers", 0)
        self.n_embd = self.key("embedding_length")
        self.n_head = self.key("attention.head_count")
        self.heads_kv = self.key("attention.head_count_kv", self.n_head)
        self.eps = self.key("attention.layer_norm_rms_epsilon")

    def key(self, name, default=None):
        value = self.keys.get(f"{self.family}.{name}", default)
        if value is None:
            raise SystemExit(f"the model lacks {self.family}.{name}")
        return value

    def enter(self, layer):
        """The widths of this layer's heads."""
        kind = "" if self.is_global(layer) else "_swa"

        def width(name, usual):
            return self.key(name + kind, self.key(name, usual))
        self.n_head_kv = self.heads_kv[layer] if isinstance(self.heads_kv, list) else self.heads_kv
        self.head_k = width("attention.key_length", self.n_embd // self.n_head)
        self.head_v = width("attention.value_length", self.n_embd // self.n_head)
        self.n_rot = width("rope.dimension_count", self.head_k)

    def has(self, name):
        return name in self.tensors

    def weight(self, name):
        """A tensor's exact values, as a matrix [out, in] or a vector."""
        tensor = self.tensors[name]
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float64)
        return values.reshape([int(n) for n in reversed(tensor.shape)])

    def product(self, x, name, rows=slice(None)):
        """x [rows, in] by the matrix [out, in], or by some of its rows"""
        if self.rounded and self.tensors[name].tensor_type.name not in ("F32", "F16", "BF16"):
            first = round_to_int8(x)
            fine = name in ("output.weight", "token_embd.weight")
            x = first + round_to_int8(x - first) if fine else first
        return x @ self.weight(name)[rows].T

    # ---- the pieces of a layer ----

    def norm(self, x, name):
        """RMS norm. Gemma's 1 + w is already in the file's weights."""
        return x / numpy.sqrt((x * x).mean(-1, keepdims=True) + self.eps) * self.weight(name)

    def is_global(self, layer):
        """Some families see a window only in most layers."""
        if "windows" not in self.facts or not self.key("attention.sliding_window", 0):
            return True
        period = self.key("attention.sliding_window_pattern", self.facts["windows"][0])
        return bool(period[layer] == 0 if isinstance(period, list) else (layer + 1) % period == 0)

    def yarn(self, plain, base, factor):
        """Turns per position of each pair: pairs that turn more than beta_fast times within the
        original positions stay, those that turn less than beta_slow times are interpolated."""
        original = self.key("rope.scaling.original_context_length", self.key("context_length"))

        def pair(turns):
            return self.n_rot * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(base))
        low = max(0, math.floor(pair(self.key("rope.scaling.yarn_beta_fast", 32.0))))
        high = min(self.n_rot - 1, math.ceil(pair(self.key("rope.scaling.yarn_beta_slow", 1.0))))
        ramp = numpy.clip((numpy.arange(len(plain)) - low) / max(0.001, high - low), 0, 1)
        return plain / factor * ramp + plain * (1 - ramp)

    def magnitude(self, layer):
        """What cosine and sine are multiplied by."""
        value = self.key("rope.scaling.attn_factor", 1.0)
        if self.key("rope.scaling.type", "linear") == "yarn":
            log = 0.1 * math.log(self.key("rope.scaling.factor", 1.0))
            value *= (1 + log) / (1 + self.key("rope.scaling.yarn_log_multiplier", 0.0) * log)
        return value if self.is_global(layer) or self.facts["windows"][2] else 1.0

    def angles(self, layer, positions):
        """[positions, n_rot / 2]"""
        base = self.key("rope.freq_base", 10000.0)
        scaled = self.is_global(layer) or self.facts["windows"][2]
        if not self.is_global(layer):
            base = self.key("rope.freq_base_swa", self.facts["windows"][1] or base)
        turns = base ** (-2.0 * numpy.arange(self.n_rot // 2) / self.n_rot)
        factor = self.key("rope.scaling.factor", 1.0)
        if scaled and self.key("rope.scaling.type", "linear") == "yarn":
            turns = self.yarn(turns, base, factor)
        elif scaled:
            turns = turns / factor
        original = self.key("rope.scaling.original_context_length", 0)
        length = "long" if len(positions) > original else "short"
        for name in () if not scaled else ("rope_freqs.weight", f"rope_factors_{length}.weight"):
            if self.has(name):
                turns = turns / self.weight(name)
        return positions[:, None] * turns[None, :]

    def rotate(self, x, angles, magnitude):
        """x [positions, heads, width]: pairs of the first n_rot values turn by the angles."""
        half = self.n_rot // 2
        if self.facts["rope"] == "halves":  # pairs (i, i + n/2)
            first, second = slice(0, half), slice(half, self.n_rot)
        else:  # pairs (2i, 2i + 1)
            first, second = slice(0, self.n_rot, 2), slice(1, self.n_rot, 2)
        cosine, sine = (magnitude * f(angles)[:, None, :] for f in (numpy.cos, numpy.sin))
        out = x.copy()
        out[..., first] = x[..., first] * cosine - x[..., second] * sine
        out[..., second] = x[..., first] * sine + x[..., second] * cosine
        return out

    def project(self, x, layer, name, heads, width):
        """q, k or v, which may lie in one matrix in this order."""
        at = f"blk.{layer}."
        if self.has(at + "attn_qkv.weight"):
            q, k, v = self.n_head * self.head_k, self.n_head_kv * self.head_k, heads * width
            first = {"attn_q": 0, "attn_k": q, "attn_v": q + k}[name]
            out = self.product(x, at + "attn_qkv.weight", slice(first, first + v))
        elif name == "attn_q" and self.facts.get("gate"):  # of each head q, then its gate
            both = self.product(x, f"{at}{name}.weight").reshape(len(x), heads, 2, width)
            out, self.gates = both[:, :, 0].reshape(len(x), -1), both[:, :, 1].reshape(len(x), -1)
        elif self.has(f"{at}{name}.weight"):
            out = self.product(x, f"{at}{name}.weight")
        else:  # Gemma 4: values are keys as they were before norm and rotation
            out = self.product(x, f"{at}attn_k.weight")
        if self.has(f"{at}{name}.bias"):
            out = out + self.weight(f"{at}{name}.bias")
        norm = f"{at}{name}_norm.weight"
        if self.has(norm) and len(self.weight(norm)) != width:  # of all heads together
            out = self.norm(out, norm)
        out = out.reshape(len(x), heads, width)
        if self.has(norm) and len(self.weight(norm)) == width:
            out = self.norm(out, norm)
        if name == "attn_v" and self.facts.get("value_norm"):
            out = out / numpy.sqrt((out * out).mean(-1, keepdims=True) + self.eps)
        return out

    def scale(self):
        if "scale" in self.facts:
            return self.facts["scale"]
        if self.key("attention.scale", 0.0):
            return self.key("attention.scale")
        if self.n_layers == self.facts.get("wide_layers"):  # 27B scales by its model width
            return 1.0 / math.sqrt(self.n_embd / self.n_head)
        return 1.0 / math.sqrt(self.head_k)

    def visible(self, layer, n):
        """[query, key]: causal, and within the window of a local layer."""
        distance = numpy.arange(n)[:, None] - numpy.arange(n)[None, :]
        window = n if self.is_global(layer) else self.key("attention.sliding_window")
        return (distance >= 0) & (distance < window)

    def temperature(self, positions):
        """Ministral 3: far queries are sharper."""
        scale = self.key("attention.temperature_scale", 0.0)
        if not scale:
            return numpy.ones(len(positions))
        original = self.key("rope.scaling.original_context_length")
        return 1 + scale * numpy.log(1 + positions // original)

    def delta(self, x, layer):
        """The gated delta net, position after position. In the file a value head h has key head
        h modulo the key heads; `ssm_a` is -exp(A)."""
        at = f"blk.{layer}."
        n, eps = len(x), 1e-6
        keys, values = self.key("ssm.group_count"), self.key("ssm.time_step_rank")
        width, taps = self.key("ssm.state_size"), self.weight(at + "ssm_conv1d.weight")
        mixed = self.product(x, at + "attn_qkv.weight")
        padded = numpy.concatenate([numpy.zeros((taps.shape[1] - 1, mixed.shape[1])), mixed])
        mixed = sum(padded[i:i + n] * taps[:, i] for i in range(taps.shape[1]))
        mixed = mixed / (1 + numpy.exp(-mixed))
        q, k, v = numpy.split(mixed.reshape(n, -1, width), [keys, 2 * keys], 1)
        q, k = (a / numpy.sqrt((a * a).sum(-1, keepdims=True) + eps) for a in (q, k))
        q, k = (numpy.tile(a, (1, values // keys, 1)) for a in (q / math.sqrt(width), k))
        soft = numpy.log1p(numpy.exp(self.product(x, at + "ssm_alpha.weight") +
                                     self.weight(at + "ssm_dt.bias")))
        decay = numpy.exp(self.weight(at + "ssm_a") * soft)
        beta = 1 / (1 + numpy.exp(-self.product(x, at + "ssm_beta.weight")))
        state = numpy.zeros((values, width, width))  # [head, key, value]
        out = numpy.zeros((n, values, width))
        for t in range(n):
            state *= decay[t][:, None, None]
            missing = beta[t][:, None] * (v[t] - numpy.einsum("hk,hkv->hv", k[t], state))
            state += k[t][:, :, None] * missing[:, None, :]
            out[t] = numpy.einsum("hk,hkv->hv", q[t], state)
        out = self.norm(out, at + "ssm_norm.weight").reshape(n, -1)
        z = self.product(x, at + "attn_gate.weight")
        return self.product(out * z / (1 + numpy.exp(-z)), at + "ssm_out.weight")

    def source(self, layer):
        """Whose keys and values a layer reads: the last ones those of the last layer of their kind
        before them (Gemma 3n and 4)."""
        first = self.n_layers - self.key("attention.shared_kv_layers", 0)
        if layer < first:
            return layer
        return max(i for i in range(first) if self.is_global(i) == self.is_global(layer))

    def attention(self, x, layer):
        at = f"blk.{layer}."
        if self.has(at + "ssm_a"):
            return self.delta(x, layer)
        n = len(x)
        self.enter(layer)
        q = self.project(x, layer, "attn_q", self.n_head, self.head_k)
        positions = numpy.arange(n)
        angles, magnitude = self.angles(layer, positions), self.magnitude(layer)
        q = self.rotate(q, angles, magnitude)
        if self.source(layer) == layer:
            k = self.project(x, layer, "attn_k", self.n_head_kv, self.head_k)
            v = self.project(x, layer, "attn_v", self.n_head_kv, self.head_v)
            self.kept[layer] = self.rotate(k, angles, magnitude), v
        k, v = self.kept[self.source(layer)]
        q = q * self.temperature(positions)[:, None, None]
        if self.rounded:
            k, v = (a.astype(numpy.float16).astype(numpy.float64) for a in (k, v))
        group = self.n_head // self.n_head_kv
        k, v = numpy.repeat(k, group, 1), numpy.repeat(v, group, 1)
        scores = numpy.einsum("qhd,khd->hqk", q, k) * self.scale()
        cap = self.key("attn_logit_softcapping", 0.0)
        scores = cap * numpy.tanh(scores / cap) if cap else scores
        scores = numpy.where(self.visible(layer, n)[None], scores, -numpy.inf)
        if self.has(at + "attn_sinks.weight"):  # one more score for each head, without a value
            sinks = numpy.broadcast_to(self.weight(at + "attn_sinks.weight")[:, None, None],
                                       (self.n_head, n, 1))
            scores = softmax(numpy.concatenate([scores, sinks], -1))[..., :-1]
        else:
            scores = softmax(scores)
        mixed = numpy.einsum("hqk,khd->qhd", scores, v).reshape(n, -1)
        if self.facts.get("gate"):
            mixed = mixed / (1 + numpy.exp(-self.gates))
        out = self.product(mixed, at + "attn_output.weight")
        bias = at + "attn_output.bias"
        return out + self.weight(bias) if self.has(bias) else out

    def activate(self, x):
        if self.facts.get("gelu"):  # tanh form
            return 0.5 * x * (1 + numpy.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))
        return x / (1 + numpy.exp(-x))

    def gate(self, gate, up):
        if self.facts.get("clamped"):  # gpt-oss
            gate, up = numpy.minimum(gate, 7), numpy.clip(up, -7, 7)
            return gate / (1 + numpy.exp(-1.702 * gate)) * (up + 1)
        return self.activate(gate) * up

    def route(self, x, at):
        """What each expert counts for each row [rows, experts]; 0 where it was not chosen."""
        logits = self.product(x, at + "gate_inp.weight")
        if self.has(at + "gate_inp.bias"):
            logits = logits + self.weight(at + "gate_inp.bias")
        chosen = numpy.argsort(-logits, -1, kind="stable")[:, :self.key("expert_used_count")]
        gating = self.key("expert_gating_func", 3 if self.facts.get("chosen") else 1)
        picked = numpy.take_along_axis(logits, chosen, -1)
        if gating == 3:
            values = softmax(picked)
        else:
            whole = softmax(logits) if gating == 1 else 1 / (1 + numpy.exp(-logits))
            values = numpy.take_along_axis(whole, chosen, -1)
            if self.key("expert_weights_norm", True):
                values = values / values.sum(-1, keepdims=True)
        out = numpy.zeros_like(logits)
        numpy.put_along_axis(out, chosen, values * self.key("expert_weights_scale", 1.0), -1)
        return out

    def experts(self, x, layer, shares=None):
        at = f"blk.{layer}.ffn_"
        shares = self.route(x, at) if shares is None else shares
        out = numpy.zeros_like(x)

        def part(x, name, expert):
            if name != "down" and self.has(at + "gate_up_exps.weight"):  # rows of gate, then up
                half = self.tensors[at + "gate_up_exps.weight"].shape[1] // 2
                rows = slice(0, half) if name == "gate" else slice(half, None)
                return self.product(x, at + "gate_up_exps.weight", (expert, rows))
            y = self.product(x, f"{at}{name}_exps.weight", expert)
            if self.has(f"{at}{name}_exps.scale"):
                y = y * self.weight(f"{at}{name}_exps.scale")[expert]
            bias = f"{at}{name}_exps.bias"
            return y + self.weight(bias)[expert] if self.has(bias) else y
        for expert in range(shares.shape[1]):
            rows = shares[:, expert] != 0
            inner = self.gate(part(x[rows], "gate", expert), part(x[rows], "up", expert))
            out[rows] += shares[rows, expert, None] * part(inner, "down", expert)
        if self.has(at + "gate_inp_shexp.weight"):  # one more that every row passes, weighed
            share = 1 / (1 + numpy.exp(-x @ self.weight(at + "gate_inp_shexp.weight")))
            inner = self.gate(self.product(x, at + "gate_shexp.weight"),
                              self.product(x, at + "up_shexp.weight"))
            out += share[:, None] * self.product(inner, at + "down_shexp.weight")
        return out

    def beside(self, h, layer):
        """Gemma 4 with experts: a dense FFN and experts, from the same stream through norms of
        their own; the router's norm is scaled to the width."""
        at = f"blk.{layer}."
        dense = self.dense(self.norm(h, at + "ffn_norm.weight"), layer)
        shares = self.route(self.norm(h, at + "ffn_gate_inp.scale") / math.sqrt(self.n_embd),
                            at + "ffn_")
        routed = self.experts(self.norm(h, at + "pre_ffw_norm_2.weight"), layer, shares)
        return (self.norm(dense, at + "post_ffw_norm_1.weight") +
                self.norm(routed, at + "post_ffw_norm_2.weight"))

    def feed_forward(self, x, layer):
        if self.has(f"blk.{layer}.ffn_gate_inp.weight"):
            return self.experts(x, layer)
        return self.dense(x, layer)

    def dense(self, x, layer):
        at = f"blk.{layer}.ffn_"
        if self.has(at + "gate.weight"):
            gate, up = self.product(x, at + "gate.weight"), self.product(x, at + "up.weight")
        else:  # one matrix holds both
            gate, up = numpy.split(self.product(x, at + "up.weight"), 2, -1)
        return self.product(self.gate(gate, up), at + "down.weight")

    def branch(self, h, layer, function, before, after):
        """What a layer's half adds to the stream; norms are where the file has their weights."""
        at = f"blk.{layer}."
        x = self.norm(h, at + before) if self.has(at + before) else h
        out = function(x, layer)
        out = self.norm(out, at + after) if self.has(at + after) else out
        return out * self.key("residual_scale", 1.0)

    def layer(self, h, layer):
        after = "post_attention_norm.weight" if "ffn_norm" not in self.facts else ""
        h = h + self.branch(h, layer, self.attention, "attn_norm.weight", after)
        norm = self.facts.get("ffn_norm", "ffn_norm") + ".weight"
        if self.has(f"blk.{layer}.pre_ffw_norm_2.weight"):
            h = h + self.branch(h, layer, self.beside, "", "post_ffw_norm.weight")
        else:
            h = h + self.branch(h, layer, self.feed_forward, norm, "post_ffw_norm.weight")
        if self.has(f"blk.{layer}.inp_gate.weight"):
            h = h + self.branch(h, layer, self.look_at_token, "", "post_norm.weight")
        scale = f"blk.{layer}.layer_output_scale.weight"
        return h * self.weight(scale) if self.has(scale) else h

    def look_at_token(self, h, layer):
        at = f"blk.{layer}."
        gate = self.activate(self.product(h, at + "inp_gate.weight"))
        return self.product(gate * self.told[:, layer], at + "proj.weight")

    def tell(self, tokens, embeddings):
        """What each layer is told of the tokens [tokens, layers, width] (Gemma 3n and 4)."""
        width = self.key("embedding_length_per_layer_input")
        looked_up = self.weight("per_layer_token_embd.weight")[tokens] * math.sqrt(width)
        made = self.product(embeddings, "per_layer_model_proj.weight") / math.sqrt(self.n_embd)
        made = self.norm(made.reshape(len(tokens), -1, width), "per_layer_proj_norm.weight")
        return (made + looked_up.reshape(made.shape)) / math.sqrt(2)

    def run(self, tokens):
        """Hidden states at each layer border [n_layers + 1, n, n_embd], logits [n, n_vocab]."""
        h = self.weight("token_embd.weight")[numpy.asarray(tokens)]
        h = h * (math.sqrt(self.n_embd) if self.facts.get("embedding") else
                 self.key("embedding_scale", 1.0))
        self.kept = {}
        if self.key("embedding_length_per_layer_input", 0):
            self.told = self.tell(numpy.asarray(tokens), h)
        borders = [h]
        for i in range(self.n_layers):
            borders.append(self.layer(borders[-1], i))
        output = "output.weight" if self.has("output.weight") else "token_embd.weight"
        last = self.norm(borders[-1], "output_norm.weight")
        logits = self.product(last, output) / self.key("logit_scale", 1.0)
        cap = self.key("final_logit_softcapping", 0.0)
        return numpy.stack(borders), cap * numpy.tanh(logits / cap) if cap else logits


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
