"""The finder alone, over real Avahi daemons."""
import re
import signal
import subprocess
import time

import pytest

from home import binary, wait_for


@pytest.fixture(scope="module")
def home(make_home):
    return make_home("desk", "laptop", "tablet")


class Finder:
    """tests/tools/find in a host."""

    def __init__(self, host, *options):
        self.path = host.folder / f"find-{time.monotonic_ns()}.txt"
        with self.path.open("wb") as out:
            self.process = host.spawn(binary("find"), "--home", "h", "--id", host.name,
                                      *options, stdout=out, stderr=out)

    def lines(self):
        return self.path.read_text().splitlines()

    def wait(self, pattern, seconds=15, after=0):
        """The first line from number `after` on that matches; gives (its number + 1, match)."""
        def look():
            for number, line in enumerate(self.lines()[after:], after + 1):
                match = re.match(pattern, line)
                if match:
                    return number, match
        return wait_for(look, seconds, f"{pattern!r} in {self.lines()}")

    def stop(self):
        self.process.terminate()
        assert self.process.wait(10) == 0, self.lines()
        assert self.lines()[-1] == "closed"


def test_finders_find_each_other(home, tmp_path):
    desk, laptop = home["desk"], home["laptop"]
    capture = home.capture(tmp_path / "lan.pcap")
    first = Finder(desk, "--port", "47600", "--member", "laptop")
    second = Finder(laptop, "--port", "47601", "--member", "desk")
    stranger = Finder(home["tablet"], "--port", "47602")
    try:
        _, match = first.wait(rf"found (\w+) member laptop pairing - addresses "
                              rf"{laptop.address}:47601 \[fe80::[0-9a-f:]+%eth0\]:47601")
        name = match[1]
        second.wait(rf"found \w+ member desk .* {desk.address}:47600 \[fe80::")
        stranger.wait(rf"found {name} member - ")  # sees somebody, not whom

        second.process.send_signal(signal.SIGUSR1)  # a pairing window opens and closes
        line, _ = first.wait(rf"found {name} member laptop pairing h ")
        second.process.send_signal(signal.SIGUSR2)
        line, _ = first.wait(rf"found {name} member laptop pairing - ", after=line)

        second.stop()
        line, _ = first.wait(rf"gone {name}", after=line)
        second = Finder(laptop, "--port", "47601", "--member", "desk")
        _, match = first.wait(r"found (\w+) member laptop ", after=line)
        assert match[1] != name  # another start, another name
        capture.terminate()
        capture.wait(10)
        assert name.encode() in (tmp_path / "lan.pcap").read_bytes()
    finally:
        for finder in (first, second, stranger):
            finder.stop()


@pytest.mark.parametrize("verbs", [("avahi-stop", "avahi-start"), ("stop", "start")])
def test_avahi_may_come_late_and_restart(home, verbs):
    desk, laptop = home["desk"], home["laptop"]
    desk.services(verbs[0])
    first = Finder(desk, "--port", "47600", "--member", "laptop")
    second = Finder(laptop, "--port", "47601", "--member", "desk")
    try:
        line, _ = first.wait(r"state no_avahi: no Avahi")
        assert not any(text.startswith("found") for text in first.lines())
        desk.services(verbs[1])
        line, _ = first.wait(r"found \w+ member laptop", 40)
        seen, _ = second.wait(r"found \w+ member desk")
        desk.services(verbs[0])
        line, _ = first.wait(r"state no_avahi", after=line)
        desk.services(verbs[1])
        first.wait(r"state announced", 40, after=line)
        first.wait(r"found \w+ member laptop", 40, after=line)
    finally:
        first.stop()
        second.stop()


def test_static_peers_need_no_multicast(home):
    finder = Finder(home["desk"], "--port", "47600", "--no-mdns", "--peer",
                    f"{home['laptop'].address}:47999", "--peer", "nowhere.invalid")
    try:
        finder.wait(rf"found {home['laptop'].address}:47999 member - pairing - addresses "
                    rf"{home['laptop'].address}:47999")
        time.sleep(0.5)
        assert len(finder.lines()) == 1
    finally:
        finder.stop()


def test_two_on_one_host_and_the_cable_out(home):
    desk = home["desk"]
    first = Finder(desk, "--port", "47600", "--member", "other")
    second = Finder(desk, "--id", "other", "--port", "47601", "--member", "desk")
    try:
        line, _ = first.wait(rf"found \w+ member other .* {desk.address}:47601 .*127.0.0.1:47601$")
        desk.exec("ip", "link", "set", "eth0", "down")
        line, _ = first.wait(r"found \w+ member other pairing - addresses 127.0.0.1:47601$",
                             after=line)
        desk.exec("ip", "link", "set", "eth0", "up")
        first.wait(rf"found \w+ member other .* {desk.address}:47601 ", after=line)
    finally:
        desk.exec("ip", "link", "set", "eth0", "up")
        first.stop()
        second.stop()


def test_hostile_announcements_are_passed_over(home):
    """Only the last of these has the form of an announcement, and it is believed nothing."""
    form = ("v=1", "n=0102030405060708", "t=000102030405060708090a0b0c0d0e0f")
    announced = [("Office Printer", 5001, form), ("aaaaaaaaaa", 22, form),
                 ("bbbbbbbbbb", 5003, ("v=9", *form[1:])), ("cccccccccc", 5004, ()),
                 ("dddddddddd", 5005, ("x=" + "y" * 250,) * 4), ("e" * 40, 5006, form),
                 ("ffffffffff", 5007, (*form, "p=1", "l=come\x1b[2J in"))]
    publishers = [home["laptop"].spawn("avahi-publish", "-s", name, "_primad._tcp", port, *txt,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                  for name, port, txt in announced]
    finder = Finder(home["desk"], "--port", "47600", "--member", "laptop")
    try:
        finder.wait(r"found ffffffffff member - pairing come\?\[2J in addresses ")
        time.sleep(1)
        found = {line.split()[1] for line in finder.lines() if line.startswith("found")}
        assert found & {name for name, _, _ in announced} == {"ffffffffff"}
        assert "Office" not in found
    finally:
        finder.stop()
        for publisher in publishers:
            publisher.kill()
            publisher.wait()
