"""An avahi-daemon that hangs: it neither answers nor goes away. Nobody here waits for it."""
import json
import os
import pathlib
import signal
import time

import pytest

from daemons import UnixConnection
from home import wait_for


@pytest.fixture(scope="module")
def desk(make_home):
    desk = make_home("desk")["desk"]
    desk.start()
    wait_for(lambda: check(desk, "avahi")["ok"], 20, "it is announced")
    return desk


def ask(host, method, path, body=None, seconds=5):
    """The answer, and how long it took."""
    connection = UnixConnection(host.run / "control.sock", seconds)
    started = time.monotonic()
    try:
        connection.request(method, path, None if body is None else json.dumps(body),
                           {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.status == 200, response.read()
        return json.loads(response.read() or b"null"), time.monotonic() - started
    finally:
        connection.close()


def check(host, name):
    return next(c for c in ask(host, "GET", "/doctor")[0]["checks"] if c["name"] == name)


def avahi_of(host):
    """The process of the avahi-daemon that shares this host's network."""
    network = os.stat(f"/proc/{host.daemon.pid}/ns/net").st_ino
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "comm").read_text().strip() == "avahi-daemon" and \
                    os.stat(folder / "ns/net").st_ino == network:
                return int(folder.name)
        except OSError:
            continue
    raise AssertionError("no avahi-daemon")


def test_nobody_waits_for_it(desk):
    avahi = avahi_of(desk)
    os.kill(avahi, signal.SIGSTOP)
    try:
        invited, seconds = ask(desk, "POST", "/invite", {})  # changes what is published
        assert invited["code"] and seconds < 2
        for _ in range(10):
            assert ask(desk, "GET", "/status")[1] < 2
            time.sleep(0.1)
    finally:
        os.kill(avahi, signal.SIGCONT)
    wait_for(lambda: check(desk, "avahi")["ok"], 60, "it is announced again")


def test_the_daemon_stops_all_the_same(desk):
    avahi = avahi_of(desk)
    os.kill(avahi, signal.SIGSTOP)
    try:
        ask(desk, "POST", "/invite", {})
        time.sleep(0.5)
        started = time.monotonic()
        assert desk.stop(15) == 0
        assert time.monotonic() - started < 10
    finally:
        os.kill(avahi, signal.SIGCONT)
