"""The testbed itself."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from home import LAN, Home, wait_for

HERE = pathlib.Path(__file__).resolve().parent


def traces(home_id):
    """All that a home may have left in the machine."""
    found = re.findall(rf"^({re.escape(home_id)}\S*)",
                       subprocess.run(["ip", "netns", "list"], capture_output=True,
                                      text=True).stdout, re.MULTILINE)
    found += [path for path in (f"/tmp/{home_id}",) if os.path.exists(path)]
    found += [str(path) for path in pathlib.Path("/sys/fs/cgroup").glob(f"**/{home_id}")]
    found += [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
              if home_id in line]
    return found


def alive(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return text.rpartition(") ")[2][0] != "Z"


@pytest.fixture(scope="module")
def home(make_home):
    return make_home("desk", "laptop", "tablet")


def test_hosts_have_their_own_network_and_name(home):
    links = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True).stdout
    assert "v1@" not in links and "br0" not in links
    for host in home:
        assert host.exec("hostname").stdout.strip() == host.name
        shown = host.exec("ip", "-br", "address", "show", "eth0").stdout
        assert host.address in shown and "fe80::" in shown


def test_hosts_see_each_others_services(home):
    home["laptop"].spawn("avahi-publish", "-s", "probe", "_probe._tcp", "4711",
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def seen():
        shown = home["desk"].exec("avahi-browse", "-trp", "_probe._tcp").stdout
        return f";{home['laptop'].address};4711;" in shown
    wait_for(seen, 10, "the published service")


def test_limits_apply(home):
    host = home["tablet"]
    host.memory(64 << 20)
    grab = "b = bytearray(int(__import__('sys').argv[1])); print(len(b))"
    assert host.exec(sys.executable, "-c", grab, str(16 << 20)).returncode == 0
    too_much = host.exec(sys.executable, "-c", grab, str(256 << 20), check=False)
    assert too_much.returncode == -signal.SIGKILL
    # Nothing else on the machine shares the host's limit.
    assert subprocess.run([sys.executable, "-c", grab, str(256 << 20)],
                          capture_output=True).returncode == 0
    host.cpu(20)
    spin = ("import time; end = time.monotonic() + 1; n = 0\n"
            "while time.monotonic() < end: n += 1\n"
            "print(time.process_time())")
    assert float(host.exec(sys.executable, "-c", spin).stdout) < 0.6


def test_a_frozen_host_stands_still(home):
    host = home["tablet"]
    count = host.spawn(sys.executable, "-uc", "import time\nwhile True: print(1); time.sleep(.01)",
                       stdout=(host.folder / "count").open("wb"))
    size = lambda: (host.folder / "count").stat().st_size
    wait_for(lambda: size() > 0)
    host.freeze()
    time.sleep(0.1)
    before = size()
    time.sleep(0.3)
    assert size() == before
    host.thaw()
    wait_for(lambda: size() > before)
    count.kill()


def test_an_unplugged_host_comes_back(home):
    desk, laptop = home["desk"], home["laptop"]
    reach = lambda: subprocess.run(
        ["sh", str(LAN), "exec", "desk", sys.executable, "-c",
         f"import socket; socket.create_connection(('{laptop.address}', 4711), 0.5)"],
        env=home.environment, capture_output=True).returncode == 0
    laptop.spawn(sys.executable, "-c", "import socket, time\n"
                 "s = socket.create_server(('', 4711)); time.sleep(600)")
    wait_for(reach)
    laptop.unplug()
    assert not reach()
    laptop.plug()
    wait_for(reach)
    home.split("laptop", "tablet")
    assert not reach()
    home.heal()
    wait_for(reach)


def test_nothing_is_left_behind():
    home = Home("desk")
    sleeper = home["desk"].spawn("sh", "-c", "trap '' TERM HUP; echo up; sleep 600 & wait",
                                 stdout=subprocess.PIPE)
    assert sleeper.stdout.readline() == b"up\n"
    host_processes = [int(pid) for pid in subprocess.run(
        ["ip", "netns", "pids", f"{home.id}-desk"], capture_output=True, text=True).stdout.split()]
    assert len(host_processes) >= 4  # holder, dbus, avahi, sleeper
    assert len(traces(home.id)) >= 3
    home.close()
    assert sleeper.returncode == -signal.SIGKILL
    assert traces(home.id) == []
    assert not any(alive(pid) for pid in host_processes)
    assert not home.folder.exists()


def test_what_a_killed_run_left_is_swept():
    script = "import home, time; h = home.Home('desk'); print(h.id, flush=True); time.sleep(600)"
    killed = subprocess.Popen([sys.executable, "-c", script], cwd=HERE, text=True,
                              stdout=subprocess.PIPE)
    home_id = killed.stdout.readline().strip()
    killed.kill()
    killed.wait()
    killed.stdout.close()
    assert traces(home_id)
    with Home("desk") as home:
        assert traces(home_id) == []
        assert traces(home.id)
