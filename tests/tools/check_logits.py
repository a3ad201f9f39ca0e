#!/usr/bin/env python3
"""Compares primad's logits on the real model with what llama.cpp said along the same tokens:

    check_logits.py LOGITS_PROGRAM MODEL VECTORS

VECTORS is tests/vectors/gemma_logits.npz. Every third sequence is passed through, all with
PRIMAD_HEAVY=1. Two comparisons, both on the model itself: with llama.cpp's BLAS backend, which
multiplies floats, so that primad's rounding alone is measured; and with its CPU backend, which
rounds the products' inputs to int8 in its own way. The second holds both engines' rounding, and
llama.cpp's is the larger one on this model: its limits guard what is reached."""
import os
import sys

import numpy

import agreement

STEP = 3
COLUMNS = {"llama.cpp, BLAS": "blas_", "llama.cpp, CPU": ""}
LIMITS = {"llama.cpp, BLAS": (0.97, 2e-3), "llama.cpp, CPU": (0.95, 6e-3)}


def report(name, pairs):
    """Prints one line; true when it is within the limits."""
    divergence = numpy.mean([d for d, _ in pairs])
    same = numpy.mean([s for _, s in pairs])
    least, most = LIMITS[name]
    print(f"{name}: {sum(len(s) for _, s in pairs)} tokens, same most likely token {same:.4f} "
          f"(least {least}), divergence {divergence:.3e} nats (most {most})")
    return same >= least and divergence <= most


def main(program, model, vectors):
    step = 1 if os.environ.get("PRIMAD_HEAVY") == "1" else STEP
    data = numpy.load(vectors)
    ends = numpy.cumsum(data["lengths"])
    rows = len(data["ids"]) // len(ends)
    results = {name: [] for name in LIMITS}
    for i in range(0, len(ends), step):
        tokens = data["tokens"][ends[i] - data["lengths"][i]:ends[i]].tolist()
        ours = agreement.own_logits(program, model, tokens, int(data["prompts"][i]) - 1)
        assert len(ours) == rows, "the vectors are damaged"
        kept = slice(i * rows, (i + 1) * rows)
        for name, prefix in COLUMNS.items():
            results[name].append(agreement.compare(data[prefix + "ids"][kept],
                                                   data[prefix + "steps"][kept], ours))
    good = [report(name, pairs) for name, pairs in results.items()]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
