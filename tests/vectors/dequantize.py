#!/usr/bin/env python3
"""Writes dequantize.txt: random blocks of each weight format and their values, as the PyPI package
`gguf` (made with 0.19) decodes them. A line is: type, block bytes in hex, values as f32 bits in hex.
Scales are halves of several kinds: negative, denormal, the largest finite one, infinite, not a number.
Given the path of llama.cpp's libggml-base.so, also checks that it gives the same bits."""
import ctypes
import pathlib
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

# type: offsets of the halves in a block
FORMATS = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q2_K: [80, 82],
           T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_NL: [0], T.IQ4_XS: [0],
           T.IQ3_S: [0], T.IQ3_XXS: [0], T.IQ2_XXS: [0], T.IQ2_XS: [0], T.IQ2_S: [0], T.IQ1_S: [0],
           T.IQ1_M: [], T.MXFP4: [], T.BF16: [], T.F16: []}
HALVES = [0x2c00, 0xa666, 0x0001, 0x83ff, 0x7bff, 0xfc00, 0x7e00, 0x3c00]
FLOATS = 32  # of one line of F16 or BF16
EXPONENTS = [0, 1, 2, 100, 128, 253, 254, 255]  # MXFP4


def put_scales(block, kind, k):
    for n, place in enumerate(FORMATS[kind]):
        block[place:place + 2] = np.array([HALVES[(k + 3 * n) % len(HALVES)]], "<u2").view(np.uint8)
    if kind == T.MXFP4:
        block[0] = EXPONENTS[k]
    if kind == T.IQ1_M:  # the half lies in the top nibbles of four words
        for i in range(4):
            block[49 + 2 * i] = block[49 + 2 * i] & 15 | (HALVES[k] >> 4 * i & 15) << 4


def same(a, b):
    return ((a.view(np.uint32) == b.view(np.uint32)) | np.isnan(a) & np.isnan(b)).all()


def check(library, kind, block, values):
    name = kind.name.replace("_K", "_k").lower().replace("_k", "_K")
    other = np.zeros(len(values), np.float32)
    getattr(library, "dequantize_row_" + name)(block.ctypes.data_as(ctypes.c_void_p),
                                               other.ctypes.data_as(ctypes.c_void_p),
                                               ctypes.c_int64(len(values)))
    if not same(values, other):
        raise SystemExit(f"{kind.name}: the library gives other values for {block.tobytes().hex()}")


def main(library=None):
    random = np.random.default_rng(1)
    lines = []
    np.seterr(all="ignore")
    for kind in FORMATS:
        plain = kind in (T.F16, T.BF16)
        count = 4 if plain else len(HALVES)
        for k in range(count):
            size = 2 * FLOATS if plain else gguf.GGML_QUANT_SIZES[kind][1]
            block = random.integers(0, 256, size, dtype=np.uint8)
            put_scales(block, kind, k)
            values = gguf.quants.dequantize(block.reshape(1, -1), kind).astype("<f4").reshape(-1)
            if library and not plain:
                check(library, kind, block, values)
            lines.append(f"{kind.name} {block.tobytes().hex()} {values.tobytes().hex()}")
    pathlib.Path(__file__).with_name("dequantize.txt").write_text("\n".join(lines) + "\n")


main(*(ctypes.CDLL(path) for path in sys.argv[1:]))
