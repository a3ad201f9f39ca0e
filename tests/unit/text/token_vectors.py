#!/usr/bin/env python3
"""Compares our token ids with llama.cpp's.

    token_vectors.py TOKENIZE_PROGRAM vocabularies FOLDER
        llama.cpp's own vectors, and those of tests/vectors, for the vocabularies of its source
        package (tests/tools/vocabularies.py); FOLDER keeps them for the next time.
    token_vectors.py TOKENIZE_PROGRAM model
        those of tests/vectors for Gemma 3's vocabulary; MODEL in the environment names the file.

Ends with 77 (skipped) when the package cannot be had or the file is not there, with 1 instead when
PRIMAD_TEST_ALL is set in the environment."""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import llama_source  # noqa: E402
import tokenized  # noqa: E402
import vectors  # noqa: E402
import vocabularies  # noqa: E402

MODEL_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
SEPARATOR = b"\n__ggml_vocab_test__\n"


def skip(why):
    print(why)
    sys.exit(1 if os.environ.get("PRIMAD_TEST_ALL") else 77)


def compare_random(name, program, path):
    return tokenized.compare(f"{name}, random", program, path, vectors.read_texts(),
                             vectors.read_ids(name))


def compare_own(name, program, path):
    texts = pathlib.Path(f"{path}.inp").read_bytes().split(SEPARATOR)
    lines = pathlib.Path(f"{path}.out").read_text().split("\n")
    expected = [[int(word) for word in line.split()] for line in lines[:len(texts)]]
    return tokenized.compare(name, program, path, [(False, text) for text in texts], expected)


def bring(folder):
    try:
        vocabularies.bring(folder)
    except llama_source.Missing as missing:
        skip(missing)
    (folder / llama_source.NAME).unlink(missing_ok=True)


def all_vocabularies(program, folder):
    bring(folder)
    good = [compare_own(name, program, vocabularies.file_of(name, folder))
            for name in vocabularies.WITH_VECTORS]
    good += [compare_random(name, program, vocabularies.file_of(name, folder))
             for name in vocabularies.ALL]
    return all(good)


def model(program):
    path = os.environ.get("MODEL", "")
    if not os.path.isfile(path):
        skip("MODEL does not name a file: Gemma 3's vocabulary is not checked")
    if llama_source.sha256(path) != MODEL_SHA256:
        skip(f"{path} is not the Gemma 3 270M that the vectors were made with")
    return compare_random("gemma3", program, path)


def main():
    program, what = sys.argv[1:3]
    good = model(program) if what == "model" else all_vocabularies(program, pathlib.Path(sys.argv[3]))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
