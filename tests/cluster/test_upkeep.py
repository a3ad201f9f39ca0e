"""What people do with their models and devices over time: remove what is in use, use two models in
turn, ask whether all is well."""
import concurrent.futures
import json
import subprocess
import time

import pytest

from daemons import BUILD, SLOW, Daemon, LoopbackHome, UnixConnection, free_port, tiny_model, wait_for

SHAPE = dict(family="gemma3", type="Q8_0", layers=4, embd=64, heads=4, heads_kv=2, head=16, ff=128,
             vocab=300, tokenizer="spm", context=8192)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model"), **SHAPE)


@pytest.fixture
def alone(tmp_path):
    daemon = Daemon(tmp_path, "alone", free_port(), flags=("--threads", "1", "--context", "8192"))
    yield daemon.start()
    daemon.stop()


@pytest.fixture
def pair(tmp_path, model):
    with LoopbackHome(tmp_path, 2, ["--context", "8192", "--threads", "1"]) as home:
        home.daemons[0].add_model(model)
        yield home.daemons


def send(daemon, **fields):
    connection = UnixConnection(daemon.run / "api.sock", 120)
    connection.request("POST", "/v1/completions", json.dumps(
        {"prompt": "hello", "temperature": 0, "ignore_eos": True, **fields}),
        {"Content-Type": "application/json"})
    return connection


def answer_of(connection):
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def primactl(daemon, *words):
    return subprocess.run([str(BUILD / "daemon" / "primactl"), "--run", str(daemon.run), *words],
                          capture_output=True, text=True, timeout=60)


def commit(daemons, model, layers, head):
    chief = wait_for("a planner", lambda: next(
        (d for d in daemons if d.status()["planner"] == d.name), None))
    wanted = {"model": model, "commit": True, "pin": {"layers": layers, "head": head}}
    wait_for("the plan is taken", lambda: chief.ask("POST", "/plan", wanted)[0] == 200)


# ---- asking what would be ----

def test_a_plan_beside_the_papers(pair, model):
    for daemon in pair:
        wait_for("both are measured and know the model", lambda d=daemon: len([
            device for device in d.status()["devices"] if device["backends"]]) == 2 and
            d.good("GET", "/v1/models", socket="api")["data"])
    for daemon in pair:  # who plans, and who does not
        done = primactl(daemon, "plan", "tiny", "--paper", "--json")
        assert done.returncode == 0, done
        answer = json.loads(done.stdout)
        for plan in answer["plan"], answer["paper"]:
            assert sum(device["layers"] for device in plan["devices"]) == SHAPE["layers"], plan
            assert {device["name"] for device in plan["devices"]} == {d.name for d in pair}, plan
        turns = next(line for line in answer["text"].splitlines() if line.startswith("turn of"))
        ours, papers = (float(word) for word in turns.split()[6::2])
        assert ours <= papers * 1.001, turns
        done = primactl(daemon, "plan", "tiny", "--paper")
        assert done.returncode == 0 and "the paper's method" in done.stdout, done
        done = primactl(daemon, "plan", "none", "--paper")
        assert done.returncode == 1 and "none" in done.stderr, done
        assert not daemon.status()["deployments"]  # a question puts nothing in force


# ---- removing what is in use ----

def test_a_deployed_model_is_removed(alone, model):
    alone.add_model(model)
    first = alone.complete("hello", ignore_eos=True)["choices"]
    assert alone.status()["deployments"]
    done = primactl(alone, "model", "rm", "tiny")
    assert done.returncode == 0, done
    assert alone.good("GET", "/v1/models", socket="api")["data"] == []
    assert not alone.status()["deployments"]
    assert not list((alone.state / "store").glob("*/model.gguf"))
    assert alone.ask("DELETE", "/models/tiny")[0] == 404
    alone.add_model(model)
    assert alone.complete("hello", ignore_eos=True)["choices"] == first


def test_a_model_that_answers_is_not_removed(alone, model):
    alone.add_model(model)
    running = send(alone, max_tokens=8000, stream=True)
    wait_for("it runs", lambda: any(r["state"] == "running" for r in alone.status()["requests"]))
    status, answer = alone.ask("DELETE", "/models/tiny")
    assert status in (409, 429, 503) and "ended" in answer["error"]["message"], answer
    running.close()
    wait_for("it is idle", lambda: not alone.status()["requests"])
    wait_for("it can be removed", lambda: alone.ask("DELETE", "/models/tiny")[0] == 200)


def test_a_copy_that_a_plan_uses_is_removed(pair):
    giver, taker = pair
    commit(pair, "tiny", {taker.name: 4}, taker.name)
    first = giver.complete("hello", ignore_eos=True)["choices"]
    taker.good("DELETE", "/models/tiny")
    for daemon in pair:
        wait_for(f"{daemon.name} knows no plan", lambda d=daemon: not d.status()["deployments"])
    assert giver.complete("hello", ignore_eos=True)["choices"] == first  # planned and fetched anew


# ---- two models ----

def test_two_models_wanted_all_the_time_take_turns(pair, tmp_path):
    """Four clients never leave the one without a request; the other gets its turn all the same,
    and so does the first again."""
    other = tiny_model(tmp_path, **{**SHAPE, "layers": 3, "seed": 7})
    pair[0].add_model(other, "other.gguf")
    pair[0].complete("hello", model="tiny")
    served = {"tiny": 0, "other": 0}
    until = time.monotonic() + 25 * SLOW

    def keep_asking(daemon, name):
        while time.monotonic() < until:
            daemon.complete("hello", model=name, max_tokens=200, ignore_eos=True)
            served[name] += 1

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        asking = [pool.submit(keep_asking, pair[i % 2], name)
                  for i, name in enumerate(("tiny", "tiny", "other", "tiny", "tiny", "other"))]
        for future in asking:
            future.result()
    assert min(served.values()) >= 4, served
    plans = sum(line.count("deployment plan epoch=") for line in pair[0].log.read_text().splitlines())
    assert plans >= 4, "they did not take turns"


# ---- is all well ----

def test_a_home_of_one_is_healthy(alone, model):
    alone.add_model(model)
    done = primactl(alone, "doctor")
    assert done.returncode == 0, done.stdout
    assert "!!" not in done.stdout
    alone.good("DELETE", "/models/tiny")
    done = primactl(alone, "doctor")
    assert done.returncode != 0 and "primactl model add" in done.stdout, done.stdout
