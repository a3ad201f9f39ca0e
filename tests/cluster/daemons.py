"""Whole daemons on loopback: started, asked over their local sockets, ended by their process ids.

No namespaces and no root: what needs neither runs here, also under the sanitizers
(PRIMAD_BUILD names the build folder). Hosts of their own are in home.py."""
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("PRIMAD_BUILD", ROOT / "build" / "release"))
SLOW = float(os.environ.get("PRIMAD_SLOW", "1"))  # sanitized builds take their time


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=120):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def wait_for(what, test, seconds=20):
    """The first true result of `test`, or an assertion that names what was waited for."""
    end = time.monotonic() + seconds * SLOW
    while time.monotonic() < end:
        result = test()
        if result:
            return result
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds * SLOW:.0f} s")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Daemon:
    def __init__(self, folder, name, port, peers=(), flags=(), prefix=(), environment=None):
        self.name, self.port = name, port
        self.state = pathlib.Path(folder) / name / "state"
        self.run = pathlib.Path(folder) / name / "run"
        self.run.mkdir(parents=True, exist_ok=True)
        self.log = pathlib.Path(folder) / name / "log"
        self.command = [*prefix, str(BUILD / "daemon" / "primad"), "--state", str(self.state),
                        "--run", str(self.run), "--name", name, *flags]
        if port:
            self.command += ["--listen", f"127.0.0.1:{port}", "--mdns", "no"]
        if peers:
            self.command += ["--peers", ",".join(peers)]
        self.environment = dict(os.environ, **(environment or {}))
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stderr=log, stdout=log,
                                            stdin=subprocess.DEVNULL, env=self.environment)
        wait_for(f"{self.name} answers", self.answers, 30)
        return self

    def answers(self):
        assert self.process.poll() is None, f"{self.name} ended:\n{self.log.read_text()[-3000:]}"
        try:
            return self.ask("GET", "/health", socket="api")[0] == 200
        except OSError:
            return False

    def ask(self, method, path, body=None, socket="control", timeout=120):
        connection = UnixConnection(self.run / f"{socket}.sock", timeout)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"null")
        finally:
            connection.close()

    def good(self, method, path, body=None, socket="control", timeout=120):
        status, answer = self.ask(method, path, body, socket, timeout)
        assert status == 200, f"{self.name} {path}: {status} {answer}"
        return answer

    def status(self):
        return self.good("GET", "/status")

    def add_model(self, path, name=None):
        connection = UnixConnection(self.run / "control.sock", 300)
        with open(path, "rb") as file:
            connection.request("PUT", f"/models/{name or pathlib.Path(path).name}", file,
                               {"Content-Length": str(os.path.getsize(path))})
            response = connection.getresponse()
            answer = json.loads(response.read())
        connection.close()
        assert response.status == 200, answer
        return answer

    def complete(self, prompt, model=None, timeout=120, **fields):
        """The answer of a completion that must succeed, with the usage and primad's extras."""
        body = {"prompt": prompt, "max_tokens": 16, "temperature": 0, **fields}
        if model:
            body["model"] = model
        return self.good("POST", "/v1/completions", body, socket="api", timeout=timeout)

    def alive_members(self):
        return [m["name"] for m in self.status()["home"]["members"] if m["state"] == "alive"]

    def stop(self):
        """A clean end; gives the exit status."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20 * SLOW)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"{self.name} does not end")
        return self.process.returncode if self.process else 0

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()


class LoopbackHome:
    """`count` daemons that know each other by --peers, joined into one home."""

    def __init__(self, folder, count, flags=(), environment=None):
        ports = [free_port() for _ in range(count)]
        self.daemons = []
        for index, port in enumerate(ports):
            peers = [f"127.0.0.1:{p}" for p in ports if p != port]
            self.daemons.append(Daemon(folder, f"device{index}", port, peers, flags,
                                       environment=environment))

    def __enter__(self):
        try:
            for daemon in self.daemons:
                daemon.start()
            for daemon in self.daemons[1:]:
                join(self.daemons[0], daemon)
            self.wait_together()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def wait_together(self):
        names = {d.name for d in self.daemons}
        for daemon in self.daemons:
            wait_for(f"{daemon.name} sees all", lambda d=daemon: set(d.alive_members()) == names)

    def __exit__(self, kind, *_):
        statuses = {}
        for daemon in self.daemons:
            try:
                statuses[daemon.name] = daemon.stop()
            except AssertionError as error:
                statuses[daemon.name] = str(error)
        if kind is not None:
            for daemon in self.daemons:
                if daemon.log.exists():
                    print(f"---- {daemon.name}\n{daemon.log.read_text()[-6000:]}")
        else:
            assert all(s in (0, -signal.SIGKILL) for s in statuses.values()), statuses


def join(member, newcomer):
    code = member.good("POST", "/invite", {})["code"]
    newcomer.good("POST", "/join", {"home": f"127.0.0.1:{member.port}", "code": code})


def tiny_model(folder, **options):
    """A random model of a few hundred kilobytes, see tests/tools/make_model.py."""
    path = pathlib.Path(folder) / "tiny.gguf"
    arguments = [f"--{k.replace('_', '-')}={v}" for k, v in options.items()]
    subprocess.run([sys.executable, str(ROOT / "tests/tools/make_model.py"), str(path),
                    *arguments], check=True, capture_output=True)
    return path
