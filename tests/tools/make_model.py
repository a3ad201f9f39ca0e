#!/usr/bin/env python3
"""Writes small random models as GGUF files: every family, weight type and tokenizer that primad
knows, with weights scaled so that the logits have the spread of a real model (an entropy of a few
nats), which makes comparisons of logits and of the most likely token mean something.

Quantised weights are random blocks with sane scales: nothing is lost in rounding, and
gguf.quants.dequantize() tells their exact values. Needs numpy and gguf from PyPI.

    make_model.py out.gguf --family gemma3 --type Q4_K --embd 256 --seed 7
    make_model.py big.gguf --preset llama-1b       # shape of TinyLlama, Q4_K and Q6_K, 636 MiB
"""
import argparse
import ast
import math

import gguf
import numpy
from gguf import GGMLQuantizationType as Type

import blocks

UNITS = {"F32": 1, "F16": 1, "BF16": 1}  # everything else is made of blocks

PRESETS = {
    "tiny": {},
    "llama-1b": dict(family="llama", layers=22, embd=2048, heads=32, heads_kv=4, ff=5632,
                     vocab=32000, context=2048, type="Q4_K_M", tied=False),
}

# What tells the layers of one family from another's; keys are full of the values that a test wants.
# norms: before (pre) and after (post) the branches; qk: a norm of each head, or of all (wide).
PLAIN = dict(norms="pre", qk=None, bias=False, embed_scale=False, eps=1e-5, rope_base=1e4, tied=False,
             windows=False, experts=None, keys={})
FAMILIES = {
    "llama": {},
    "mistral3": dict(keys={"rope.scaling.type": "yarn", "rope.scaling.factor": 8.0,
                           "rope.scaling.original_context_length": 32,
                           "rope.scaling.yarn_beta_fast": 32.0, "rope.scaling.yarn_beta_slow": 1.0,
                           "rope.scaling.yarn_log_multiplier": 1.0,
                           "attention.temperature_scale": 0.1}),
    "qwen2": dict(bias=True, eps=1e-6, rope_base=1e6),
    "qwen3": dict(qk="head", eps=1e-6, rope_base=1e6),
    "qwen3moe": dict(qk="head", eps=1e-6, rope_base=1e6, experts=(16, 4)),
    "qwen35": dict(qk="head", eps=1e-6, rope_base=1e7, ffn_norm="post_attention_norm", gate=True,
                   delta=3, keys={"full_attention_interval": 3, "ssm.conv_kernel": 4,
                                  "rope.dimension_sections": [2, 1, 1, 0]}),
    "qwen35moe": dict(qk="head", eps=1e-6, rope_base=1e7, ffn_norm="post_attention_norm", gate=True,
                      delta=3, experts=(16, 4), shared=True,
                      keys={"full_attention_interval": 3, "ssm.conv_kernel": 4,
                            "rope.dimension_sections": [2, 1, 1, 0]}),
    "gpt-oss": dict(bias=True, out_bias=True, sinks=True, rope_base=15e4, windows=True,
                    experts=(8, 4), expert_bias=True, ffn_norm="post_attention_norm",
                    keys={"rope.scaling.type": "yarn", "rope.scaling.factor": 8.0,
                          "rope.scaling.original_context_length": 32}),
    "gemma2": dict(norms="both", embed_scale=True, eps=1e-6, tied=True, windows=True,
                   keys={"attn_logit_softcapping": 3.0, "final_logit_softcapping": 15.0}),
    "gemma3": dict(norms="both", qk="head", embed_scale=True, eps=1e-6, rope_base=1e6, tied=True,
                   windows=True),
    # layers that see all: heads twice as wide, one key head, values made of keys, a quarter turns
    "gemma4": dict(norms="both", qk="head", embed_scale=True, eps=1e-6, rope_base=1e6, tied=True,
                   windows=True, out_scale=True, wide=True,
                   keys={"final_logit_softcapping": 15.0}),
    "phi3": dict(fused=True, keys={"rope.scaling.attn_factor": 1.19}),
    "olmo2": dict(norms="post", qk="wide", eps=1e-6, rope_base=5e5),
    "granite": dict(rope_base=1e4, keys={"embedding_scale": 12.0, "residual_scale": 0.22,
                                         "attention.scale": 0.08, "logit_scale": 4.0}),
}
FAMILIES = {name: {**PLAIN, **row} for name, row in FAMILIES.items()}
# E2B, E4B and 26B-A4B are models of one family name with gemma4: what they have beside it
MODELS = {
    "gemma4-e": dict(family="gemma4", layers=9, shared_kv=3, token=32, heads_kv=1, wide_ff=True),
    "gemma4-a": dict(family="gemma4", experts=8, used=3, heads_kv=2),
}
LAYERS = {"qwen35": 4, "qwen35moe": 4, "gemma4": 4, "gpt-oss": 3, "gemma2": 3, "gemma3": 7}  # windows, one layer that sees all, a window; others: 2

WORDS = """the of and to in a is that for it as was with be by on not he his but at are this have
from or had an they which one you were all her she there would their we him been has when who will
no more if out so up said what its about than into them can only other time new some could these
two may first then do any like my now over such our man me even most made after also did many off
before must well back through years much where your way down should because long each just state
those people too mr how little good world make very year still see own work men day get here old
life both between being under three never know same last another while us might great go come since
against right came take used himself few house american use place during high without again home
around small however found mrs part school thought went say general once upon war left every dont
does got united number hand course water until always away public something fact less though far
put head think called set almost enough end took government night yet system better four nothing
told eyes city going president why days present point didnt look find asked second group later next
room social business knew program give half side face toward white large young important order
int void return struct static const char if else while for def class import print self None True
ing ed er est ly tion ment ness able ous ful ial ive ize un re pre dis 00 01 10 20 19 == != <= >=
-> :: ++ () [] {} // /* */ ;\n ),\n );""".split(" ")


# ---- weights ----

def scales(rng, shape, mean):
    """Half floats around `mean`, of both signs, as bytes."""
    values = mean * rng.uniform(0.6, 1.4, shape) * rng.choice([-1.0, 1.0], shape)
    return values.astype(numpy.float16)[..., None].view(numpy.uint8)


def random_bytes(rng, *shape):
    return rng.integers(0, 256, shape, dtype=numpy.uint8)


def pack_k_scales(sc, mn):
    """Eight pairs of six bits in twelve bytes, as Q4_K and Q5_K keep them."""
    out = numpy.zeros(sc.shape[:-1] + (12,), numpy.uint8)
    out[..., 0:4] = sc[..., 0:4] | (sc[..., 4:8] >> 4) << 6
    out[..., 4:8] = mn[..., 0:4] | (mn[..., 4:8] >> 4) << 6
    out[..., 8:12] = (sc[..., 4:8] & 15) | (mn[..., 4:8] & 15) << 4
    return out


def k_head(rng, n, sigma, spread, middle):
    """d, dmin and the packed scales of n blocks: values d*sc*q - dmin*mn, centred on zero."""
    sc = rng.integers(8, 64, (n, 8), dtype=numpy.uint8)
    shift = rng.integers(-3, 4, (n, 8))
    mn = numpy.clip(sc.astype(numpy.int64) + shift, 0, 63).astype(numpy.uint8)
    d = sigma / (spread * 38.0) * rng.uniform(0.6, 1.4, n)
    both = numpy.stack([d, d * middle], -1).astype(numpy.float16).view(numpy.uint8)
    return both.reshape(n, 4), pack_k_scales(sc, mn)


def random_blocks(rng, name, n, sigma):
    """n blocks of a quantised type whose values have about the standard deviation sigma."""
    if name == "Q4_0":
        return numpy.concatenate([scales(rng, n, sigma / 4.7), random_bytes(rng, n, 16)], -1)
    if name == "Q5_0":
        return numpy.concatenate([scales(rng, n, sigma / 9.3), random_bytes(rng, n, 20)], -1)
    if name == "Q8_0":
        values = rng.integers(-127, 128, (n, 32), dtype=numpy.int8).view(numpy.uint8)
        return numpy.concatenate([scales(rng, n, sigma / 73.5), values], -1)
    if name == "Q4_K":
        head, packed = k_head(rng, n, sigma, 4.7, 7.5)
        return numpy.concatenate([head, packed, random_bytes(rng, n, 128)], -1)
    if name == "Q5_K":
        head, packed = k_head(rng, n, sigma, 9.3, 15.5)
        return numpy.concatenate([head, packed, random_bytes(rng, n, 160)], -1)
    if name == "Q6_K":
        sc = rng.integers(16, 128, (n, 16)) * rng.choice([-1, 1], (n, 16))
        return numpy.concatenate([random_bytes(rng, n, 192), sc.astype(numpy.int8).view(numpy.uint8),
                                  scales(rng, n, sigma / (18.5 * 80.0))], -1)
    return blocks.random_blocks(rng, name, n, sigma)


def weights(rng, name, rows, columns, sigma):
    """[rows, columns] random weights as GGUF bytes."""
    if name in UNITS:
        values = (rng.standard_normal((rows, columns)) * sigma).astype(numpy.float32)
        return gguf.quants.quantize(values, Type[name])
    block, size = gguf.GGML_QUANT_SIZES[Type[name]]
    made = random_blocks(rng, name, rows * columns // block, sigma)
    return numpy.ascontiguousarray(made).reshape(rows, columns // block * size)


def fitting(name, columns):
    """The type itself, or one whose blocks divide the columns."""
    for candidate in (name, "Q8_0", "F32"):
        if columns % gguf.GGML_QUANT_SIZES[Type[candidate]][0] == 0:
            return candidate
    raise AssertionError


# ---- tokenizers ----

def spm_pieces(words, room):
    """Pieces such that every merge on the way to a word is a piece too; best scores first."""
    pieces, seen = [], set()

    def add(piece):
        if piece not in seen and len(pieces) < room:
            seen.add(piece)
            pieces.append(piece)

    single = ["\u2581"] + [chr(c) for c in range(33, 127)] + list("\näöüéñßçàø" "абвгдежз" "的是我ひか")
    longer = []
    for word in words:
        for piece in ("\u2581" + word, word):
            longer += [piece[:n] for n in range(2, len(piece) + 1)]
    for piece in single[:max(0, room)]:
        add(piece)
    for piece in longer:
        add(piece)
    return pieces, len([p for p in pieces if len(p) == 1])


def add_spm(writer, o, gemma):
    special = ["<pad>", "<eos>", "<bos>", "<unk>"] if gemma else ["<unk>", "<s>", "</s>"]
    tokens = list(special)
    types = [2 if t == "<unk>" else 3 for t in special]
    scores = [0.0] * len(special)
    if gemma:
        tokens += ["<start_of_turn>", "<end_of_turn>"]
        types += [3, 3]
        scores += [0.0, 0.0]
    tokens += [f"<0x{b:02X}>" for b in range(256)]
    types += [6] * 256
    scores += [0.0] * 256
    pieces, singles = spm_pieces(WORDS, o.vocab - len(tokens))
    tokens += pieces
    types += [1] * len(pieces)
    scores += [-float(len(pieces) + i) for i in range(singles)]  # single characters come last
    scores += [-1.0 - i for i in range(len(pieces) - singles)]
    unused = o.vocab - len(tokens)
    tokens += [f"<unused{i}>" for i in range(unused)]
    types += [5] * unused
    scores += [-1e6] * unused
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    ids = {t: i for i, t in enumerate(tokens)}
    writer.add_bos_token_id(ids["<bos>" if gemma else "<s>"])
    writer.add_eos_token_id(ids["<eos>" if gemma else "</s>"])
    writer.add_unk_token_id(ids["<unk>"])
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(not gemma)


def byte_characters():
    """GPT-2's printable stand-ins for the 256 bytes."""
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    others = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(others)}}


def add_bpe(writer, o):
    to_character = byte_characters()
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]
    tokens = [to_character[b] for b in range(256)]
    seen, merges = set(tokens), []
    for word in WORDS:
        for text in (" " + word, word):
            whole = "".join(to_character[b] for b in text.encode())
            for n in range(2, len(whole) + 1):
                if whole[:n] not in seen and len(tokens) < o.vocab - len(special):
                    seen.add(whole[:n])
                    tokens.append(whole[:n])
                    merges.append(whole[:n - 1] + " " + whole[n - 1])
    types = [1] * len(tokens)
    unused = o.vocab - len(tokens) - len(special)
    first_special = len(tokens)
    tokens += special + [f"<|unused_{i}|>" for i in range(unused)]
    types += [3] * len(special) + [5] * unused
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(first_special)
    writer.add_eos_token_id(first_special + 1)
    writer.add_eot_token_id(first_special + 2)
    writer.add_add_bos_token(True)


# ---- models ----

class Model:
    """Collects keys and tensors of one model and writes them."""

    def __init__(self, path, o):
        self.o = o
        self.rng = numpy.random.default_rng(o.seed)
        self.writer = gguf.GGUFWriter(path, o.family)
        self.family = FAMILIES[o.family]
        self.gemma = o.family.startswith("gemma")
        self.beside = bool(o.experts and self.family.get("wide"))  # a dense FFN beside experts

    def ff(self, i):
        return self.o.ff * (2 if self.o.wide_ff and self.shares(i) else 1)

    def shares(self, i):
        """Whether a layer reads keys and values of an earlier one."""
        return i >= self.o.layers - self.o.shared_kv

    def type_of(self, name, columns):
        wanted = self.o.type
        if name == "ffn_gate_inp":  # routers are small and always kept as they were
            wanted = "F32"
        if wanted == "Q4_K_M":
            wanted = "Q6_K" if name in ("attn_v", "ffn_down", "output") else "Q4_K"
        return fitting(self.o.set.get(name, wanted), columns)

    def matrix(self, name, kind, rows, columns, gain=1.0, sigma=None):
        kind_type = self.type_of(kind, columns)
        sigma = gain / math.sqrt(columns) if sigma is None else sigma
        self.writer.add_tensor(name, weights(self.rng, kind_type, rows, columns, sigma),
                               raw_dtype=Type[kind_type])

    def planes(self, name, kind, n, rows, columns, gain=1.0):
        kind_type = self.type_of(kind, columns)
        data = weights(self.rng, kind_type, n * rows, columns, gain / math.sqrt(columns))
        self.writer.add_tensor(name, data.reshape(n, rows, -1), raw_dtype=Type[kind_type])

    def vector(self, name, size, mean=1.0, spread=0.3, signs=False):
        values = mean + spread * self.rng.uniform(-1, 1, size)
        if signs:
            values *= self.rng.choice([-1.0, 1.0], size)
        self.writer.add_tensor(name, values.astype(numpy.float32))

    def add(self, key, value):
        """A key of the family, with the type that its value has in Python."""
        kinds = {bool: self.writer.add_bool, int: self.writer.add_uint32,
                 float: self.writer.add_float32, str: self.writer.add_string,
                 list: self.writer.add_array}
        kinds[type(value)](f"{self.o.family}.{key}", value)

    def keys(self):
        o, w = self.o, self.writer
        w.add_name(o.name or f"random {o.family}")
        w.add_context_length(o.context)
        w.add_embedding_length(o.embd)
        w.add_block_count(o.layers + o.spare)
        if o.spare:
            self.add("nextn_predict_layers", o.spare)
        w.add_feed_forward_length([self.ff(i) for i in range(o.layers)] if o.wide_ff else o.ff)
        w.add_head_count(o.heads)
        if not self.family.get("wide"):
            w.add_head_count_kv(o.heads_kv)
        w.add_layer_norm_rms_eps(self.family["eps"])
        w.add_rope_freq_base(o.rope_base or self.family["rope_base"])
        if self.family.get("wide"):
            wide = [self.is_wide(i) for i in range(o.layers)]
            w.add_head_count_kv([1 if x else o.heads_kv for x in wide])
            w.add_sliding_window_pattern([not x for x in wide])
            for key, head in (("length", 2 * o.head), ("length_swa", o.head)):
                self.add(f"attention.key_{key}", head)
                self.add(f"attention.value_{key}", head)
            self.add("rope.dimension_count", 2 * o.head)
            self.add("rope.dimension_count_swa", o.head)
            self.add("rope.freq_base_swa", 1e4)
        elif o.head or self.gemma or self.family.get("delta"):
            w.add_key_length(o.head)
            w.add_value_length(o.head)
        if self.family.get("delta"):
            self.add("rope.dimension_count", o.head // 4)
            self.add("ssm.group_count", o.delta_keys)
            self.add("ssm.time_step_rank", o.delta_values)
            self.add("ssm.state_size", o.delta_width)
            self.add("ssm.inner_size", o.delta_values * o.delta_width)
            w.add_vocab_size(o.vocab)
        elif not self.gemma:
            w.add_rope_dimension_count(o.head or o.embd // o.heads)
            w.add_vocab_size(o.vocab)
        if o.rope_factor:
            w.add_rope_scaling_type(gguf.RopeScalingType.YARN if o.yarn else
                                    gguf.RopeScalingType.LINEAR)
            w.add_rope_scaling_factor(o.rope_factor)
        if o.experts:
            w.add_expert_count(o.experts)
            w.add_expert_used_count(o.used)
            if o.family != "llama":
                w.add_expert_feed_forward_length(o.ff // 2 if self.beside else o.ff)
            if self.family.get("shared"):
                w.add_expert_shared_feed_forward_length(o.ff)
        if o.original:
            w.add_rope_scaling_orig_ctx_len(o.original)
        if o.window and (self.family["windows"] or o.windows):
            w.add_sliding_window(o.window)
        if self.family.get("wide"):
            w.add_shared_kv_layers(o.shared_kv)
            w.add_embedding_length_per_layer_input(o.token)
        for key, value in {**self.family["keys"], **o.keys}.items():
            self.add(key, value)

    def tokenizer(self):
        if self.o.tokenizer == "spm":
            add_spm(self.writer, self.o, self.gemma)
        elif self.o.tokenizer == "bpe":
            add_bpe(self.writer, self.o)
        elif self.gemma:
            self.writer.add_vocab_size(self.o.vocab)
        if self.o.chat_template:
            self.writer.add_chat_template(self.o.chat_template)
        if self.o.tool_template:
            self.writer.add_string("tokenizer.chat_template.tool_use", self.o.tool_template)

    def is_wide(self, i):
        """gemma4: whether a layer sees all positions."""
        return bool(self.family.get("wide")) and (i + 1) % 3 == 0

    def attention(self, at, wide, shares):
        o = self.o
        head = (o.head or o.embd // o.heads) * (2 if wide else 1)
        q, k = o.heads * head, (1 if wide else o.heads_kv) * head
        if self.family.get("fused"):
            self.matrix(at + "attn_qkv.weight", "attn_qkv", q + 2 * k, o.embd, 1.3)
        else:
            both = 2 if self.family.get("gate") else 1
            self.matrix(at + "attn_q.weight", "attn_q", both * q, o.embd, 1.3)
            if not shares:
                self.matrix(at + "attn_k.weight", "attn_k", k, o.embd, 1.3)
            if not shares and not (wide and o.lack_v):
                self.matrix(at + "attn_v.weight", "attn_v", k, o.embd)
        if o.bias or self.family["bias"]:
            self.vector(at + "attn_q.bias", q, 0.0, 0.5)
            self.vector(at + "attn_k.bias", k, 0.0, 0.5)
            self.vector(at + "attn_v.bias", k, 0.0, 0.2)
        if self.family["qk"]:
            whole = self.family["qk"] == "wide"
            mean = 0.45 if self.family.get("wide") else 1.2  # there q.k is not scaled
            self.vector(at + "attn_q_norm.weight", q if whole else head, mean)
            if not shares:
                self.vector(at + "attn_k_norm.weight", k if whole else head, mean)

    def is_delta(self, i):
        """qwen35: whether a layer has a gated delta net."""
        return bool(self.family.get("delta")) and (i + 1) % self.family["delta"] != 0

    def delta(self, at, out):
        o = self.o
        keys, values, width = o.delta_keys, o.delta_values, o.delta_width
        inner, mixed = values * width, (2 * keys + values) * width
        self.matrix(at + "attn_qkv.weight", "attn_qkv", mixed, o.embd, 1.3)
        self.matrix(at + "attn_gate.weight", "attn_gate", inner, o.embd, 1.3)
        self.matrix(at + "ssm_alpha.weight", "ssm_alpha", values, o.embd)
        self.matrix(at + "ssm_beta.weight", "ssm_beta", values, o.embd)
        taps = self.rng.standard_normal((mixed, 4)).astype(numpy.float32) * 0.6
        self.writer.add_tensor(at + "ssm_conv1d.weight", taps)
        self.vector(at + "ssm_dt.bias", values, 0.0, 1.0)
        self.vector(at + "ssm_a", values, -0.4, 0.35)
        self.vector(at + "ssm_norm.weight", width)
        self.matrix(at + "ssm_out.weight", "ssm_out", o.embd, inner, out)

    def experts(self, at, out):
        """A router and its experts, whose matrices lie one after the other."""
        o, n = self.o, self.o.experts
        self.matrix(at + "ffn_gate_inp.weight", "ffn_gate_inp", n, o.embd, 2.0)
        ff = o.ff // 2 if self.beside else o.ff
        if self.beside and o.fused_experts:
            self.planes(at + "ffn_gate_up_exps.weight", "ffn_gate", n, 2 * ff, o.embd, 1.25)
        else:
            self.planes(at + "ffn_gate_exps.weight", "ffn_gate", n, ff, o.embd, 1.5)
            self.planes(at + "ffn_up_exps.weight", "ffn_up", n, ff, o.embd)
        self.planes(at + "ffn_down_exps.weight", "ffn_down", n, o.embd, ff, out)
        if self.beside:
            self.vector(at + "ffn_gate_inp.scale", o.embd, math.sqrt(o.embd))
            self.vector(at + "ffn_down_exps.scale", n)
            for name in ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"):
                self.vector(at + name + ".weight", o.embd)
        if self.family.get("shared"):
            self.vector(at + "ffn_gate_inp_shexp.weight", o.embd, 0.0, 0.1)
            self.matrix(at + "ffn_gate_shexp.weight", "ffn_gate", o.ff, o.embd, 1.5)
            self.matrix(at + "ffn_up_shexp.weight", "ffn_up", o.ff, o.embd)
            self.matrix(at + "ffn_down_shexp.weight", "ffn_down", o.embd, o.ff, out)
        if self.family.get("expert_bias"):
            self.vector(at + "ffn_gate_inp.bias", n, 0.0, 0.5)
            self.vector(at + "ffn_gate_exps.bias", (n, o.ff), 0.0, 1.0)
            self.vector(at + "ffn_up_exps.bias", (n, o.ff), 0.0, 0.5)
            self.vector(at + "ffn_down_exps.bias", (n, o.embd), 0.0, 0.5 * out)

    def feed_forward(self, at, out, ff):
        o = self.o
        if o.experts:
            self.experts(at, out)
        if o.experts and not self.beside:
            return
        if self.family.get("fused"):
            self.matrix(at + "ffn_up.weight", "ffn_up", 2 * o.ff, o.embd, 1.3)
        else:
            self.matrix(at + "ffn_gate.weight", "ffn_gate", ff, o.embd, 1.5)
            self.matrix(at + "ffn_up.weight", "ffn_up", ff, o.embd)
        self.matrix(at + "ffn_down.weight", "ffn_down", o.embd, ff, out)

    def token_input(self, at):
        """What a layer makes of the token itself."""
        o = self.o
        self.matrix(at + "inp_gate.weight", "inp_gate", o.token, o.embd, 1.5)
        self.matrix(at + "proj.weight", "proj", o.embd, o.token, 1.5)
        self.vector(at + "post_norm.weight", o.embd, o.gain, 0.3 * o.gain)

    def layer(self, i):
        o = self.o
        at = f"blk.{i}."
        pre = self.family["norms"] in ("pre", "both")
        post = self.family["norms"] in ("post", "both")
        if pre:
            self.vector(at + "attn_norm.weight", o.embd)
        wide = self.is_wide(i)
        delta = self.is_delta(i)
        if delta:
            self.delta(at, 1.5 * o.gain)
        else:
            self.attention(at, wide, self.shares(i))
        if post:
            self.vector(at + "post_attention_norm.weight", o.embd, 1.5 * o.gain, 0.3 * o.gain)
            self.vector(at + "post_ffw_norm.weight", o.embd, 1.5 * o.gain, 0.3 * o.gain)
        if self.family.get("sinks"):
            self.vector(at + "attn_sinks.weight", o.heads, 0.5, 1.5)
        out = 1.5 if post else 1.5 * o.gain
        head = (o.head or o.embd // o.heads) * (2 if wide else 1)
        if not delta:
            self.matrix(at + "attn_output.weight", "attn_output", o.embd, o.heads * head, out)
        if self.family.get("out_bias"):
            self.vector(at + "attn_output.bias", o.embd, 0.0, 0.3 * out)
        if pre:
            self.vector(at + self.family.get("ffn_norm", "ffn_norm") + ".weight", o.embd)
        self.feed_forward(at, out, self.ff(i))
        if o.token:
            self.token_input(at)
        if self.family.get("out_scale"):
            self.vector(at + "layer_output_scale.weight", 1, 0.9)

    def tensors(self):
        o = self.o
        # logits with standard deviation s over V tokens have an entropy of about ln V - s^2/2
        spread = math.sqrt(2 * max(math.log(o.vocab) - o.entropy, 0.5)) / math.sqrt(o.embd)
        spread *= self.family["keys"].get("logit_scale", 1.0)
        self.matrix("token_embd.weight", "token_embd", o.vocab, o.embd, sigma=spread)
        # signs that differ keep a tied model from answering with the token it was given
        self.vector("output_norm.weight", o.embd, 1.0, 0.3, signs=True)
        if not o.tied:
            self.matrix("output.weight", "output", o.vocab, o.embd, sigma=spread)
        if o.token:
            self.matrix("per_layer_token_embd.weight", "per_layer_token_embd", o.vocab,
                        o.token * o.layers, sigma=1 / math.sqrt(o.token))
            self.matrix("per_layer_model_proj.weight", "per_layer_model_proj", o.token * o.layers,
                        o.embd, 1.0)
            self.vector("per_layer_proj_norm.weight", o.token)
        if self.family.get("wide"):  # infinite factors: pairs that do not turn
            n = o.head
            factors = [1.0] * (n // 4) + [1e30] * (n - n // 4)
            self.writer.add_tensor("rope_freqs.weight", numpy.array(factors, numpy.float32))
        if o.rope_freqs:
            n = (o.head or o.embd // o.heads) // 2
            self.writer.add_tensor("rope_freqs.weight",
                                   numpy.geomspace(1, 8, n).astype(numpy.float32))
        for name in ("long", "short") if o.rope_long else ():
            n = (o.head or o.embd // o.heads) // 2
            self.writer.add_tensor(f"rope_factors_{name}.weight", numpy.geomspace(
                1, 24 if name == "long" else 1.5, n).astype(numpy.float32))
        for i in range(o.layers):
            self.layer(i)
        for i in range(o.layers, o.layers + o.spare):
            self.vector(f"blk.{i}.attn_norm.weight", o.embd)
            self.matrix(f"blk.{i}.nextn.eh_proj.weight", "eh_proj", o.embd, 2 * o.embd)

    def write(self):
        self.keys()
        self.tokenizer()
        self.tensors()
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()


def parse(arguments):
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("path")
    p.add_argument("--preset", choices=PRESETS, default="tiny")
    p.add_argument("--family", choices=[*FAMILIES, *MODELS], default="llama")
    p.add_argument("--type", default="F32", help="weight type of all matrices, or Q4_K_M")
    p.add_argument("--set", action="append", default=[], metavar="NAME=TYPE",
                   help="another type for one kind of matrix, for example ffn_down=Q6_K")
    p.add_argument("--layers", type=int)
    p.add_argument("--spare", type=int, default=0,
                   help="layers behind the others that guess further tokens, in part")
    p.add_argument("--embd", type=int, default=64)
    p.add_argument("--heads", type=int, default=4)
    p.add_argument("--heads-kv", type=int, default=2)
    p.add_argument("--head", type=int, help="width of a head; embd / heads when missing")
    p.add_argument("--ff", type=int)
    p.add_argument("--delta-keys", type=int, default=2, help="key heads of a delta net")
    p.add_argument("--delta-values", type=int, default=4, help="its value heads")
    p.add_argument("--delta-width", type=int, default=32, help="their width")
    p.add_argument("--experts", type=int, help="0: none")
    p.add_argument("--used", type=int, help="experts that a token goes through")
    p.add_argument("--fused-experts", action="store_true", help="gate and up in one tensor")
    p.add_argument("--shared-kv", type=int, default=0,
                   help="last layers that read keys and values of earlier ones")
    p.add_argument("--token", type=int, default=0, help="width of what a layer is told of a token")
    p.add_argument("--wide-ff", action="store_true", help="twice the --ff where keys are shared")
    p.add_argument("--lack-v", action=argparse.BooleanOptionalAction, default=True,
                   help="values are keys in layers that see all")
    p.add_argument("--vocab", type=int, default=512)
    p.add_argument("--context", type=int, default=2048)
    p.add_argument("--window", type=int, default=16, help="positions; 0 leaves the key out")
    p.add_argument("--windows", action="store_true", help="also where a family may do without")
    p.add_argument("--rope-base", type=float)
    p.add_argument("--rope-factor", type=float)
    p.add_argument("--yarn", action="store_true", help="--rope-factor is that of YaRN")
    p.add_argument("--original", type=int, help="positions before they were stretched")
    p.add_argument("--rope-freqs", action="store_true")
    p.add_argument("--rope-long", action="store_true", help="LongRoPE factors")
    p.add_argument("--key", action="append", default=[], metavar="NAME=VALUE", dest="keys",
                   help="another key of the family, for example logit_scale=2.0")
    p.add_argument("--bias", action="store_true", help="biases on q, k and v")
    p.add_argument("--tokenizer", choices=["spm", "bpe", "none"], default="spm")
    p.add_argument("--chat-template", metavar="TEXT")
    p.add_argument("--tool-template", metavar="TEXT", help="for chats with tools")
    p.add_argument("--tied", action=argparse.BooleanOptionalAction)
    p.add_argument("--entropy", type=float, default=2.5, help="of the logits, in nats, about")
    p.add_argument("--gain", type=float, default=1.0,
                   help="of what a layer adds to the stream, beside the usual")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--name", help="the model's own name of itself")
    first = p.parse_known_args(arguments)[0]
    model = dict(MODELS.get(first.family, {}))
    family = model.pop("family", None)
    p.set_defaults(**PRESETS[first.preset], **model)
    o = p.parse_args(arguments)
    o.family = family or o.family
    gemma = o.family.startswith("gemma")
    o.keys = {k: ast.literal_eval(v) for k, v in (item.split("=", 1) for item in o.keys)}
    o.set = dict(item.split("=", 1) for item in o.set)
    usual = FAMILIES[o.family]["experts"] or (0, 2)
    o.experts = usual[0] if o.experts is None else o.experts
    o.used = usual[1] if o.used is None else o.used
    o.layers = o.layers or LAYERS.get(o.family, 2)
    o.ff = o.ff or 2 * o.embd
    o.head = o.head or (o.embd // o.heads if gemma or FAMILIES[o.family].get("delta") else None)
    o.tied = FAMILIES[o.family]["tied"] if o.tied is None else o.tied
    if o.tokenizer != "none" and o.vocab < 280:
        p.error("a tokenizer needs a vocabulary of at least 280")
    return o


def make_model(path, *arguments):
    """make_model("x.gguf", "--family", "gemma3"): as on the command line."""
    o = parse([str(path), *arguments])
    Model(o.path, o).write()


if __name__ == "__main__":
    import sys
    make_model(*sys.argv[1:])
