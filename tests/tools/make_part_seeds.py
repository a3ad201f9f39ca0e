#!/usr/bin/env python3
"""Writes the seeds of tests/fuzz/engine/parts_fuzz.c: tiny models, whole and in parts.

    make_part_seeds.py tests/fuzz/engine/parts
"""
import pathlib
import struct
import sys
import tempfile

import gguf

from make_model import Model, parse

TINY = ["--type", "Q4_0", "--embd", "32", "--layers", "1", "--ff", "32", "--vocab", "20", "--heads", "1",
        "--heads-kv", "1", "--tokenizer", "none"]


def parts_of(tensors_each):
    with tempfile.TemporaryDirectory() as folder:
        o = parse([folder + "/tiny.gguf", *TINY])
        model = Model(o.path, o)
        if tensors_each:
            model.writer = gguf.GGUFWriter(o.path, o.family, split_max_tensors=tensors_each)
        model.write()
        return [path.read_bytes() for path in sorted(pathlib.Path(folder).iterdir())]


def seed(parts):
    assert 1 <= len(parts) <= 4
    return bytes([len(parts) - 1]) + b"".join(struct.pack("<I", len(p)) + p for p in parts)


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    two, three = parts_of(6), parts_of(4)
    made = {"whole": parts_of(0), "two": two, "three": three, "turned": three[::-1],
            "one-missing": three[:2] + [b""], "short": two[:1] + [two[1][:-40]]}
    for name, parts in made.items():
        (folder / name).write_bytes(seed(parts))


if __name__ == "__main__":
    main()
