"""The price of a hop: a ring of 2, 3 and 4 hosts of one machine beside one host alone.

    python3 tests/bench/ring.py [--rounds N] [--answers N] [--tokens N] [MODEL.gguf ...]

Each host is a network namespace with an unchanged primad of one compute thread. The layers are
pinned, and the same answer is asked of 1, 2, 3 and 4 hosts in turn, round after round, so that
other load falls on all alike. A ring of n hosts has n hops, and a token's layers are computed one
after another wherever they lie, so

    hop = (token time of n hosts - token time of one host) / n

is what a hop adds: sealing, the kernel's sockets, waking threads, opening. Token times are the
head's own, the mean over each answer; the best and the middle answer are printed. Beside them stands
the floor: as many bytes to another host over bare TCP, between two programs that do nothing else
(pingpong.c). All hosts share the cores of this machine: other load makes answers slower, never
faster. Without MODEL a tiny random one is made, and the one that PRIMAD_TEST_MODEL names is taken
too. Needs root."""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "cluster"))
from daemons import UnixConnection, tiny_model  # noqa: E402
from home import BUILD, Home, wait_for, why_not  # noqa: E402
from test_three_hosts import ask, good, join, together, upload  # noqa: E402

NAMES = ("desk", "laptop", "attic", "shed")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--answers", type=int, default=6, help="of each ring and round")
    parser.add_argument("--tokens", type=int, default=64, help="of each answer")
    parser.add_argument("models", nargs="*", type=pathlib.Path)
    return parser.parse_args()


def layers_of(host, model):
    return good(host, "GET", f"/v1/models/{model}", socket="api")["meta"]["layers"]


def spread(layers, n):
    """The layers, shared out as evenly as can be to the first n hosts."""
    return {name: layers // n + (i < layers % n) for i, name in enumerate(NAMES[:n])}


def pin(hosts, model, layers):
    """Commits the plan on whichever host plans; gives when all parts of it are ready. Asks again
    where a plan of the daemons' own came between."""
    by_name = {h.name: h for h in hosts}
    body = {"model": model, "commit": True, "pin": {"layers": layers, "head": NAMES[0]}}

    def ready():
        for deployment in good(hosts[0], "GET", "/status")["deployments"]:
            got = {d["name"]: d["layers"] for d in deployment["plan"]["devices"] if d["layers"]}
            if deployment["model"] == model and got == layers:
                return all(p["state"] == "ready" for p in deployment["parts"])
        return False

    def commit():
        chief = by_name.get(good(hosts[0], "GET", "/status")["planner"])
        if chief and ask(chief, "POST", "/plan", body)[0] == 200:
            try:
                return wait_for(ready, 15)
            except TimeoutError:
                return False
        return False

    wait_for(commit, 120, f"the plan {layers} is ready")


def token_us(host, model, tokens):
    """The time of a generated token of one answer, and how many bytes the head sent for each."""
    answer = good(host, "POST", "/v1/completions", {
        "model": model, "prompt": "one two three", "max_tokens": tokens, "temperature": 0,
        "ignore_eos": True}, "api", 120)
    figures = answer["primad"]
    return figures["decode_s"] * 1e6 / (tokens - 1), figures["bytes_sent"] / figures["flights"]


def measure(hosts, model, options):
    layers = layers_of(hosts[0], model)
    rings = [n for n in (1, 2, 3, 4) if n <= layers]
    times, sent = {n: [] for n in rings}, {}
    for _ in range(options.rounds):
        for n in rings:
            pin(hosts, model, spread(layers, n))
            token_us(hosts[0], model, options.tokens)  # pages and caches are warm after it
            for _ in range(options.answers):
                time, sent[n] = token_us(hosts[0], model, options.tokens)
                times[n].append(time)
    return times, sent


def bare_us(hosts, size):
    """One way of `size` bytes between the first two hosts: (best, middle)."""
    program = BUILD / "tests" / "bench" / "pingpong"
    server = hosts[1].spawn(program, stdout=subprocess.PIPE, text=True)
    port = server.stdout.readline().strip()
    done = hosts[0].exec(program, hosts[1].address, port, size, 3000)
    server.wait(10)
    return [float(word) for word in done.stdout.split()]


def show(hosts, model, times, sent):
    print(f"\n{model}\nhosts  token us: best  middle   hop us: best  middle   bytes a flight")
    alone = times[1]
    for n, all_times in times.items():
        best, middle = min(all_times), statistics.median(all_times)
        line = f"{n:5}  {best:14.0f} {middle:7.0f}"
        if n > 1:
            line += f"   {(best - min(alone)) / n:12.0f} {(middle - statistics.median(alone)) / n:7.0f}"
            line += f"   {sent[n]:14.0f}"
        print(line, flush=True)
    if sent:
        size = round(max(sent.values()))
        print(f"bare TCP, {size} bytes one way: best {{:.0f}} us, middle {{:.0f}} us".format(
            *bare_us(hosts, size)), flush=True)


def models_of(options, folder):
    if options.models:
        return options.models
    tiny = tiny_model(folder, family="gemma3", type="Q8_0", layers=8, embd=128, heads=4, heads_kv=2,
                      head=32, ff=256, vocab=400, context=4096, tokenizer="spm")
    real = os.environ.get("PRIMAD_TEST_MODEL")
    return [tiny] + ([pathlib.Path(real)] if real else [])


def main():
    options = parse()
    reason = why_not()
    if reason:
        sys.exit(f"no hosts can be made here: {reason}")
    with tempfile.TemporaryDirectory() as folder, Home(*NAMES) as home:
        hosts = list(home)
        for host in hosts:
            host.start("--context", "512", "--threads", "1")
        for host in hosts[1:]:
            status, answer = join(hosts[0], host)
            assert status == 200, answer
        together(hosts, NAMES)
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        for path in models_of(options, folder):
            upload(hosts[0], path)
            show(hosts, path.stem, *measure(hosts, path.stem, options))


if __name__ == "__main__":
    main()
