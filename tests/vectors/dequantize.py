#!/usr/bin/env python3
"""Writes dequantize.txt: random blocks of each weight format and their values, as the PyPI package
`gguf` (made with 0.19) decodes them. A line is: type, block bytes in hex, values as f32 bits in hex.
Scales are halves of several kinds: negative, denormal, the largest finite one."""
import pathlib

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize

# type: (bytes of a block, offsets of its halves)
FORMATS = {T.Q4_0: (18, [0]), T.Q5_0: (22, [0]), T.Q8_0: (34, [0]),
           T.Q4_K: (144, [0, 2]), T.Q5_K: (176, [0, 2]), T.Q6_K: (210, [208]),
           T.BF16: (64, []), T.F16: (64, [])}
HALVES = [0x2c00, 0xa666, 0x0001, 0x83ff, 0x7bff, 0x3c00]


def main():
    random = np.random.default_rng(1)
    lines = []
    for kind, (size, places) in FORMATS.items():
        for k, half in enumerate(HALVES[:4 if size > 100 else 6]):
            block = random.integers(0, 256, size, dtype=np.uint8)
            for n, place in enumerate(places):
                block[place:place + 2] = np.array([HALVES[(k + n) % len(HALVES)] if n else half],
                                                  dtype="<u2").view(np.uint8)
            values = dequantize(block.reshape(1, -1), kind).astype("<f4").reshape(-1)
            lines.append(f"{kind.name} {block.tobytes().hex()} {values.tobytes().hex()}")
    pathlib.Path(__file__).with_name("dequantize.txt").write_text("\n".join(lines) + "\n")


main()
