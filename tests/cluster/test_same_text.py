"""The same text from three hosts as from one: the real model, pinned plans, token ids compared, and
the hidden states that crossed the encrypted ring.

Three daemons on hosts of their own hold the model in splits that nobody would choose, and answer
the prompts of tests/vectors/prompts.json; the token ids must be those of one device that holds it
all. By default each prompt is asked under one of the plans, greedily or drawn with a seed; with
PRIMAD_HEAVY=1 each under every plan, both ways. PRIMAD_TEST_MODEL names the model.

The states are those in the flights that the daemons sealed, taken before sealing (flights.py); each
must have the bits that one process computes for the same tokens at the same boundary.

All this takes longer than an invitation lasts: a guest waits meanwhile with a code that gets old."""
import concurrent.futures
import json
import os
import subprocess
import time

import numpy
import pytest

import flights
from daemons import ROOT, UnixConnection
from home import BUILD, binary, wait_for

MODEL = os.environ.get("PRIMAD_TEST_MODEL")
HEAVY = os.environ.get("PRIMAD_HEAVY") == "1"
PROMPTS = json.loads((ROOT / "tests" / "vectors" / "prompts.json").read_text())
COUNT = 64
TOGETHER = 4
CODE_LASTS_S = 120  # DEADLINE_INVITE_MS
SETTINGS = [{"temperature": 0}, {"temperature": 0.9, "top_p": 0.95, "top_k": 100, "seed": 11}]
# Layers of 18 for each host, then what else is pinned, and the rows of a prompt's chunks (0: the
# plan's own).
PLANS = [
    ({"desk": 1, "laptop": 14, "tablet": 3}, {"head": "laptop"}, 0),
    ({"desk": [[0, 2], [10, 11]], "laptop": [[2, 9], [11, 12]], "tablet": [[9, 10], [12, 18]]},
     {"rounds": 2, "head": "tablet"}, 7),
    ({"desk": 5, "laptop": 6, "tablet": 7},
     {"head": "desk", "order": ["tablet", "desk", "laptop"]}, 64),
]
# Whose states are compared: one layer after the other on another device, so that every boundary
# crosses the wire (the head is neither first nor last, so that the first and the last do too); and
# an uneven round.
LAYERS = 18
STATE_PLANS = [
    ({name: [[layer, layer + 1] for layer in range(first, LAYERS, 3)]
      for first, name in enumerate(("desk", "laptop", "tablet"))},
     {"rounds": 6, "head": "laptop"}, 64, list(range(LAYERS + 1))),
    ({"desk": 1, "laptop": 14, "tablet": 3}, {"head": "desk"}, 0, [1, 15, 18]),
]
WINDOW = 512  # tokens that a sliding layer looks back

pytestmark = pytest.mark.skipif(not MODEL and not os.environ.get("CI"),
                                reason="PRIMAD_TEST_MODEL names no model")


def ask(host, method, path, body, socket="control"):
    connection = UnixConnection(host.run / f"{socket}.sock", 600)
    try:
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def add_model(host):
    connection = UnixConnection(host.run / "control.sock", 600)
    with open(MODEL, "rb") as file:
        connection.request("PUT", "/models/gemma.gguf", file,
                           {"Content-Length": str(os.path.getsize(MODEL))})
        response = connection.getresponse()
        answer = response.read()
    connection.close()
    assert response.status == 200, answer


def tokens_of(host, prompt, setting, chunk):
    body = {"prompt": prompt["text"], "max_tokens": COUNT, "ignore_eos": True,
            "return_tokens": True, **setting, **({"chunk_rows": chunk} if chunk else {})}
    status, answer = ask(host, "POST", "/v1/completions", body, "api")
    assert status == 200, (prompt["name"], answer)
    tokens = answer["choices"][0]["tokens"]
    assert len(tokens) == COUNT, prompt["name"]
    return tokens


def invite(host):
    return json.loads(host.ctl("invite", "--json").stdout)["code"]


def join(newcomer, member, code):
    return ask(newcomer, "POST", "/join", {"home": f"{member.address}:47600", "code": code})


def members(host):
    return len([m for m in host.json("status")["home"]["members"] if m["state"] == "alive"])


def serves(host, layers, more):
    counts = {name: own if isinstance(own, int) else sum(end - first for first, end in own)
              for name, own in layers.items()}
    for deployment in host.json("status")["deployments"]:
        plan = deployment["plan"]
        held = {d["name"]: d["layers"] for d in plan["devices"] if d["layers"]}
        if plan["pinned"] and held == counts and plan["head"] == more["head"] and \
                plan["rounds"] == more.get("rounds", 1) and \
                all(p["state"] == "ready" for p in deployment["parts"]):
            return plan
    return None


def pin(hosts, layers, more):
    chief = wait_for(lambda: next((h for h in hosts if h.json("status")["planner"] == h.name),
                                  None), 30, "a planner")
    wanted = {"model": "gemma", "commit": True, "pin": {"layers": layers, **more}}
    wait_for(lambda: ask(chief, "POST", "/plan", wanted)[0] == 200, 60, "the plan is taken")
    for host in hosts:
        plan = wait_for(lambda h=host: serves(h, layers, more), 120,
                        f"{host.name} serves the plan")
    return plan


def questions(number):
    """(prompt, setting) for the plan of this number."""
    every = [(prompt, setting) for prompt in PROMPTS for setting in SETTINGS]
    return every if HEAVY else [every[2 * i + (i // len(PLANS)) % 2]
                                for i in range(number, len(PROMPTS), len(PLANS))]


def answers(hosts, asked, chunk):
    """All answers, TOGETHER at a time, every host asked in turn."""
    with concurrent.futures.ThreadPoolExecutor(TOGETHER) as pool:
        return list(pool.map(lambda pair: tokens_of(hosts[pair[0] % len(hosts)], *pair[1], chunk),
                             enumerate(asked)))


@pytest.fixture(scope="module")
def hosts(make_home):
    home = make_home("desk", "laptop", "tablet", "guest")
    hosts = list(home)[:3]
    hosts[0].guest = home["guest"]
    shim = next(BUILD.glob("tests/tools/libplaindump.so"))
    for host, threads in zip(hosts, (2, 1, 1)):
        host.dump = host.folder / "flights"
        host.start("--threads", threads, "--context", 1024,
                   env={"LD_PRELOAD": str(shim), "PLAINDUMP_FILE": str(host.dump),
                        "PLAINDUMP_TYPE": str(flights.MESSAGE_FLIGHT)})
    for host in hosts[1:]:
        status, answer = join(host, hosts[0], invite(hosts[0]))
        assert status == 200, answer
    for host in hosts:
        wait_for(lambda h=host: members(h) == 3, 30, "three members")
    add_model(hosts[0])
    return hosts


@pytest.fixture(scope="module")
def old_code(hosts):
    """(code, when it was made) of an invitation that nobody takes."""
    return invite(hosts[0]), time.monotonic()


@pytest.mark.usefixtures("old_code")
def test_three_hosts_say_what_one_says(hosts):
    pin(hosts, {"desk": 18}, {"head": "desk"})
    expected = [answers(hosts[:1], questions(number), 0) for number in range(1 if HEAVY else 3)]
    for number, (layers, more, chunk) in enumerate(PLANS):
        start = time.monotonic()
        pin(hosts, layers, more)
        asked = questions(number)
        got = answers(hosts, asked, chunk)
        for (prompt, setting), one, three in zip(asked, expected[0 if HEAVY else number], got):
            assert one == three, (prompt["name"], setting, layers)
        print(f"plan {number}: {len(got)} answers, {time.monotonic() - start:.0f} s")


def states_of_one(tokens, folder):
    """f32 [LAYERS + 1, tokens, n_embd]: what one process computes at each boundary."""
    path = folder / "hidden"
    subprocess.run([binary("logits"), "-H", path, "-f", str(len(tokens) - 1), MODEL,
                    ",".join(map(str, tokens))], check=True, capture_output=True)
    return numpy.fromfile(path, "<f4").reshape(LAYERS + 1, len(tokens), -1)


def sealed_flights(hosts, offsets):
    return [flight for host in hosts if host.dump.exists()
            for flight in flights.read(host.dump, offsets[host])]


def long_prompt(host):
    text = "\n".join(p["text"] for p in PROMPTS if p["name"].startswith("long"))
    done = host.ctl("tokenize", "--model", MODEL, "--bos", "--json", input=text)
    tokens = json.loads(done.stdout)[:WINDOW + 140]
    assert len(tokens) == WINDOW + 140
    return tokens


def differing(sealed, boundaries, states):
    """The (boundary, position) of each row whose bits are not those of `states`; and which rows
    there were, once each."""
    wrong, seen = [], []
    for flight in sealed:
        boundary = boundaries[flight.stage]
        for (_, position), row in zip(flight.rows, flight.states):
            seen.append((boundary, position))
            if row.tobytes() != states[boundary, position].tobytes():
                wrong.append(seen[-1])
    return wrong, sorted(seen)


@pytest.mark.parametrize("layers, more, chunk, crossed", STATE_PLANS)
def test_the_states_on_the_wire_are_those_of_one(hosts, tmp_path, layers, more, chunk, crossed):
    plan = pin(hosts, layers, more)
    boundaries = [stage["first_layer"] for stage in plan["stages"]] + [LAYERS]
    prompt = long_prompt(hosts[0])
    offsets = {h: h.dump.stat().st_size if h.dump.exists() else 0 for h in hosts}
    answer = tokens_of(hosts[2], {"name": "long", "text": prompt}, SETTINGS[1], chunk)
    tokens = prompt + answer[:-1]  # nobody computes the last one's states
    states = states_of_one(tokens, tmp_path)
    sealed = sealed_flights(hosts, offsets)
    wrong, seen = differing(sealed, boundaries, states)
    assert seen == [(boundary, i) for boundary in crossed for i in range(len(tokens))]
    assert not wrong, wrong[:5]
    # one bit anywhere would have been seen
    middle = len(tokens) // 2
    states.view("<u4")[crossed[1], middle, 7] ^= 1
    assert differing(sealed, boundaries, states)[0] == [(crossed[1], middle)]


def test_an_expired_code_admits_nobody(hosts, old_code):
    code, made = old_code
    guest = hosts[0].guest.start()
    time.sleep(max(0, made + CODE_LASTS_S + 1 - time.monotonic()))
    status, answer = join(guest, hosts[0], code)
    assert status in (400, 403), answer
    assert members(guest) == 1 and members(hosts[0]) == 3
    # It was for its age alone.
    status, answer = join(guest, hosts[0], invite(hosts[0]))
    assert status == 200, answer
    wait_for(lambda: members(guest) == 4, 30, "the guest is a member")
