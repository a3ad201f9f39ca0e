#!/usr/bin/env python3
"""Writes random models of any size in seconds, for measuring: the shapes of known models, real blocks
of random content in the mixes of types that published files have, and a usable tokenizer. Tensors are
made and written one after another, so memory holds only the largest. Needs numpy and gguf from PyPI.

    make_random.py --shape 1.1b --mix q4_k_m out.gguf
    make_random.py --shape 30b-a3b --mix q4_k_m --layers 12 out.gguf
    make_random.py --shape 8b --mix iq3_xxs --part-mib 1024 out.gguf    # out-00001-of-0000N.gguf
"""
import argparse
import math
import types

import gguf
import numpy
from gguf import GGMLQuantizationType as Type

import make_model
from blocks import block_of, fitting, random_matrix

SHAPES = {
    "1.1b": dict(family="llama", layers=22, embd=2048, ff=5632, heads=32, heads_kv=4, vocab=32000),
    "8b": dict(family="llama", layers=32, embd=4096, ff=14336, heads=32, heads_kv=8, vocab=128256,
               rope_base=5e5, tokenizer="bpe"),
    "30b-a3b": dict(family="qwen3moe", layers=48, embd=2048, ff=6144, heads=32, heads_kv=4, head=128,
                    vocab=151936, experts=128, used=8, ff_expert=768, rope_base=1e6, tokenizer="bpe"),
    # three layers of four with a gated delta net
    "qwen35-4b": dict(family="qwen35", layers=32, embd=2560, ff=9216, heads=16, heads_kv=4, head=256,
                      rotated=64, vocab=151936, rope_base=1e7, tokenizer="bpe", period=4, delta_keys=16,
                      delta_values=32, delta_width=128),
    # narrow streams, so that attention takes nearly all the time: heads as in "1.1b", and in "8b"
    "heads-64": dict(family="llama", layers=2, embd=256, ff=256, heads=32, heads_kv=4, head=64, vocab=2048),
    "heads-128": dict(family="llama", layers=2, embd=256, ff=256, heads=32, heads_kv=8, head=128,
                      vocab=2048),
    "tiny": dict(family="llama", layers=2, embd=256, ff=512, heads=4, heads_kv=2, vocab=1024),
    "tiny-moe": dict(family="qwen3moe", layers=2, embd=256, ff=512, heads=4, heads_kv=2, head=64,
                     vocab=1024, experts=8, used=2, ff_expert=256, rope_base=1e6, tokenizer="bpe"),
}

# A mix: the type of most matrices, then exceptions by kind of matrix. A pair is (type of the layers
# that get more bits, type of the others). Source: what llama.cpp's quantiser writes.
MIXES = {
    "q2_k": dict(base="Q2_K", attn_v="Q4_K", ffn_down="Q3_K", attn_output="Q3_K"),
    "q3_k_m": dict(base="Q3_K", attn_v="Q4_K", ffn_down="Q4_K", attn_output="Q4_K"),
    "q4_k_s": dict(base="Q4_K"),
    "q4_k_m": dict(base="Q4_K", attn_v=("Q6_K", "Q4_K"), ffn_down=("Q6_K", "Q4_K")),
    "q5_k_m": dict(base="Q5_K", attn_v=("Q6_K", "Q5_K"), ffn_down=("Q6_K", "Q5_K")),
}
PURE = ["f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "pure_q2_k", "q3_k", "q4_k",
        "q5_k", "q6_k", "iq4_nl", "iq4_xs", "iq3_s", "iq3_xxs", "iq2_xxs", "iq2_xs", "iq2_s", "iq1_s",
        "iq1_m", "mxfp4"]
NORM = (0.7, 1.3)  # the range of a norm's weights
FILE_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q8_0": 7, "q5_0": 8, "q5_1": 9, "q2_k": 10,
              "q3_k_m": 12, "q4_k_s": 14, "q4_k_m": 15, "q5_k_m": 17, "q6_k": 18, "bf16": 32}


def more_bits(layer, layers):
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def type_in_mix(mix, kind, layer, layers):
    if mix not in MIXES:
        return mix.removeprefix("pure_").upper()
    table = MIXES[mix]
    if kind == "output":
        return "Q6_K"
    wanted = table.get(kind.removesuffix("_exps"), table["base"])
    return wanted if isinstance(wanted, str) else wanted[not more_bits(layer, layers)]


def is_delta(o, layer):
    return o.period > 0 and (layer + 1) % o.period != 0


def mixer_matrices(o, layer):
    if is_delta(o, layer):
        inner = o.delta_values * o.delta_width
        mixed = 2 * o.delta_keys * o.delta_width + inner
        return [("attn_qkv", (mixed, o.embd), 1.3), ("attn_gate", (inner, o.embd), 1.3),
                ("ssm_alpha", (o.delta_values, o.embd), 1.0), ("ssm_beta", (o.delta_values, o.embd), 1.0),
                ("ssm_out", (o.embd, inner), 1.5)]
    q, kv = o.heads * o.head, o.heads_kv * o.head
    return [("attn_q", (q * (2 if o.period else 1), o.embd), 1.3), ("attn_k", (kv, o.embd), 1.3),
            ("attn_v", (kv, o.embd), 1.0), ("attn_output", (o.embd, q), 1.5)]


def layer_matrices(o, layer):
    """Kind, shape and gain of a layer's matrices."""
    matrices = mixer_matrices(o, layer)
    if o.experts:
        return matrices + [("ffn_gate_inp", (o.experts, o.embd), 1.0),
                           ("ffn_gate_exps", (o.experts, o.ff_expert, o.embd), 1.5),
                           ("ffn_up_exps", (o.experts, o.ff_expert, o.embd), 1.0),
                           ("ffn_down_exps", (o.experts, o.embd, o.ff_expert), 1.5)]
    return matrices + [("ffn_gate", (o.ff, o.embd), 1.5), ("ffn_up", (o.ff, o.embd), 1.0),
                       ("ffn_down", (o.embd, o.ff), 1.5)]


def layer_vectors(o, layer):
    """Name, shape and range of a layer's F32 tensors."""
    second = "post_attention_norm" if o.period else "ffn_norm"
    norms = [("attn_norm.weight", (o.embd,), NORM), (f"{second}.weight", (o.embd,), NORM)]
    if is_delta(o, layer):
        mixed = (2 * o.delta_keys + o.delta_values) * o.delta_width
        return norms + [("ssm_conv1d.weight", (mixed, 4), (-1.0, 1.0)),
                        ("ssm_dt.bias", (o.delta_values,), (-1.0, 1.0)),
                        ("ssm_a", (o.delta_values,), (-0.8, -0.1)),
                        ("ssm_norm.weight", (o.delta_width,), NORM)]
    if o.experts or o.period:
        norms += [("attn_q_norm.weight", (o.head,), NORM), ("attn_k_norm.weight", (o.head,), NORM)]
    return norms


def tensors(o):
    """Name, type, shape and spread of all tensors: a standard deviation, or a range."""
    # logits with standard deviation s over V tokens have an entropy of about ln V - s^2 / 2
    spread = math.sqrt(2 * (math.log(o.vocab) - 2.5)) / math.sqrt(o.embd)
    vocab = (o.vocab, o.embd)
    yield "token_embd.weight", fitting(type_in_mix(o.mix, "token_embd", 0, 1), o.embd), vocab, spread
    yield "output_norm.weight", "F32", (o.embd,), NORM
    yield "output.weight", fitting(type_in_mix(o.mix, "output", 0, 1), o.embd), vocab, spread
    for layer in range(o.layers):
        for kind, shape, limits in layer_vectors(o, layer):
            yield f"blk.{layer}.{kind}", "F32", shape, limits
        for kind, shape, gain in layer_matrices(o, layer):
            name = "F32" if kind == "ffn_gate_inp" else type_in_mix(o.mix, kind, layer, o.layers)
            yield (f"blk.{layer}.{kind}.weight", fitting(name, shape[-1]), shape,
                   gain / math.sqrt(shape[-1]))


def byte_shape(name, shape):
    block, size = block_of(name)
    return (*shape[:-1], shape[-1] // block * size)


def contents(rng, name, shape, spread):
    if isinstance(spread, tuple):
        return rng.uniform(*spread, shape).astype(numpy.float32)
    return random_matrix(rng, name, shape, spread)


def add_delta_keys(writer, o):
    for key, value in {"full_attention_interval": o.period, "ssm.conv_kernel": 4,
                       "ssm.group_count": o.delta_keys, "ssm.time_step_rank": o.delta_values,
                       "ssm.state_size": o.delta_width,
                       "ssm.inner_size": o.delta_values * o.delta_width}.items():
        writer.add_uint32(f"{o.family}.{key}", value)
    quarter = o.rotated // 8
    writer.add_array(f"{o.family}.rope.dimension_sections", [2 * quarter, quarter, quarter, 0])


def add_keys(writer, o):
    writer.add_name(f"random {o.shape} {o.mix}")
    writer.add_context_length(o.context)
    writer.add_embedding_length(o.embd)
    writer.add_block_count(o.layers)
    writer.add_feed_forward_length(o.ff)
    writer.add_head_count(o.heads)
    writer.add_head_count_kv(o.heads_kv)
    writer.add_key_length(o.head)
    writer.add_value_length(o.head)
    writer.add_rope_dimension_count(o.rotated or o.head)
    writer.add_rope_freq_base(o.rope_base)
    writer.add_layer_norm_rms_eps(1e-6 if o.experts else 1e-5)
    writer.add_vocab_size(o.vocab)
    if o.mix in FILE_TYPES:
        writer.add_file_type(FILE_TYPES[o.mix])
    if o.experts:
        writer.add_expert_count(o.experts)
        writer.add_expert_used_count(o.used)
        writer.add_expert_feed_forward_length(o.ff_expert)
    if o.period:
        add_delta_keys(writer, o)
    if o.tokenizer == "bpe":
        make_model.add_bpe(writer, o)
    else:
        make_model.add_spm(writer, o, False)


def write(o):
    rng = numpy.random.Generator(numpy.random.SFC64(o.seed))
    writer = gguf.GGUFWriter(o.path, o.family, split_max_size=o.part_mib << 20)
    add_keys(writer, o)
    todo = list(tensors(o))
    for name, kind, shape, spread in todo:
        bytes_ = byte_shape(kind, shape)
        if isinstance(spread, tuple):
            writer.add_tensor_info(name, shape, numpy.float32, 4 * math.prod(shape), Type.F32)
        else:
            writer.add_tensor_info(name, bytes_, numpy.uint8, math.prod(bytes_), Type[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for _, kind, shape, spread in todo:
        writer.write_tensor_data(contents(rng, kind, shape, spread))
    writer.close()


def parse(arguments):
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("path")
    p.add_argument("--shape", choices=SHAPES, default="1.1b")
    p.add_argument("--mix", choices=[*MIXES, *PURE], default="q4_k_m")
    p.add_argument("--layers", type=int, help="fewer or more than the shape has")
    p.add_argument("--vocab", type=int, help="fewer or more than the shape has")
    p.add_argument("--context", type=int, default=32768)
    p.add_argument("--part-mib", type=int, default=0, help="split into parts of this size")
    p.add_argument("--seed", type=int, default=1)
    given = vars(p.parse_args(arguments))
    defaults = dict(experts=0, used=0, ff_expert=0, head=0, rotated=0, period=0, rope_base=1e4,
                    tokenizer="spm")
    o = types.SimpleNamespace(**{**defaults, **SHAPES[given["shape"]],
                                 **{key: value for key, value in given.items() if value is not None}})
    o.head = o.head or o.embd // o.heads
    return o


def make_random(path, *arguments):
    """make_random("x.gguf", "--mix", "iq2_s"): as on the command line."""
    write(parse([str(path), *arguments]))


if __name__ == "__main__":
    import sys
    make_random(*sys.argv[1:])
