"""A home in one machine: hosts on a bridge of their own, each with its Avahi and a primad.

    with Home("desk", "laptop") as home:
        home["desk"].memory(120 << 20)
        for host in home:
            host.start()
        home["desk"].ctl("status", "--json")

The hosts are made by packaging/lan.sh, which says how; what a killed run left behind is cleaned away
when the next home is made. Needs root."""
import itertools
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAN = ROOT / "packaging" / "lan.sh"
BUILD = pathlib.Path(os.environ.get("PRIMAD_BUILD", ROOT / "build"))
_numbers = itertools.count(1)


def binary(name):
    """The path of a program of the build (PRIMAD_BUILD, or build/)."""
    for folder in ("daemon", "daemon/ctl", "tests/tools"):
        path = BUILD / folder / name
        if path.is_file() and os.access(path, os.X_OK):
            return str(path)
    raise FileNotFoundError(f"{name} is not built in {BUILD}")


def wait_for(condition, seconds=10.0, what="condition", every=0.05):
    """Calls `condition` until it gives something true, and gives that; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s in vain for {what}")
        time.sleep(every)


def why_not():
    """Why no home can be made here, in one line; None when one can."""
    done = subprocess.run(["sh", str(LAN), "check"], capture_output=True, text=True)
    return None if done.returncode == 0 else done.stderr.strip()


def _own_id():
    start = pathlib.Path("/proc/self/stat").read_text().rpartition(") ")[2].split()[19]
    return f"primad-lan-{os.getpid()}-{start}.{next(_numbers)}"


class Host:
    def __init__(self, home, name):
        self.home = home
        self.name = name
        self.address = home.lan("address", name).strip()
        self.folder = home.folder / name
        self.state = self.folder / "state"
        self.run = self.folder / "run"
        self.log = self.folder / "primad.log"
        self.daemon = None
        for folder in (self.folder, self.state, self.run):
            folder.mkdir(mode=0o700)

    # ---- programs ----

    def spawn(self, *command, **options):
        """Starts a program in this host; its Popen's pid is the program's own."""
        process = subprocess.Popen(["sh", str(LAN), "exec", self.name, *map(str, command)],
                                   env=self.home.environment, **options)
        self.home.processes.append(process)
        return process

    def exec(self, *command, timeout=30, check=True, **options):
        """Runs a program in this host to its end; gives the CompletedProcess, output as text."""
        return subprocess.run(["sh", str(LAN), "exec", self.name, *map(str, command)],
                              env=self.home.environment, timeout=timeout, check=check, text=True,
                              capture_output=True, **options)

    def start(self, *flags, wait=True, env=None):
        """Starts primad (its log goes to self.log) and waits until it takes commands."""
        assert self.daemon is None or self.daemon.poll() is not None, "runs already"
        with self.log.open("ab") as log:
            self.daemon = subprocess.Popen(
                ["sh", str(LAN), "exec", self.name, binary("primad"), "--state", str(self.state),
                 "--run", str(self.run), "--name", self.name, *map(str, flags)],
                env={**self.home.environment, **(env or {})}, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)
        self.home.processes.append(self.daemon)
        if wait:
            wait_for(self.takes_commands, 15, f"primad on {self.name}: {self.log_text()[-400:]}")
        return self

    def takes_commands(self):
        if self.daemon.poll() is not None:
            raise RuntimeError(f"primad on {self.name} ended: {self.log_text()[-2000:]}")
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.run / "control.sock")) == 0

    def ctl(self, *args, input=None, timeout=60, check=True):
        """Runs primactl; gives its CompletedProcess."""
        done = self.exec(binary("primactl"), "--run", self.run, *args, input=input,
                         timeout=timeout, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(f"primactl {args} on {self.name}: {done.returncode}\n"
                               f"{done.stdout}{done.stderr}")
        return done

    def json(self, *args, **options):
        return json.loads(self.ctl(*args, "--json", **options).stdout)

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    # ---- how a device goes ----

    def _end(self, number, seconds):
        if self.daemon is None or self.daemon.poll() is not None:
            return self.daemon.returncode if self.daemon else None
        self.daemon.send_signal(number)
        return self.daemon.wait(seconds)

    def stop(self, seconds=20):
        """SIGTERM, and waits for a clean end; gives the exit status."""
        return self._end(signal.SIGTERM, seconds)

    def kill(self):
        """Dies without a word: connections are reset."""
        return self._end(signal.SIGKILL, 10)

    def pause(self):
        self.daemon.send_signal(signal.SIGSTOP)

    def resume(self):
        self.daemon.send_signal(signal.SIGCONT)

    def freeze(self):
        """The whole host stands still, Avahi too: alive, but silent."""
        self.home.lan("freeze", self.name)

    def thaw(self):
        self.home.lan("thaw", self.name)

    def unplug(self):
        self.home.lan("link", self.name, "down")

    def plug(self):
        self.home.lan("link", self.name, "up")

    def services(self, verb):
        """"start" or "stop" for D-Bus and Avahi, "avahi-start" or "avahi-stop" for Avahi alone."""
        self.home.lan("services", self.name, verb)

    # ---- limits ----

    def memory(self, size):
        """At most so many bytes for what runs here from now on."""
        self.home.lan("memory", self.name, str(size))

    def cpu(self, percent):
        self.home.lan("cpu", self.name, str(percent))


class Home:
    def __init__(self, *names):
        self.id = _own_id()
        self.environment = {**os.environ, "LAN_ID": self.id}
        self.processes = []
        self.hosts = {}
        self.folder = pathlib.Path("/tmp", self.id, "home")  # goes with the hosts
        try:
            self.lan("up", *names)
            self.folder.mkdir(mode=0o700)
            self.hosts = {name: Host(self, name) for name in names}
        except BaseException:
            self.close()
            raise

    def lan(self, *words):
        done = subprocess.run(["sh", str(LAN), *words], env=self.environment, text=True,
                              capture_output=True, timeout=120, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise RuntimeError(f"lan.sh {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def __getitem__(self, name):
        return self.hosts[name]

    def __iter__(self):
        return iter(self.hosts.values())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def capture(self, path):
        """Writes all that crosses the bridge to a pcap file; ends by `terminate` and `wait`."""
        process = subprocess.Popen(["sh", str(LAN), "capture", str(path)], env=self.environment,
                                   stderr=subprocess.PIPE, text=True)
        self.processes.append(process)
        assert "listening on" in process.stderr.readline(), "tcpdump did not start"
        return process

    def split(self, *names):
        """Cuts these hosts off from the others, and lets them reach each other."""
        self.lan("split", *names)

    def heal(self):
        self.lan("heal")

    def close(self):
        """Ends every process of every host and removes all that was made. Works half-built too."""
        try:
            self.lan("down")
        finally:
            for process in self.processes:
                if process.poll() is None:
                    process.kill()
                process.wait(10)
                for pipe in (process.stdin, process.stdout, process.stderr):
                    if pipe:
                        pipe.close()
