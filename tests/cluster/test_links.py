"""What devices know of each other's links and power, and a network without IPv4."""
import json
import os

import pytest

from daemons import LoopbackHome, UnixConnection, tiny_model
from daemons import wait_for as wait
from home import wait_for

SHAPE = dict(family="gemma3", type="Q8_0", layers=4, embd=64, heads=4, heads_kv=2, head=16, ff=128,
             vocab=300, tokenizer="spm", context=512)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model"), **SHAPE)


def ask(host, method, path, body=None, socket="control", timeout=60):
    connection = UnixConnection(host.run / f"{socket}.sock", timeout)
    try:
        connection.request(method, path, None if body is None else json.dumps(body),
                           {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"null")
    finally:
        connection.close()


def good(host, method, path, body=None, **options):
    status, answer = ask(host, method, path, body, **options)
    assert status == 200, f"{host.name} {path}: {status} {answer}\n{host.log_text()[-1500:]}"
    return answer


def join(member, newcomer):
    code = good(member, "POST", "/invite", {})["code"]
    home = wait_for(lambda: good(newcomer, "GET", "/homes")["homes"], 20, "a home is seen")[0]
    good(newcomer, "POST", "/join", {"home": home["address"], "code": code})
    return home["address"]


def together(hosts):
    for host in hosts:
        wait_for(lambda h=host: {m["name"] for m in good(h, "GET", "/status")["home"]["members"]
                                 if m["state"] == "alive"} == {h.name for h in hosts},
                 30, f"{host.name} sees all")


def upload(host, path):
    connection = UnixConnection(host.run / "control.sock", 60)
    with open(path, "rb") as file:
        connection.request("PUT", f"/models/{path.name}", file,
                           {"Content-Length": str(os.path.getsize(path))})
        assert connection.getresponse().status == 200


def complete(host):
    return good(host, "POST", "/v1/completions", {
        "prompt": "hello", "max_tokens": 8, "temperature": 0, "ignore_eos": True}, socket="api")


def holders(host):
    return {d["name"] for deployment in good(host, "GET", "/status")["deployments"]
            for d in deployment["plan"]["devices"] if d["layers"]}


# ---- rates ----

def test_an_idle_pair_measures_its_link(tmp_path):
    """Nothing was ever transferred: a probe tells, and gossip tells the others."""
    with LoopbackHome(tmp_path, 2, ["--threads", "1"]) as home:
        def rates(daemon):
            return {device["name"]: [link["bytes_per_s"] for link in device["links"]]
                    for device in daemon.status()["devices"]}

        for daemon in home.daemons:
            known = wait(f"{daemon.name} knows both rates", lambda d=daemon: (
                lambda r: len(r) == 2 and all(len(v) == 1 and v[0] > 0 for v in r.values()) and r)(
                    rates(d)), 60)
            assert all(1e6 < v[0] < 1e12 for v in known.values()), known


# ---- power ----

@pytest.fixture
def supply(tmp_path):
    """Makes a host believe in a battery that drains, or in mains."""
    def put(host, online):
        folder = tmp_path / f"power-{host.name}"
        for name, files in {"AC": {"type": "Mains", "online": str(int(online))},
                            "BAT0": {"type": "Battery",
                                     "status": "Charging" if online else "Discharging"}}.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            for file, text in files.items():
                (folder / name / file).write_text(text + "\n")
        host.exec("mount", "--bind", folder, "/sys/class/power_supply", check=False)
        return folder

    return put


@pytest.mark.skipif(not os.path.isdir("/sys/class/power_supply"), reason="no such folder here")
def test_a_device_on_battery_rests_where_others_suffice(make_home, supply, model):
    desk, laptop = hosts = list(make_home("desk", "laptop"))

    def start():
        for host in hosts:
            host.start("--context", "512", "--threads", "1")

    def plans(name):  # who plans goes on planning: all begin anew
        for host in hosts:
            wait_for(lambda h=host: len(good(h, "GET", "/status")["devices"]) == 2, 60,
                     f"{host.name} knows what both can do")
        for host in hosts:
            host.stop()
        start()
        for host in hosts:
            wait_for(lambda h=host: good(h, "GET", "/status")["planner"] == name, 40,
                     f"{host.name} takes {name} for the planner")

    supply(desk, online=False)
    supply(laptop, online=True)
    start()
    join(laptop, desk)
    together(hosts)
    plans("laptop")
    supply(desk, online=True)
    supply(laptop, online=False)
    plans("desk")
    upload(laptop, model)
    assert complete(laptop)["usage"]["completion_tokens"] == 8
    assert holders(desk) == {"desk"}
    resting = "the others can do without it"
    told = json.dumps(good(desk, "POST", "/plan", {"model": "tiny"}))
    assert resting in told, told
    # who asks for it by name gets it
    told = json.dumps(good(desk, "POST", "/plan", {
        "model": "tiny", "pin": {"layers": {"laptop": 4}, "head": "laptop"}}))
    assert "It runs on battery." in told, told
    supply(laptop, online=True)  # the files change where they are
    wait_for(lambda: resting not in json.dumps(good(desk, "POST", "/plan", {"model": "tiny"})), 60,
             "the laptop is asked like any other on mains")


@pytest.mark.skipif(not os.path.isdir("/sys/class/power_supply"), reason="no such folder here")
def test_a_home_on_battery_answers(make_home, supply, model):
    hosts = list(make_home("phone", "tablet"))
    for host in hosts:
        supply(host, online=False)
        host.start("--context", "512", "--threads", "1")
    join(*hosts)
    together(hosts)
    upload(hosts[0], model)
    assert complete(hosts[1])["usage"]["completion_tokens"] == 8
    devices = good(hosts[0], "GET", "/status")["devices"]
    assert [device["power"] for device in devices] == ["battery"] * 2, devices


# ---- addresses ----

def test_a_network_without_ipv4(make_home, model):
    hosts = list(make_home("one", "two"))
    for host in hosts:
        links = json.loads(host.exec("ip", "-j", "-4", "address", "show").stdout)
        for link in links:
            if link["ifname"] != "lo":
                host.exec("ip", "-4", "address", "flush", "dev", link["ifname"])
        host.services("avahi-stop")  # it would go on with the addresses that it had
        host.services("avahi-start")
        host.start("--context", "512", "--threads", "1")
    address = join(*hosts)
    assert address.startswith("[fe80::"), address
    together(hosts)
    upload(hosts[0], model)
    body = {"model": "tiny", "commit": True, "pin": {"layers": {"one": 2, "two": 2}, "head": "one"}}
    wait_for(lambda: any(ask(h, "POST", "/plan", body)[0] == 200 for h in hosts), 40, "a plan")
    assert complete(hosts[1])["usage"]["completion_tokens"] == 8
    assert holders(hosts[1]) == {"one", "two"}
