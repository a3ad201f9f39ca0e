#!/usr/bin/env python3
"""Makes tests/vectors/gemma_logits.npz: what llama.cpp says of the next token along 64 tokens that
it wrote after each prompt of tests/vectors/prompts.json.

    make_logit_vectors.py LLAMA_CPP_LIBRARIES BLAS_LIBRARIES MODEL OUT [--check LOGITS_PROGRAM]

LLAMA_CPP_LIBRARIES is a usual build of llama.cpp: it writes the text, and says what its rounding of
the products' inputs makes of the model. BLAS_LIBRARIES is a build with its BLAS backend, which
multiplies floats (llamacpp.py): it says what the model itself makes of the same tokens.
Every other prompt is continued greedily, the others by drawing from the whole distribution
(greedy text of a small model soon repeats itself, and is easy to agree on). --check compares the
program's logits over the whole vocabulary, and says how much of the divergence the kept form shows.
The file holds: tokens (all sequences joined), lengths and prompts (of the sequence, of its prompt,
in tokens), and of the last token of the prompt and the first 63 of the continuation ids and steps,
as agreement.py describes them, and blas_ids and blas_steps."""
import argparse
import concurrent.futures
import json
import multiprocessing
import pathlib

import numpy

import agreement
from llamacpp import LlamaCpp, has_blas

COUNT = 64
PROMPTS = pathlib.Path(__file__).resolve().parents[1] / "vectors" / "prompts.json"


def go_on(llama, prompt, random):
    """The continuation's tokens, and the logits that they were chosen from."""
    tokens, rows = [], [llama.logits(prompt, len(prompt) - 1)[0]]
    while True:
        if random is None:
            token = int(rows[-1].argmax())
        else:
            p = numpy.exp(agreement.log_softmax(rows[-1]))
            token = int(random.choice(len(p), p=p / p.sum()))
        tokens.append(token)
        if len(tokens) == COUNT:
            return tokens
        rows.append(llama.logits([token], 0, len(prompt) + len(tokens) - 1)[0])


def full_divergence(theirs, ours):
    p, q = agreement.log_softmax(theirs), agreement.log_softmax(ours)
    return (numpy.exp(p) * (p - q)).sum(axis=-1)


def forced(libraries, model, sequences, prompts):
    """The logits along each sequence in one pass: how the text was cut into batches, when it was
    written, must not matter to the vectors, and BLAS wants many rows."""
    llama = LlamaCpp(libraries, model, threads=2)
    for sequence, n_prompt in zip(sequences, prompts):
        yield llama.logits(sequence, n_prompt - 1)
    llama.close()


def write_text(libraries, model):
    """(sequences, tokens of each that are its prompt)"""
    llama = LlamaCpp(libraries, model, threads=2)
    random = numpy.random.default_rng(20)
    sequences, prompts = [], []
    for number, entry in enumerate(json.loads(PROMPTS.read_text())):
        prompt = llama.tokenize(entry["text"])
        sequences.append(prompt + go_on(llama, prompt, random if number % 2 else None)[:COUNT - 1])
        prompts.append(len(prompt))
    llama.close()
    return sequences, prompts


def report(name, theirs, ours):
    """Prints how far each of `ours` is from `theirs`; gives [divergence, as kept, same top]."""
    kept, same = agreement.compare(*agreement.compact(theirs), ours)
    row = [full_divergence(theirs, ours).mean(), kept.mean(), same.mean()]
    print(f"{name}: KLD {row[0]:.2e}, as kept {row[1]:.2e}, same top {row[2]:.4f}", flush=True)
    return row


def along(libraries, options, sequences, prompts):
    """(ids, steps) of all sequences joined, compared with the program's where one is named."""
    pairs, rows = [], []
    all_logits = forced(libraries, options.model, sequences, prompts)
    for sequence, n_prompt, theirs in zip(sequences, prompts, all_logits):
        pairs.append(agreement.compact(theirs))
        if options.check:
            ours = agreement.own_logits(options.check, options.model, sequence, n_prompt - 1)
            rows.append(report(f"sequence {len(rows)}", theirs, ours))
    if rows:
        kld, kept, same = numpy.mean(rows, axis=0)
        print(f"{libraries}: KLD {kld:.3e}, as kept {kept:.3e}, same top {same:.4f}", flush=True)
    return [numpy.concatenate(column) for column in zip(*pairs)]


def apart(function, *arguments):
    """Calls it in a process of its own: of two builds in one process the loader would take the first
    one's libraries for both."""
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(function, *arguments).result()


def main():
    parser = argparse.ArgumentParser()
    for name in ("libraries", "blas", "model", "out"):
        parser.add_argument(name)
    parser.add_argument("--check")
    options = parser.parse_args()
    if not has_blas(options.blas):
        raise SystemExit(f"{options.blas} holds no build with BLAS")
    sequences, prompts = apart(write_text, options.libraries, options.model)
    ids, steps = apart(along, options.libraries, options, sequences, prompts)
    blas_ids, blas_steps = apart(along, options.blas, options, sequences, prompts)
    numpy.savez_compressed(options.out, tokens=numpy.array(sum(sequences, []), numpy.int32),
                           lengths=numpy.array([len(s) for s in sequences], numpy.int32),
                           prompts=numpy.array(prompts, numpy.int32), ids=ids, steps=steps,
                           blas_ids=blas_ids, blas_steps=blas_steps)


if __name__ == "__main__":
    main()
