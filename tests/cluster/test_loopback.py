"""Two and three daemons on loopback: pairing, planning, transfer, answers. Runs under sanitizers."""
import concurrent.futures

import pytest

from daemons import Daemon, LoopbackHome, free_port, join, tiny_model, wait_for

LAYERS = 6


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model"), family="gemma3", type="Q8_0",
                      layers=LAYERS, embd=64, heads=4, heads_kv=2, head=16, ff=128, vocab=300,
                      context=512, tokenizer="spm")


@pytest.fixture(scope="module")
def home(tmp_path_factory, model):
    with LoopbackHome(tmp_path_factory.mktemp("home"), 3, ["--context", "512", "--kv-cache", "f16, sharing:q8_0"]) as home:
        home.daemons[0].add_model(model)
        for daemon in home.daemons:
            wait_for("the model is known", lambda d=daemon: d.good("GET", "/v1/models",
                                                                   socket="api")["data"])
        yield home


def planner(home):
    name = wait_for("a planner", lambda: home.daemons[0].status()["planner"])
    return next(d for d in home.daemons if d.name == name)


def pin(home, layers, model="tiny", **more):
    """Commits a pinned plan and waits until every device serves it."""
    chief = planner(home)

    def try_it():
        status, answer = chief.ask("POST", "/plan", {"model": model, "commit": True,
                                                     "pin": {"layers": layers, **more}})
        return status == 200 and answer

    wait_for("the plan is taken", try_it)
    expected = {name: n for name, n in layers.items() if n}

    def serves(daemon):
        for deployment in daemon.status()["deployments"]:
            got = {d["name"]: d["layers"] for d in deployment["plan"]["devices"] if d["layers"]}
            if got == expected and deployment["plan"]["pinned"]:
                return all(p["state"] == "ready" for p in deployment["parts"])
        return False

    for daemon in home.daemons:
        wait_for(f"{daemon.name} sees the plan ready", lambda d=daemon: serves(d))


def kv_types(home):
    return {deployment["plan"]["kv_type"] for daemon in home.daemons
            for deployment in daemon.status()["deployments"]}


def text_of(answer):
    return answer["choices"][0]["text"]


def test_everybody_may_be_asked(home):
    answers = [d.complete("hello") for d in home.daemons]
    assert len({text_of(a) for a in answers}) == 1
    assert answers[0]["usage"]["completion_tokens"] == 16 or \
        answers[0]["choices"][0]["finish_reason"] == "stop"


def test_any_split_gives_the_same_text(home):
    prompts = ["hello", "one two three " * 20, "x", [5, 6, 7, 8, 9, 10]]
    settings = [{}, {"temperature": 1.0, "seed": 7, "top_k": 20}]
    reference = None
    for layers, more in [({"device0": 6}, {"head": "device0"}),
                         ({"device0": 1, "device1": 4, "device2": 1}, {"head": "device1"}),
                         ({"device0": 2, "device1": 2, "device2": 2},
                          {"rounds": 2, "head": "device2"}),
                         ({"device1": 5, "device2": 1}, {"head": "device0"})]:
        pin(home, layers, **more)
        texts = [text_of(home.daemons[0].complete(p, ignore_eos=True, **s))
                 for p in prompts for s in settings]
        reference = reference or texts
        assert texts == reference, (layers, more)
    assert kv_types(home) == {"f16"}


def test_layers_that_share_what_rows_carry(home, tmp_path):
    """A model whose last layers read keys and values of earlier ones, and whose layers are told of
    the token: wherever it is cut, rows carry what is needed."""
    path = tiny_model(tmp_path, family="gemma4-e", type="Q8_0", layers=LAYERS, shared_kv=3, token=32,
                      embd=64, heads=4, head=32, ff=64, vocab=300, context=512, tokenizer="spm")
    home.daemons[0].add_model(path.rename(tmp_path / "sharing.gguf"))
    reference = None
    for layers, more in [({"device0": 6}, {"head": "device0"}),
                         ({"device0": 2, "device1": 3, "device2": 1}, {"head": "device1"}),
                         ({"device0": 2, "device1": 2, "device2": 2},
                          {"rounds": 2, "head": "device2"})]:
        pin(home, layers, model="sharing", **more)
        texts = [text_of(home.daemons[0].complete(p, model="sharing", ignore_eos=True))
                 for p in ("hello", "one two three " * 20)]
        reference = reference or texts
        assert texts == reference, (layers, more)
    assert kv_types(home) == {"q8_0"}  # as the setting says of this model
    for daemon in home.daemons:
        daemon.ask("DELETE", "/models/sharing")
    wait_for("the model is forgotten", lambda: all(
        len(d.good("GET", "/v1/models", socket="api")["data"]) == 1 for d in home.daemons))


def test_four_at_once_equal_their_solo_answers(home):
    pin(home, {"device0": 2, "device1": 2, "device2": 2}, head="device0")
    prompts = ["alpha " * 30, "beta " * 30, "gamma " * 30, "delta " * 30]
    solo = [text_of(home.daemons[0].complete(p, max_tokens=24, ignore_eos=True)) for p in prompts]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda i: home.daemons[i % 3].complete(
            prompts[i], max_tokens=24, ignore_eos=True), range(4)))
    assert [text_of(a) for a in answers] == solo
    assert max(a["primad"]["flights_together_max"] for a in answers) >= 2


def test_a_wrong_code_admits_nobody(home, tmp_path):
    peers = [f"127.0.0.1:{d.port}" for d in home.daemons]
    stranger = Daemon(tmp_path, "stranger", free_port(), peers).start()
    try:
        code = home.daemons[0].good("POST", "/invite", {})["code"]
        wrong = f"{(int(code) + 1) % 1000000:06d}"
        where = f"127.0.0.1:{home.daemons[0].port}"
        status, answer = stranger.ask("POST", "/join", {"home": where, "code": wrong})
        assert status in (400, 403), answer
        assert len(home.daemons[0].status()["home"]["members"]) == 3
        join(home.daemons[0], stranger)
        wait_for("four alive", lambda: len(home.daemons[1].alive_members()) == 4)
        stranger.good("POST", "/leave")
        wait_for("three members", lambda: all(
            len(d.status()["home"]["members"]) == 3 for d in home.daemons))
    finally:
        stranger.stop()


def test_restarted_daemons_find_each_other_again(home):
    for daemon in home.daemons:
        assert daemon.stop() == 0
    for daemon in home.daemons:
        daemon.start()
    home.wait_together()
    assert text_of(home.daemons[2].complete("hello"))
