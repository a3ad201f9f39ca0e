#!/usr/bin/env python3
"""Makes tests/vectors/gemma_logits.npz: what llama.cpp says of the next token along 64 tokens that
it wrote after each prompt of tests/vectors/prompts.json.

    make_logit_vectors.py LLAMA_CPP_LIBRARIES MODEL FLOAT_MODEL OUT [--check LOGITS_PROGRAM]

FLOAT_MODEL holds the same weights as F32 (make_float_model.py): what llama.cpp makes of it shows
the model without llama.cpp's own rounding of the products' inputs. It is asked along every third
sequence.
Every other prompt is continued greedily, the others by drawing from the whole distribution
(greedy text of a small model soon repeats itself, and is easy to agree on). --check compares the
program's logits over the whole vocabulary, and says how much of the divergence the kept form shows.
The file holds: tokens (all sequences joined), lengths and prompts (of the sequence, of its prompt,
in tokens), ids and steps as agreement.py describes them, of the last token of the prompt and the
first 63 of the continuation, and float_ids and float_steps of every third sequence."""
import argparse
import json
import pathlib

import numpy

import agreement
from llamacpp import LlamaCpp

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


def float_rows(options, sequences, prompts):
    """ids and steps of the model in floats, along every third sequence."""
    llama = LlamaCpp(options.libraries, options.float_model, threads=1)
    pairs = [agreement.compact(llama.logits(sequence, n_prompt - 1))
             for sequence, n_prompt in list(zip(sequences, prompts))[::3]]
    llama.close()
    return [numpy.concatenate(column) for column in zip(*pairs)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("libraries")
    parser.add_argument("model")
    parser.add_argument("float_model")
    parser.add_argument("out")
    parser.add_argument("--check")
    options = parser.parse_args()
    llama = LlamaCpp(options.libraries, options.model, threads=1)
    random = numpy.random.default_rng(20)
    sequences, prompts, ids, steps, full, kept, same = ([] for _ in range(7))
    for number, entry in enumerate(json.loads(PROMPTS.read_text())):
        prompt = llama.tokenize(entry["text"])
        sequence = prompt + go_on(llama, prompt, random if number % 2 else None)[:COUNT - 1]
        # Once more in one pass: how the text was cut into batches must not matter to the vectors.
        theirs = llama.logits(sequence, len(prompt) - 1)
        row_ids, row_steps = agreement.compact(theirs)
        sequences.append(sequence)
        prompts.append(len(prompt))
        ids.append(row_ids)
        steps.append(row_steps)
        if options.check:
            ours = agreement.own_logits(options.check, options.model, sequence, len(prompt) - 1)
            full.append(full_divergence(theirs, ours))
            row_kept, row_same = agreement.compare(row_ids, row_steps, ours)
            kept.append(row_kept)
            same.append(row_same)
            print(f"{entry['name']}: KLD {full[-1].mean():.2e}, as kept {kept[-1].mean():.2e}, "
                  f"same top {row_same.mean():.3f}", flush=True)
    if options.check:
        for name, part in (("greedy", slice(0, None, 2)), ("drawn", slice(1, None, 2)),
                           ("all", slice(None))):
            print(f"{name}: KLD {numpy.mean(full[part]):.3e}, as kept {numpy.mean(kept[part]):.3e}, "
                  f"same top {numpy.mean(same[part]):.4f}")
    llama.close()
    float_ids, float_steps = float_rows(options, sequences, prompts)
    numpy.savez_compressed(options.out, tokens=numpy.array(sum(sequences, []), numpy.int32),
                           lengths=numpy.array([len(s) for s in sequences], numpy.int32),
                           prompts=numpy.array(prompts, numpy.int32),
                           ids=numpy.concatenate(ids), steps=numpy.concatenate(steps),
                           float_ids=float_ids, float_steps=float_steps)


if __name__ == "__main__":
    main()
