"""How far two engines agree on the next token, when one of them left only the most likely ones.

What is kept of a distribution P: the ids of its TOP most likely tokens, their log-probabilities in
steps of 1/STEPS nat, and the log of the mass of all others. The divergence KLD(P || Q) is taken over
TOP + 1 outcomes, "any other token" being one. That is never more than the divergence over the whole
vocabulary (the log sum inequality); by how much it is less, make_logit_vectors.py --check measures.
Rounding moves each log-probability by at most 1/2 step, to either side alike."""
import subprocess
import tempfile

import numpy

TOP = 32
STEPS = 2048


def log_softmax(logits):
    logits = logits.astype(numpy.float64)
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - numpy.log(numpy.exp(logits).sum(axis=-1, keepdims=True))


def log_rest(top):
    """The log of the mass that the `top` log-probabilities leave."""
    return numpy.log(numpy.maximum(1 - numpy.exp(top).sum(axis=-1), 1e-12))


def compact(logits):
    """(ids [rows, TOP] most likely first, negated log-probabilities [rows, TOP + 1] in steps)"""
    logs = log_softmax(logits)
    ids = numpy.argpartition(-logs, TOP, axis=-1)[:, :TOP]
    order = numpy.argsort(-numpy.take_along_axis(logs, ids, -1), axis=-1, kind="stable")
    ids = numpy.take_along_axis(ids, order, -1)
    top = numpy.take_along_axis(logs, ids, -1)
    all_logs = numpy.concatenate([top, log_rest(top)[:, None]], axis=-1)
    steps = numpy.minimum(numpy.rint(-all_logs * STEPS), 65535)
    return ids.astype(numpy.int32), steps.astype(numpy.uint16)


def compare(ids, steps, logits):
    """(divergence of each row in nats, whether each row's most likely token is the same)"""
    kept = -steps.astype(numpy.float64) / STEPS
    p = numpy.exp(kept)
    p /= p.sum(axis=-1, keepdims=True)  # rounding and the cut at 32 nats
    top = numpy.take_along_axis(log_softmax(logits), ids.astype(numpy.int64), -1)
    q = numpy.concatenate([top, log_rest(top)[:, None]], axis=-1)
    return (p * (numpy.log(p) - q)).sum(axis=-1), logits.argmax(axis=-1) == ids[:, 0]


def own_logits(program, model, tokens, first, threads=2):
    """f32 [tokens - first, vocabulary] of primad's engine, by tests/tools/logits."""
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/logits"
        subprocess.run([program, "-t", str(threads), "-f", str(first), "-l", out, model,
                        ",".join(map(str, tokens))], check=True, capture_output=True)
        return numpy.fromfile(out, numpy.float32).reshape(len(tokens) - first, -1)
