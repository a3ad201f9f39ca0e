#!/usr/bin/env python3
"""Writes tests/vectors/sampler.txt: tokens picked by a second, slow reading of the rule in
compute/sampler.h, which sorts, in numpy's float32. Needs numpy.

A line: vocabulary size, case, temperature, top_k, top_p, min_p, repeat_penalty, repeat_last, seed,
then the tokens for positions 0 to 15, each with the ones before it as history. Logit i of a case is
(h(i, case) mod 4001 - 2000) / 128 with h as below."""
import itertools

import numpy

f32 = numpy.float32
MASK = (1 << 64) - 1
GOLDEN = 0x9e3779b97f4a7c15


def mix(value):
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9 & MASK
    value = (value ^ value >> 27) * 0x94d049bb133111eb & MASK
    return value ^ value >> 31


def uniform_bits(seed, position):
    return mix((mix(seed + GOLDEN & MASK) + GOLDEN * (position + 1)) & MASK) >> 40


def logits_of(size, case):
    i = numpy.arange(size, dtype=numpy.uint32)
    h = (i * numpy.uint32(2654435761) + numpy.uint32(case) * numpy.uint32(40503)) & 0xffffffff
    h = (h ^ h >> numpy.uint32(15)) * numpy.uint32(2246822519)
    h = h ^ h >> numpy.uint32(13)
    return ((h % 4001).astype(f32) - f32(2000)) / f32(128)


def decay(x):
    shifted = f32(12582912) - x * f32(float.fromhex("0x1.715476p+0"))
    k = shifted - f32(12582912)
    r = (-x - k * f32(float.fromhex("0x1.62e4p-1"))) - k * f32(float.fromhex("0x1.7f7d1cp-20"))
    p = numpy.full_like(x, f32(1) / f32(5040))
    for term in (f32(1) / f32(720), f32(1) / f32(120), f32(1) / f32(24), f32(1) / f32(6), f32(0.5),
                 f32(1), f32(1)):
        p = p * r + term
    return p * numpy.exp2(k).astype(f32)


def pick(logits, history, position, temperature, top_k, top_p, min_p, penalty, last, seed):
    logits = logits.copy()
    for token in set(history[len(history) - min(last, len(history)):]):
        up = logits[token] > 0
        logits[token] = logits[token] / f32(penalty) if up else logits[token] * f32(penalty)
    if temperature == 0:
        return int(numpy.argmax(logits))
    kept = sorted(range(len(logits)), key=lambda i: (-logits[i], i))
    kept = kept[:top_k] if top_k else kept
    falls = (logits.max() - logits) / f32(temperature)
    values = decay(numpy.minimum(falls, f32(28)))
    weights = {i: int(values[i] * f32(2.0 ** 40)) for i in kept}
    total = sum(weights.values())
    if top_p < 1:
        needed = max(1, int(float(f32(top_p)) * float(total)))
        kept.sort(key=lambda i: (-values[i], i))
        sums = list(itertools.accumulate(weights[i] for i in kept))
        kept = kept[:next(n for n, s in enumerate(sums, 1) if s >= needed)]
    kept = sorted(i for i in kept if values[i] >= f32(min_p))
    total = sum(weights[i] for i in kept)
    target = total * uniform_bits(seed, position) >> 24
    return next(i for i, s in zip(kept, itertools.accumulate(weights[i] for i in kept))
                if s > target)


CASES = [  # temperature, top_k, top_p, min_p, repeat_penalty, repeat_last
    (0, 0, 1, 0, 1, 0), (0, 0, 1, 0, 1.3, 64), (0, 0, 1, 0, 1.5, 2), (1, 0, 1, 0, 1, 0),
    (0.7, 40, 1, 0, 1, 0), (1, 1, 1, 0, 1, 0), (1, 0, 0.9, 0, 1, 0), (1, 0, 0, 0, 1, 0),
    (1, 0, 1, 0.05, 1, 0), (0.8, 40, 0.95, 0.05, 1.1, 64), (5, 0, 0.5, 0, 1, 0),
    (100, 0, 1, 0, 1, 0), (0.01, 0, 1, 0, 1, 0), (2, 7, 0.999, 0, 0.8, 3),
    (1.5, 300, 0.7, 0.3, 1, 0), (3, 0, 0.99, 0.2, 1.2, 8),
]


def main():
    with open("tests/vectors/sampler.txt", "w") as out:
        for case, settings in enumerate(CASES):
            for size in (1, 3, 1000, 5003):
                seed = mix(case * 31 + size)
                logits, history = logits_of(size, case), []
                for position in range(16):
                    history.append(pick(logits, history, position, *settings, seed))
                numbers = " ".join(f"{value:g}" for value in settings)
                tokens = " ".join(map(str, history))
                print(size, case, numbers, seed, tokens, file=out)


if __name__ == "__main__":
    with numpy.errstate(over="ignore"):
        main()
