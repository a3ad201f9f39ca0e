"""The engine's aims, line by line, each beside what was measured in this run.

    python3 tests/bench/table.py FOLDER --oracle native=FOLDER --oracle avx2=FOLDER

FOLDER holds random models of the shapes and formats that the aims name, and vocabularies; what is
missing is made or fetched (11 GB in all, and as much memory for the pages of the largest). The oracles
are llama.cpp's, see engine.py, which measures. One round an item by default, an hour and more on two
cores: --only TEXT takes the lines whose name has TEXT in it, --quick shorter prompts and generations. A
share of the read rate counts the bytes of the weights that a token reads, once."""
import argparse
import itertools
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
import types

import engine
import tokenizer
import vocabularies

GEMMA = engine.ROOT / "build" / "model" / "gemma-3-270m-q4_k_m.gguf"
FORMATS = ["q8_0", "q6_k", "q5_k", "q3_k", "pure_q2_k", "iq4_xs", "iq3_s", "iq3_xxs", "iq2_s", "iq2_xs",
           "iq2_xxs", "mxfp4"]
# name: (shape, mix, more options), prompt, generate, threads, {kind: (prompt ratio, generation ratio,
# share of the read rate)}
DENSE = {"avx2": (2.0, 1.4, 0.85), "native": (1.4, None, 0.92)}
SPEEDS = [
    ("1.1B Q4_K_M", ("1.1b", "q4_k_m"), 512, 64, (1, 2), DENSE),
    ("8B Q4_K_M", ("8b", "q4_k_m"), 128, 16, (1, 2), DENSE),
    ("Gemma 270M Q4_K_M", None, 512, 64, (1, 2), {"avx2": (2.0, 1.3, None), "native": (1.5, None, 0.92)}),
    ("30B-A3B, 16 layers", ("30b-a3b", "q4_k_m", "--layers", "16"), 256, 24, (2,),
     dict.fromkeys(("avx2", "native"), (1.5, None, 0.85))),
    *((f"1.1B, 4 layers, {mix}", ("1.1b", mix, "--layers", "4", "--vocab", "4096"), 128, 32, (1,),
       dict.fromkeys(("avx2", "native"), (1.4, 1.2, None))) for mix in FORMATS),
]
DEPTHS = ("attention, heads of 128", ("heads-128", "q4_k_m"), (4096, 8192))
BUSY_AIM, ATTENTION_AIM, RESIDENT_AIM, LOAD_AIM, TOKENS_AIM = 2.2, 1.5, 64, 1.5, 3


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--oracle", action="append", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--quick", action="store_true", help="a quarter of each prompt and generation")
    return parser.parse_args()


def model_of(folder, made):
    """The file of a random model, which is made where it is not there yet."""
    if not made:
        return GEMMA
    shape, mix, *more = made
    path = folder / ("-".join(part.lstrip("-") for part in made) + ".gguf")
    if not path.exists():
        part = path.with_suffix(".part")
        subprocess.run([sys.executable, engine.ROOT / "tests" / "tools" / "make_random.py", "--shape", shape,
                        "--mix", mix, *more, part], check=True, stdout=subprocess.DEVNULL)
        part.rename(path)
        leave_cache(path)
    return path


def leave_cache(path):
    """What was written is cached in small pages; read again, it is in large ones, as after a restart."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def work(options, prompt, generate, depth=0, busy=False, cache="f16"):
    """What engine.measure takes."""
    divide = 4 if options.quick else 1
    return types.SimpleNamespace(rounds=options.rounds, prompt=prompt // divide,
                                 generate=max(8, generate // divide), depth=depth, busy=busy, cache=cache)


def say(name, kind, threads, what, figures, aim, met):
    print(f"{name:26} {kind:7} {threads}  {what:19} {figures:44} aim {aim:14} "
          f"{'met' if met else 'MISSED'}", flush=True)


def ratio_of(rounds, what):
    """Medians of both rates, and of their ratios."""
    pairs = [pair[what] for pair in rounds]
    return (*(statistics.median(side) for side in zip(*pairs)), statistics.median(a / b for a, b in pairs))


def show_speed(options, line, kind, oracle):
    name, made, prompt, generate, threads_of, aims = line
    model = model_of(options.folder, made)
    for threads in threads_of:
        rounds, read = engine.measure(model, threads, kind, oracle, work(options, prompt, generate))
        for what, aim in zip(("prompt", "generate"), aims[kind]):
            mine, other, ratio = ratio_of(rounds, what)
            figures, met, wanted = f"{mine:8.1f} and {other:8.1f} tokens/s, {ratio:5.2f}x", True, []
            if aim:
                wanted, met = [f"{aim}x"], ratio >= aim
            share_aim = aims[kind][2]
            if what == "generate" and share_aim:
                share = mine * engine.weight_bytes(model) / statistics.median(read)
                figures += f", {share:4.0%}"
                wanted.append(f"{share_aim:.0%}")
                met = met and share >= share_aim
            say(name, kind, threads, what, figures, ", ".join(wanted), met)


def show_attention(options, kind, oracle):
    name, made, depths = DEPTHS
    for depth, cache in itertools.product(depths, ("f16", "q8_0")):
        rounds, _ = engine.measure(model_of(options.folder, made), 1, kind, oracle,
                                   work(options, 128, 64, depth, cache=cache))
        for what in ("prompt attention", "generate attention"):
            mine, other, ratio = ratio_of(rounds, what)
            say(f"{name}", kind, 1, f"{what.split()[0]} {cache} {depth}",
                f"{mine:8.1f} and {other:8.1f} a second, {ratio:5.2f}x", f"{ATTENTION_AIM}x",
                ratio >= ATTENTION_AIM)


def show_busy(options, kind, oracle):
    model = model_of(options.folder, SPEEDS[0][1])
    rates = [engine.measure(model, 2, kind, oracle, work(options, 128, 16, busy=busy))[0]
             for busy in (False, True)]
    for what in ("prompt", "generate"):
        mine, other = (statistics.median(free[what][side] / taken[what][side] for free, taken in zip(*rates))
                       for side in (0, 1))
        say("1.1B, a busy process each", kind, 2, what, f"{mine:8.2f} and {other:8.2f} times as slow",
            f"<= {BUSY_AIM}", mine <= BUSY_AIM)


def load(model):
    """What bench_engine prints of a model that it has loaded."""
    return subprocess.run([engine.BUILD / "tests" / "bench" / "bench_engine", "-r", "1", "-p", "64", "-n", "2",
                           model], check=True, text=True, capture_output=True).stdout


def seconds_of(out):
    return float(re.search(r"loaded in ([\d.]+) s", out)[1])


def read_seconds(path):
    """Reading a file once, from the disk."""
    leave_cache(path)
    start = time.monotonic()
    with path.open("rb", buffering=0) as file:
        room = bytearray(1 << 20)
        while file.readinto(room):
            pass
    return time.monotonic() - start


def show_loading(options):
    """Loading from the disk and with the file in memory, and what is resident beyond weights and KV cache."""
    for name, made, *_ in SPEEDS[:2]:
        model = model_of(options.folder, made)
        plain = statistics.median(read_seconds(model) for _ in range(3))
        leave_cache(model)
        first, out = seconds_of(load(model)), load(model)
        seconds = seconds_of(out)
        resident, weights, kv = (int(re.search(pattern, out)[1]) for pattern in
                                 (r"resident (\d+)", r"weights (\d+)", r"KV (\d+)"))
        say(name, "native", 2, "load from disk", f"{first:8.2f} s, reading {plain:.2f}, {first / plain:5.2f}x",
            f"<= {LOAD_AIM}x", first <= LOAD_AIM * plain)
        say(name, "native", 2, "load from memory", f"{seconds:8.2f} s for {weights} MiB", "<= 1 s a 5 GB",
            seconds <= max(1, weights / 4768))
        say(name, "native", 2, "resident", f"{resident:8} MiB, weights {weights}, KV {kv}",
            f"+ {RESIDENT_AIM} MiB", resident <= weights + kv + RESIDENT_AIM)


def show_tokens(options, kind, oracle):
    """Tokenizing a megabyte, one line a text: the slowest of the vocabularies by ratio."""
    folder = options.folder / "vocabularies"
    vocabularies.bring(folder)
    given = types.SimpleNamespace(vocabularies=folder, oracle=str(oracle), rounds=options.rounds)
    with tempfile.TemporaryDirectory() as scratch:
        rows = [(*row, name) for name in tokenizer.NAMES for row in
                tokenizer.side_by_side(name, given, tokenizer.texts([]), pathlib.Path(scratch) / "text")]
    for what in dict.fromkeys(row[0] for row in rows):
        _, mine, other, ratio, name = min((row for row in rows if row[0] == what), key=lambda row: row[3])
        say(f"1 MB of {what}", kind, 1, f"{name} at worst", f"{mine:8.1f} and {other:8.1f} MB/s, {ratio:5.2f}x",
            f"{TOKENS_AIM}x", ratio >= TOKENS_AIM)


def main():
    options = parse()
    options.folder.mkdir(parents=True, exist_ok=True)
    oracles = [(name, pathlib.Path(folder)) for name, _, folder in
               (oracle.partition("=") for oracle in options.oracle)]
    print("primad's figure, llama.cpp's, and the ratio; shares are of the measured read rate")
    for kind, oracle in oracles:
        for line in SPEEDS:
            if options.only in line[0]:
                show_speed(options, line, kind, oracle)
        if options.only in DEPTHS[0]:
            show_attention(options, kind, oracle)
        if options.only in "1.1B, a busy process each":
            show_busy(options, kind, oracle)
        if options.only in "tokenizing":
            show_tokens(options, kind, oracle)
    if options.only in "load, resident":
        show_loading(options)


if __name__ == "__main__":
    main()
