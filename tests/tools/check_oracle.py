#!/usr/bin/env python3
"""Compares the engine with the float64 oracle on small random models of every family and weight
type: check_oracle.py LOGITS_PROGRAM FOLDER [WORD...]; words choose models by name

Two comparisons per model. The oracle that rounds where numerics.md says so differs by f32 arithmetic
alone, until a value that lies in the middle between two int8 numbers goes the other way: with float
weights all logits are almost the same, with quantised ones nearly all states after the first layer
are. Against the exact oracle the rounding counts too: limits on the divergence of the distributions
(in nats), on the angle between the logits, and on the most likely token (where two are closer than
the limit, either will do)."""
import pathlib
import subprocess
import sys

import numpy
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from make_model import make_model
from oracle import Oracle

TOKENS = [(7 * i * i + 3 * i + 5) % 500 for i in range(100)]
K = ["--entropy", "4.2"]  # for weights in blocks of 256
# The options of each family, and what else its float model tries. The gain keeps what one layer adds
# small against the stream, as in real models.
FAMILIES = {
    "llama": (["--gain", "0.03"], ["--bias", "--rope-freqs"]),
    "mistral3": (["--gain", "0.03"], []),
    "qwen2": (["--gain", "0.03"], ["--rope-factor", "4", "--yarn", "--original", "16"]),
    "qwen3": (["--gain", "0.03", "--head", "32"], []),
    "qwen3moe": (["--gain", "0.03", "--ff", "256"], []),
    "qwen35": (["--gain", "0.03"], []),
    "qwen35moe": (["--gain", "0.03", "--ff", "256"], []),
    "gpt-oss": (["--gain", "0.03", "--ff", "256"], []),
    "gemma2": (["--gain", "0.2", "--entropy", "1"], []),
    "gemma3": (["--gain", "0.2", "--heads-kv", "1"], ["--rope-factor", "8"]),
    "gemma4": (["--gain", "0.2", "--entropy", "1"], []),
    "gemma4-e": (["--gain", "0.12", "--entropy", "1"], ["--no-lack-v"]),
    "gemma4-a": (["--gain", "0.2", "--entropy", "1", "--seed", "3"], ["--fused-experts"]),
    "phi3": (["--gain", "0.03", "--rope-long", "--original", "48"], []),
    # without a norm before the first layer its int8 inputs are made of embedding rows as they are:
    # rounded ones often lie in the middle between two numbers, and one that goes the other way
    # moves all later positions
    "olmo2": (["--gain", "0.03", "--set", "token_embd=F32"], ["--windows", "--layers", "5"]),
    "granite": (["--gain", "3"], []),
}
TYPES = {"llama": ("F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K",
                   "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "IQ3_S", "IQ3_XXS", "IQ2_XXS", "IQ2_XS",
                   "IQ2_S", "IQ1_S", "IQ1_M", "MXFP4"),
         "gpt-oss": ("Q8_0", "Q4_K_M", "MXFP4"),
         "gemma3": ("F16", "BF16", "Q4_0", "Q5_0", "Q8_0", "Q4_K", "Q5_K", "Q6_K")}
OTHERS = ("Q8_0", "Q4_K_M")
# with the usual seed, a number in the middle goes the other way early and moves all later positions
SEEDS = {"IQ3_XXS": ["--seed", "3"]}


def is_wide(kind):
    return kind.endswith("_M") or GGML_QUANT_SIZES[GGMLQuantizationType[kind]][0] == 256


def models():
    for family, (options, floats) in FAMILIES.items():
        yield f"{family} F32", [*options, *floats, "--type", "F32"]
        for kind in TYPES.get(family, OTHERS):
            yield f"{family} {kind}", [*options, "--type", kind, *(K if is_wide(kind) else ()),
                                      *SEEDS.get(kind, ())]
    yield "gemma3 Q4_K_M, no window", [*FAMILIES["gemma3"][0], "--type", "Q4_K_M", "--window", "0", *K]
    yield ("llama Q4_K_M, untied", [*FAMILIES["llama"][0], "--type", "Q4_K_M", "--no-tied", "--head",
                                    "32", *K])
    yield "llama F32, experts", [*FAMILIES["llama"][0], "--type", "F32", "--experts", "8"]
    yield ("qwen3moe F32, sigmoid", [*FAMILIES["qwen3moe"][0], "--type", "F32", "--key",
                                     "expert_gating_func=2", "--key", "expert_weights_scale=2.5"])
    yield "phi3 F32, short", [*FAMILIES["phi3"][0], "--original", "4096", "--type", "F32"]


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - numpy.log(numpy.exp(x).sum(-1, keepdims=True))


def compare(ours, exact, tie):
    p, q = log_softmax(exact), log_softmax(ours)
    rows = numpy.arange(len(exact))
    short = (exact.max(-1) - exact[rows, ours.argmax(-1)]) / exact.std()
    angle = (ours * exact).sum() / numpy.sqrt((ours ** 2).sum() * (exact ** 2).sum())
    return {"off": numpy.abs(ours - exact).max() / exact.std(),
            "angle": 1 - angle,
            "nats": (numpy.exp(p) * (p - q)).sum(-1).mean(),
            "agree": (short <= tie).mean(),
            "entropy": -(numpy.exp(p) * p).sum(-1).mean()}


def engine(program, folder, path):
    subprocess.run([program, "-c", "37", "-t", "2", "-l", folder / "logits", "-H", folder / "hidden",
                    path, ",".join(map(str, TOKENS))], check=True, timeout=120)
    logits = numpy.fromfile(folder / "logits", numpy.float32).astype(numpy.float64)
    return numpy.fromfile(folder / "hidden", numpy.float32), logits.reshape(len(TOKENS), -1)


def check(program, folder, name, options):
    path = folder / "oracle.gguf"
    quantised = "Q" in name or "FP4" in name
    make_model(path, "--embd", "256", "--tokenizer", "none", "--family", name.split()[0], *options)
    hidden, logits = engine(program, folder, path)
    borders, near_logits = Oracle(path, rounded=True).run(TOKENS)
    first = numpy.abs(hidden.reshape(borders.shape)[1] - borders[1]).max(-1) / borders[1].std()
    same = (first <= 1e-4).mean()
    near = compare(logits, near_logits, 0)
    exact = compare(logits, Oracle(path).run(TOKENS)[1], 0 if quantised else 1e-3)
    good = (same >= (0.9 if quantised else 1) and
            near["off"] <= (0.2 if quantised else 1e-3) and near["nats"] <= 1e-3 and
            exact["angle"] <= (1e-3 if quantised else 1e-5) and exact["nats"] <= 1e-3 and
            exact["agree"] >= (0.94 if quantised else 1) and 1 <= exact["entropy"] <= 4)
    print(f"{name:25} rounded: same {same:.3f} off {near['off']:.1e} nats {near['nats']:.1e} | "
          f"exact: angle {exact['angle']:.1e} nats {exact['nats']:.1e} agree {exact['agree']:.3f} "
          f"entropy {exact['entropy']:.2f}{'' if good else '  FAILED'}", flush=True)
    return good


def main():
    program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    good = [check(program, folder, name, options) for name, options in models()
            if all(word in name for word in sys.argv[3:])]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
