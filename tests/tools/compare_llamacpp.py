#!/usr/bin/env python3
"""Compares primad with llama.cpp on the small random models of check_oracle.py, teacher-forced:

    compare_llamacpp.py LOGITS_PROGRAM LIBRARIES FOLDER [WORD...]

LIBRARIES is the folder that holds libllama.so; words choose models by name. A line per model: how
often both name the same most likely token, the divergence of primad's distribution from llama.cpp's
and of both from the float64 oracle's, in nats. Both engines round the inputs of products with
quantised weights to int8, each in its own way; where llama.cpp is further from the oracle than
primad is, the divergence between them is llama.cpp's. A tool for developers; no test needs it."""
import pathlib
import sys

import check_oracle
from check_oracle import TOKENS, compare, engine
from llamacpp import LlamaCpp
from make_model import make_model
from oracle import Oracle

NOT_THERE = ["qwen3moe F32, sigmoid"]  # llama.cpp reads the key for gating in other families only
LIMITS = {True: (0.92, 2e-3), False: (0.99, 1e-5)}  # quantised or not: least agreement, most nats


def check(program, libraries, folder, name, options):
    path = folder / "compared.gguf"
    # llama.cpp reads names, too: one that holds "phi3" must have tokens that ours lacks
    make_model(path, "--embd", "256", "--tokenizer", "spm", "--name", "random", "--family",
               name.split()[0], *options)
    ours = engine(program, folder, path)[1]
    theirs = LlamaCpp(libraries, str(path))
    logits = theirs.logits(TOKENS).astype("float64")
    theirs.close()
    exact = Oracle(path).run(TOKENS)[1]
    pair = compare(ours, logits, 0)
    least, most = LIMITS["Q" in name or "MX" in name]
    noise = compare(logits, exact, 0)["nats"]
    good = pair["agree"] >= least and pair["nats"] <= max(most, 1.5 * noise)
    print(f"{name:26} same token {pair['agree']:.3f}  divergence {pair['nats']:.1e}  from the oracle: "
          f"primad {compare(ours, exact, 0)['nats']:.1e} llama.cpp "
          f"{noise:.1e}{'' if good else '  FAILED'}", flush=True)
    return good


def main():
    program, libraries, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    good = [check(program, libraries, folder, name, options)
            for name, options in check_oracle.models()
            if all(word in name for word in sys.argv[4:]) and name not in NOT_THERE]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
