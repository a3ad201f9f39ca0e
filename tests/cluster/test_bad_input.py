"""What people and members get wrong, at whole daemons: one clear sentence each, and nothing lost."""
import concurrent.futures
import json
import os
import pathlib
import re
import select
import subprocess
import time

import pytest

from daemons import SLOW, Daemon, LoopbackHome, UnixConnection, free_port, tiny_model, wait_for

SHAPE = dict(family="gemma3", type="Q8_0", layers=4, embd=64, heads=4, heads_kv=2, head=16, ff=128,
             vocab=300, tokenizer="spm")
CONTEXT = 8192


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model"), context=CONTEXT, **SHAPE)


@pytest.fixture(scope="module")
def home(tmp_path_factory, model):
    """Two devices that both hold layers."""
    folder = tmp_path_factory.mktemp("home")
    with LoopbackHome(folder, 2, ["--context", str(CONTEXT), "--threads", "1"]) as home:
        home.daemons[0].add_model(model)
        chief = wait_for("a planner", lambda: next(
            (d for d in home.daemons if d.status()["planner"] == d.name), None))
        wanted = {"model": "tiny", "commit": True,
                  "pin": {"layers": {"device0": 2, "device1": 2}, "head": "device0"}}
        wait_for("the plan is taken", lambda: chief.ask("POST", "/plan", wanted)[0] == 200)
        wait_for("an answer over two devices", lambda: home.daemons[1].ask(
            "POST", "/v1/completions", {"prompt": "hello"}, socket="api")[0] == 200)
        yield home


@pytest.fixture
def alone(tmp_path):
    daemons = []

    def make(*flags, name="alone", **options):
        daemons.append(Daemon(tmp_path, name, free_port(), flags=flags, **options))
        return daemons[-1]

    yield make
    for daemon in daemons:
        daemon.stop()


def upload(daemon, name, data):
    connection = UnixConnection(daemon.run / "control.sock", 60)
    try:
        try:
            connection.request("PUT", f"/models/{name}", data)
        except BrokenPipeError:
            pass  # refused before all of it was sent; the answer is there to be read
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def sentence(answer):
    """The sentence of an error: one line, for people."""
    text = answer["error"]["message"]
    assert 10 < len(text) < 600 and "\n" not in text, text
    return text


def files_below(folder):
    return sorted(str(p.relative_to(folder)) for p in pathlib.Path(folder).rglob("*")
                  if p.is_file())


# ---- models ----

def test_models_that_are_none_leave_nothing(alone, model):
    daemon = alone().start()
    before = files_below(daemon.state)
    good = model.read_bytes()
    unknown_family = good.replace(b"gemma3", b"gemmaX")
    assert unknown_family != good
    for name, data, words in [("family", unknown_family, "gemmaX"),
                              ("cut", good[:len(good) // 2], ""),
                              ("words", b"this is no model at all " * 100, ""),
                              ("none", b"", "")]:
        status, answer = upload(daemon, f"{name}.gguf", data)
        assert status in (400, 500), (name, answer)
        assert words in sentence(answer), (name, answer)
    assert daemon.good("GET", "/v1/models", socket="api")["data"] == []
    assert files_below(daemon.state) == before


def test_a_type_that_is_not_known_is_named(alone, model):
    import gguf
    daemon = alone().start()
    tensor = gguf.GGUFReader(str(model)).tensors[-1]
    data = bytearray(model.read_bytes())
    at = tensor.field.offset + 8 + len(tensor.name) + 4 + 8 * len(tensor.shape)
    data[at:at + 4] = (99).to_bytes(4, "little")
    status, answer = upload(daemon, "type.gguf", bytes(data))
    assert status == 400 and "99" in sentence(answer), answer


def tensor_field(data, tensor, offset):
    """Where eight bytes of a tensor's entry lie: its shape, or behind it its type and offset."""
    at = tensor.field.offset + 8 + len(tensor.name) + 4
    return at + (8 * len(tensor.shape) + 4 if offset else 0)


def broken_models(model):
    """name, bytes, what the refusal must say."""
    import gguf
    good, reader = model.read_bytes(), gguf.GGUFReader(str(model))
    tensor = next(t for t in reader.tensors if len(t.shape) == 2)
    for name, offset, value, words in [("far", True, 1 << 60, [tensor.name, "end"]),
                                       ("narrow", False, 7, [tensor.name, "7 columns", "32"])]:
        data = bytearray(good)
        at = tensor_field(data, tensor, offset)
        data[at:at + 8] = value.to_bytes(8, "little")
        yield name, bytes(data), words
    yield "key", good.replace(b"gemma3.block_count", b"gemma3.block_xount"), ["gemma3.block_count"]
    tokens = reader.fields["tokenizer.ggml.tokens"]
    texts = [bytes(tokens.parts[i]) for i in tokens.data]
    first, second = next((i, i + 1) for i in range(260, len(texts) - 1)
                         if len(texts[i]) == len(texts[i + 1]))
    entry = len(texts[second]).to_bytes(8, "little")
    yield ("twice", good.replace(entry + texts[second], entry + texts[first]),
           [f"tokens {first} and {second}", "equal"])


def test_what_is_wrong_with_a_model_is_said(alone, model):
    daemon = alone().start()
    for name, data, words in broken_models(model):
        assert data != model.read_bytes(), name
        status, answer = upload(daemon, f"{name}.gguf", data)
        assert status == 400 and all(w in sentence(answer) for w in words), (name, answer)


def test_a_model_that_fits_nowhere(alone, tmp_path):
    big = tiny_model(tmp_path, context=512, **{**SHAPE, "layers": 8, "embd": 512, "ff": 2048,
                                               "vocab": 8000})
    daemon = alone("--memory", "12M", "--context", "512").start()
    daemon.add_model(big)
    status, answer = daemon.ask("POST", "/v1/completions", {"prompt": "hello"}, socket="api")
    assert status == 503, answer
    assert re.search(r"memory|fit", sentence(answer)), answer
    assert daemon.good("GET", "/v1/models", socket="api")["data"]


def test_a_model_that_is_missing(home):
    status, answer = home.daemons[0].ask("POST", "/v1/completions",
                                         {"prompt": "a", "model": "nothing"}, socket="api")
    assert status == 404 and "nothing" in sentence(answer) and "tiny" in sentence(answer)


def test_a_prompt_longer_than_the_context(home):
    for daemon in home.daemons:
        status, answer = daemon.ask("POST", "/v1/completions",
                                    {"prompt": [5] * (CONTEXT + 7)}, socket="api")
        assert status == 400, answer
        assert str(CONTEXT + 7) in sentence(answer) and str(CONTEXT) in sentence(answer)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_a_full_disk(alone, tmp_path, model):
    daemon = alone()
    daemon.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5m", "none", str(daemon.state)], check=True)
    try:
        daemon.state.chmod(0o700)
        daemon.start()
        daemon.add_model(model, "first.gguf")
        first = daemon.complete("hello", ignore_eos=True)["choices"]
        status, answer = upload(daemon, "second.gguf", os.urandom(4 << 20))
        assert status == 507 and "disk" in sentence(answer), answer
        filler = daemon.state / "filler"
        with pytest.raises(OSError), open(filler, "wb", 0) as file:
            while file.write(bytes(4096)):
                pass
        changed = bytearray(model.read_bytes())
        changed[-1] ^= 1
        status, answer = upload(daemon, "third.gguf", bytes(changed))
        assert status == 507, answer
        assert daemon.complete("hello", ignore_eos=True)["choices"] == first
        filler.unlink()
        assert daemon.stop() == 0
        daemon.start()
        assert daemon.complete("hello", ignore_eos=True)["choices"] == first
    finally:
        daemon.stop()
        subprocess.run(["umount", str(daemon.state)], check=True)


# ---- files of the daemon's own ----

def refused_start(daemon):
    done = subprocess.run(daemon.command, capture_output=True, text=True, timeout=60)
    assert done.returncode not in (0, None) and done.returncode > 0, done
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", ["identity.key", "roster.bin"])
def test_a_broken_state_file_stays_as_it_is(alone, name):
    daemon = alone().start()
    assert daemon.stop() == 0
    path = daemon.state / name
    good = path.read_bytes()
    newer = good[:8] + (9).to_bytes(4, "little") + good[12:]
    for bad, words in [(good[:-1] + bytes([good[-1] ^ 1]), name),
                       (good[:20] + bytes([good[20] ^ 64]) + good[21:], name),
                       (good[:10], name), (b"", name), (newer, "newer primad")]:
        path.write_bytes(bad)
        said = refused_start(daemon)
        assert words in said and str(path) in said, said
        assert path.read_bytes() == bad
    path.write_bytes(good)
    daemon.start()


# ---- what a holder gives ----

def test_a_corrupted_chunk_is_never_loaded(tmp_path, model):
    with LoopbackHome(tmp_path, 2, ["--context", "512", "--threads", "1"]) as home:
        giver, taker = home.daemons
        giver.add_model(model)
        stored = next((giver.state / "store").glob("*/model.gguf"))
        data = bytearray(stored.read_bytes())
        for at in range(len(data) // 2, len(data), 4096):
            data[at] ^= 4
        with open(stored, "r+b") as file:
            file.write(data)
        chief = wait_for("a planner", lambda: next(
            (d for d in home.daemons if d.status()["planner"] == d.name), None))
        wanted = {"model": "tiny", "commit": True, "pin": {"layers": {taker.name: 4},
                                                           "head": taker.name}}
        wait_for("the plan is taken", lambda: chief.ask("POST", "/plan", wanted)[0] == 200)
        for asked in (taker, giver):
            started = time.monotonic()
            status, answer = asked.ask("POST", "/v1/completions", {"prompt": "hello"}, socket="api")
            assert status >= 500, answer
            assert time.monotonic() - started < 10 * SLOW
            for word in (giver.name, "tiny", "damaged", "primactl model rm"):
                assert word in sentence(answer), (word, answer)
            states = [p["state"] for d in taker.status()["deployments"] for p in d["parts"]]
            assert "ready" not in states, states
        giver.good("DELETE", "/models/tiny")
        giver.add_model(model)
        assert taker.complete("hello", ignore_eos=True)["usage"]["completion_tokens"] == 16


# ---- clients ----

def idle(home):
    return all(not d.status()["requests"] for d in home.daemons)


def send(daemon, body):
    connection = UnixConnection(daemon.run / "api.sock", 60)
    connection.request("POST", "/v1/completions", json.dumps(body),
                       {"Content-Type": "application/json"})
    return connection


@pytest.mark.parametrize("body", [
    {"prompt": "a", "max_tokens": 8000, "stream": True},
    {"prompt": "a", "max_tokens": 8000},
    {"prompt": [5, 6, 7, 8] * 2000, "max_tokens": 100, "chunk_rows": 1},
], ids=["streamed", "whole", "long prompt"])
@pytest.mark.parametrize("asked", [0, 1])
def test_a_client_that_goes_away(home, body, asked):
    wait_for("all idle", lambda: idle(home))
    connection = send(home.daemons[asked], {**body, "ignore_eos": True})
    wait_for("it runs", lambda: not idle(home))
    time.sleep(0.2)
    assert not idle(home), "too quick to be left"
    connection.close()
    wait_for("all idle again", lambda: idle(home), 3)
    assert home.daemons[0].complete("hello")["usage"]["completion_tokens"] > 0


def test_a_client_that_does_not_read_is_cancelled(home):
    connection = send(home.daemons[0], {"prompt": "a", "max_tokens": 8000, "ignore_eos": True,
                                        "stream": True, "return_tokens": True})
    wait_for("it runs", lambda: not idle(home))
    wait_for("it was cancelled or done", lambda: idle(home), 60)
    connection.close()


def test_too_many_are_told_to_wait(home):
    """Each needs the whole context, so one runs and sixteen wait."""
    body = {"prompt": "a", "max_tokens": CONTEXT - 16, "ignore_eos": True}
    waiting = [send(home.daemons[0], body) for _ in range(17)]
    wait_for("all wait", lambda: len(home.daemons[0].status()["requests"]) == 17)
    more = [send(home.daemons[0], body) for _ in range(4)]
    others = [send(home.daemons[1], body) for _ in range(4)]
    refused = wait_for("some are refused", lambda: select.select(
        [connection.sock for connection in more], [], [], 0)[0])
    response = next(c for c in more if c.sock is refused[0]).getresponse()
    answer = json.loads(response.read())
    wait_for("the other device's wait", lambda: len(home.daemons[1].status()["requests"]) == 4)
    assert not select.select([c.sock for c in others], [], [], 0.5)[0], "one device filled the queue"
    for connection in waiting + more + others:
        connection.close()
    wait_for("all idle", lambda: idle(home), 10)
    assert response.status == 429 and "16 wait" in sentence(answer), answer
    assert home.daemons[1].complete("hello")["usage"]["completion_tokens"] > 0


def footprint(daemon):
    folder = pathlib.Path(f"/proc/{daemon.process.pid}")
    resident = int(re.search(r"VmRSS:\s*(\d+)", (folder / "status").read_text())[1])
    return resident, len(os.listdir(folder / "fd"))


def test_a_thousand_requests_leave_nothing(home):
    def ask(count):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda i: home.daemons[i % 2].complete("ab", max_tokens=2), range(count)))
        wait_for("all idle", lambda: idle(home))

    ask(200)
    before = [footprint(d) for d in home.daemons]
    ask(1000)
    for (resident, files), daemon in zip(before, home.daemons):
        now_resident, now_files = footprint(daemon)
        assert now_files <= files + 2, daemon.name
        assert now_resident < resident + 4096, f"{daemon.name} grew {now_resident - resident} KiB"


def test_stop_strings_seeds_and_lengths(home):
    ask = lambda **fields: home.daemons[1].complete("hello", ignore_eos=True, **fields)
    whole = ask(max_tokens=24)
    text = whole["choices"][0]["text"]
    assert whole["usage"]["completion_tokens"] == 24
    assert whole["choices"][0]["finish_reason"] == "length"
    stop = text[len(text) // 2:len(text) // 2 + 2]
    cut = ask(max_tokens=24, stop=[stop])["choices"][0]
    assert cut["text"] == text[:text.index(stop)] and cut["finish_reason"] == "stop"
    drawn = [ask(max_tokens=24, temperature=1, seed=s)["choices"][0]["text"] for s in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
