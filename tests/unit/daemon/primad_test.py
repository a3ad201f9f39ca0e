#!/usr/bin/env python3
"""The daemon's main over a fake home: options, sockets, the service manager, and its end."""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

PRIMAD = pathlib.Path(sys.argv.pop(1)).resolve()
PATIENCE_S = 20


class Main(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="primad-main-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.run_dir = self.folder / "run"
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.notify.close)
        self.notify.bind(str(self.folder / "notify"))
        self.notify.settimeout(PATIENCE_S)

    def start(self, *options, **environment):
        process = subprocess.Popen(
            [PRIMAD, "--state", self.folder / "state", "--run", self.run_dir, *options],
            env={**os.environ, "NOTIFY_SOCKET": str(self.folder / "notify"), **environment},
            stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        if process.poll() is None:
            process.kill()
        process.communicate()

    def heard(self):
        return self.notify.recv(4096).decode()

    def stop(self, process, number=signal.SIGTERM):
        process.send_signal(number)
        self.assertIn("STOPPING=1", self.heard())
        _, errors = process.communicate(timeout=PATIENCE_S)
        return process.returncode, errors

    def ask(self, name, line):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE_S)
            client.connect(str(self.run_dir / name))
            client.sendall(f"{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            got = b""
            while True:
                part = client.recv(65536)
                if not part:
                    return got.decode()
                got += part

    def test_it_serves_and_ends_cleanly(self):
        for number in signal.SIGTERM, signal.SIGINT:
            process = self.start()
            self.assertIn("READY=1", self.heard())
            for name in "api.sock", "control.sock":
                mode = (self.run_dir / name).stat().st_mode
                self.assertEqual(mode & 0o777, 0o660)
            self.assertIn('"status":"ok"', self.ask("api.sock", "GET /health"))
            self.assertIn(" 404 ", self.ask("api.sock", "GET /status"))
            self.assertIn('"version"', self.ask("control.sock", "GET /status"))
            code, errors = self.stop(process, number)
            self.assertEqual(code, 0, errors)
            self.assertEqual(list(self.run_dir.iterdir()), [])

    def test_the_watchdog_is_fed(self):
        process = self.start(WATCHDOG_USEC="200000")
        self.assertIn("READY=1", self.heard())
        for _ in range(3):
            self.assertIn("WATCHDOG=1", self.heard())
        process.terminate()
        while "STOPPING=1" not in self.heard():
            pass
        self.assertEqual(process.wait(PATIENCE_S), 0)

    def test_a_second_daemon_is_refused_and_the_first_goes_on(self):
        first = self.start()
        self.assertIn("READY=1", self.heard())
        for option, folder in ("--run", "run2"), ("--state", "state2"):
            second = self.start(option, str(self.folder / folder))
            _, errors = second.communicate(timeout=PATIENCE_S)
            self.assertEqual(second.returncode, 1)
            self.assertIn("another primad ", errors)
        self.assertIn('"status":"ok"', self.ask("api.sock", "GET /health"))
        self.assertEqual(self.stop(first)[0], 0)

    def test_what_a_killed_daemon_left_is_replaced(self):
        process = self.start()
        self.assertIn("READY=1", self.heard())
        process.kill()
        process.wait(PATIENCE_S)
        self.assertTrue((self.run_dir / "api.sock").exists())
        process = self.start()
        self.assertIn("READY=1", self.heard())
        self.assertEqual(self.stop(process)[0], 0)

    def test_open_answers_end_with_the_daemon(self):
        process = self.start()
        self.assertIn("READY=1", self.heard())
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE_S)
            client.connect(str(self.run_dir / "api.sock"))
            body = b'{"model": "mute", "prompt": "a"}'
            client.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: "
                           + str(len(body)).encode() + b"\r\n\r\n" + body)
            self.assertIn('"status":"ok"', self.ask("api.sock", "GET /health"))
            self.assertEqual(self.stop(process)[0], 0)
            self.assertEqual(client.recv(100), b"")

    def test_wrong_options(self):
        for options, code, sentence in (
                (["--threads", "none"], 2, "--threads"),
                (["--http", "0.0.0.0:18080"], 1, "loopback"),
                (["--run", "/" + "r" * 200], 1, "r")):
            process = self.start(*options)
            _, errors = process.communicate(timeout=PATIENCE_S)
            self.assertEqual(process.returncode, code, errors)
            self.assertIn("primad: ", errors)
            self.assertIn(sentence, errors)

    def test_its_memory_is_not_dumped(self):
        process = self.start()
        self.assertIn("READY=1", self.heard())
        limits = pathlib.Path(f"/proc/{process.pid}/limits").read_text()
        core = next(line for line in limits.splitlines() if line.startswith("Max core"))
        self.assertEqual(core.split()[4:6], ["0", "0"])
        self.assertEqual(self.stop(process)[0], 0)


if __name__ == "__main__":
    unittest.main()
