#!/usr/bin/env python3
"""primactl over a fake home, and its verbs that need none: primactl_test.py PRIMACTL FAKE_PRIMAD
[SMALL_MODEL [MODEL_OF_EXPERTS RECURRENT_MODEL]]"""
import json
import math
import os
import pathlib
import pty
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

PRIMACTL, PRIMAD = (pathlib.Path(sys.argv.pop(1)).resolve() for _ in range(2))
MODEL, EXPERTS, RECURRENT = (pathlib.Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else None
                             for _ in range(3))
PATIENCE_S = 30


def text(string):
    return struct.pack("<Q", len(string)) + string.encode()


def model_bytes(vocab, parts=1):
    """Header of a one-layer model without tokenizer, and the bytes of its tensors; or the headers of
    several parts, the last one with most tensors."""
    numbers = {"block_count": 1, "context_length": 64, "embedding_length": 64, "vocab_size": vocab,
               "feed_forward_length": 64, "attention.head_count": 1}
    keys = [text("general.architecture") + struct.pack("<I", 8) + text("llama"),
            text("llama.attention.layer_norm_rms_epsilon") + struct.pack("<If", 6, 1e-5)]
    keys += [text("llama." + key) + struct.pack("<II", 4, value) for key, value in numbers.items()]
    names = ["token_embd", "output_norm"] + ["blk.0." + name for name in (
        "attn_norm", "ffn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up",
        "ffn_down")]
    made = []
    for part in range(parts):
        mine = names if parts == 1 else names[part:part + 1] if part < parts - 1 else names[part:]
        own = keys if part == 0 else []
        if parts > 1:
            own = own + [text(f"split.{key}") + struct.pack("<IH", 2, value)
                         for key, value in (("no", part), ("count", parts),
                                            ("tensors.count", len(names)))]
        head, size = b"", 0
        for name in mine:
            dims = [64] if name.endswith("norm") else [64, vocab if name == "token_embd" else 64]
            head += text(name + ".weight") + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, 0, size)
            size += 4 * math.prod(dims)
        head = struct.pack("<4sIQQ", b"GGUF", 3, len(mine), len(own)) + b"".join(own) + head
        made.append((head + bytes(-len(head) % 32), size))
    return made if parts > 1 else made[0]


class Verbs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="primactl-")
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.run_dir = cls.folder / "run"
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.daemon = subprocess.Popen([PRIMAD, "--state", cls.folder / "state", "--run",
                                       cls.run_dir], stderr=subprocess.DEVNULL)
        cls.addClassCleanup(cls.daemon.wait, PATIENCE_S)
        cls.addClassCleanup(cls.daemon.terminate)
        end = time.monotonic() + PATIENCE_S
        while cls.ctl("status").returncode != 0 and time.monotonic() < end:
            time.sleep(0.02)

    @classmethod
    def ctl(cls, *arguments, stdin=""):
        return subprocess.run([PRIMACTL, "--run", cls.run_dir, *arguments], input=stdin,
                              capture_output=True, text=True, timeout=PATIENCE_S)

    def good(self, *arguments, stdin=""):
        done = self.ctl(*arguments, stdin=stdin)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def bad(self, code, sentence, *arguments, stdin=""):
        done = self.ctl(*arguments, stdin=stdin)
        self.assertEqual(done.returncode, code, (arguments, done.stdout, done.stderr))
        self.assertIn(sentence, done.stderr)
        self.assertTrue(done.stderr.startswith("primactl: ") or "\nprimactl: " in done.stderr)

    def test_wrong_command_lines(self):
        self.bad(2, "what to do?")
        self.bad(2, "no verb \"dance\"", "dance")
        self.bad(2, "has no option --loud", "status", "--loud")
        self.bad(2, "one argument too many", "status", "x")
        self.bad(2, "--role needs a value", "invite", "--role")
        self.bad(2, "usage: primactl remove", "remove")
        self.bad(2, "usage: primactl model", "model", "paint")
        self.bad(2, "not a number", "run", "echo", "x", "--temperature", "warm")
        self.bad(2, "--model FILE", "tokenize")
        self.bad(2, "--devices needs --model", "plan", "--devices", "x.json")
        self.bad(2, "whole number", "bench", "--repeats", "none")

    def test_help_of_every_verb(self):
        text = self.good("--help")
        verbs = [line.split()[0] for line in text.splitlines() if line.startswith("  ")]
        self.assertGreaterEqual(len(verbs), 12)
        for verb in verbs:
            self.assertIn(f"usage: primactl [--run DIR] [--json] {verb}", self.good(verb, "--help"))
        self.assertRegex(self.good("--version"), r"^primactl \d+\.\d+\.\d+$")

    def test_no_daemon(self):
        for verb in ["status"], ["run", "m", "x"], ["doctor"], ["logs"]:
            done = subprocess.run([PRIMACTL, "--run", self.folder / "none", *verb],
                                  capture_output=True, text=True, timeout=PATIENCE_S)
            self.assertEqual(done.returncode, 3, done.stderr)
            self.assertIn("no primad answers at", done.stderr)

    def test_a_dead_socket(self):
        dead = self.folder / "dead"
        dead.mkdir()
        daemon = subprocess.Popen([PRIMAD, "--state", dead / "s", "--run", dead],
                                  stderr=subprocess.DEVNULL)
        while not (dead / "control.sock").exists():
            time.sleep(0.01)
        daemon.kill()
        daemon.wait()
        done = subprocess.run([PRIMACTL, "--run", dead, "status"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 3, done.stderr)

    @unittest.skipIf(os.geteuid() != 0, "needs root to become somebody else")
    def test_permission_denied(self):
        self.folder.chmod(0o755)
        program = self.folder / "primactl"
        program.write_bytes(PRIMACTL.read_bytes())
        program.chmod(0o755)
        for verb, group in (["status"], "primad-admin"), (["run", "echo", "x"], "primad"):
            done = subprocess.run([program, "--run", self.run_dir, *verb], capture_output=True,
                                  text=True, user=65534, group=65534, extra_groups=[])
            self.assertEqual(done.returncode, 4, done.stderr)
            self.assertIn(f"join the group {group} ", done.stderr)

    def test_answers_stream(self):
        self.assertEqual(self.good("run", "echo", "Hello, world"), "Hello, world\n")
        self.assertEqual(self.good("run", "echo", stdin="from a pipe é"), "from a pipe é\n")
        self.assertEqual(self.good("run", "echo", "Hello", "--max-tokens=2"), "He\n")
        self.assertIn("<|im_start|>user", self.good("run", "echo", "Hello", "--chat"))
        self.assertEqual(self.good("run", "echo", "--", "--help"), "--help\n")

    def test_answers_as_json(self):
        answer = json.loads(self.good("run", "--json", "echo", "abc"))
        self.assertEqual(answer["schema"], 1)
        self.assertEqual(answer["text"], "abc")
        self.assertEqual(answer["tokens"], [97, 98, 99])
        self.assertEqual(answer["finish_reason"], "stop")
        self.assertEqual(answer["usage"]["completion_tokens"], 3)
        self.assertEqual(answer["primad"]["flights"], 3)

    def test_answers_that_fail(self):
        self.bad(1, "there is no model \"none\"", "run", "none", "x")
        self.bad(1, "16 requests wait", "run", "busy", "x")
        self.bad(1, "the head was lost", "run", "late-busy", "x")
        self.bad(1, "\"temperature\" must be a number from 0 to 2", "run", "echo", "x",
                 "--temperature", "1e308")
        broken = self.ctl("run", "broken", "x")
        self.assertEqual((broken.returncode, broken.stdout), (1, "Well\n"))
        self.assertIn("the device \"pi\" was lost", broken.stderr)

    def test_an_interrupted_answer(self):
        for model in "mute", "flood":
            process = subprocess.Popen([PRIMACTL, "--run", self.run_dir, "run", model, "x"],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE_S)
            self.assertEqual(process.returncode, 130)

    def test_progress_at_a_terminal(self):
        leader, follower = pty.openpty()
        process = subprocess.Popen([PRIMACTL, "--run", self.run_dir, "run", "mute", "x"],
                                   stdout=subprocess.DEVNULL, stderr=follower)
        os.close(follower)
        seen = b""
        while b"prompt" not in seen:
            seen += os.read(leader, 4096)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(PATIENCE_S), 130)
        os.close(leader)

    def test_the_home(self):
        self.assertEqual(json.loads(self.good("status", "--json"))["schema"], 1)
        invite = self.ctl("invite")
        self.assertEqual(invite.stdout, "482 913\n")
        self.assertIn("able to read what is asked", invite.stderr)
        self.assertEqual(json.loads(self.good("--json", "invite"))["code"], "482913")
        self.bad(1, "king", "invite", "--role", "king")
        self.good("invite", "--stop")
        self.good("leave", "--yes")
        self.bad(1, "no device \"x\"", "remove", "x", "--yes")
        self.assertEqual(self.good("doctor"), "")

    def test_joining(self):
        joined = self.ctl("join", "kitchen:47600", stdin="482 913\n")
        self.assertEqual(joined.returncode, 0, joined.stderr)
        self.assertIn("can read what is asked", joined.stderr)
        self.good("join", "kitchen", stdin="482-913")
        self.bad(1, "the code is wrong", "join", "kitchen", stdin="000000\n")
        for code in "", "48291", "4829134", "48a913":
            self.bad(2, "six digits", "join", "kitchen", stdin=code)

    def test_models(self):
        self.assertIn("echo", self.good("model", "list"))
        file = self.folder / "tiny.gguf"
        head, size = model_bytes(20_000)
        file.write_bytes(head + bytes(size))
        self.assertIn("tiny", self.good("model", "add", file))
        answer = json.loads(self.good("model", "add", file, "--name", "other", "--json"))
        self.assertEqual(answer["id"], "00ff")
        answer = json.loads(self.good("--json", "model", "add", "--in-place", file))
        self.assertEqual(answer["path"], str(file))
        data = bytes(1_000_000) + b"no gguf!" * 8
        file.write_bytes((head + data).ljust(len(head) + size, b"\0"))
        self.bad(1, "this is no GGUF file", "model", "add", file)
        self.bad(1, "a model's name", "model", "add", file, "--name", "a/b")
        file.write_bytes(b"GGXX")
        self.bad(1, "is not a GGUF file", "model", "add", file)
        self.bad(1, "cannot open", "model", "add", self.folder / "missing.gguf")
        huge = self.folder / "huge.gguf"
        with huge.open("wb") as sparse:
            head, size = model_bytes(4_000_000)
            sparse.write(head)
            sparse.truncate(len(head) + size)
        self.bad(1, "no room", "model", "add", huge)

    def test_a_model_in_parts(self):
        names = [self.folder / f"cut-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
        for name, (head, size) in zip(names, model_bytes(1000, 3)):
            name.write_bytes(head + bytes(size))
        self.assertIn("cut is ready", self.good("model", "add", names[0]))
        self.bad(1, "cannot stay in place", "model", "add", "--in-place", names[0])
        self.bad(1, "part 2 of a model in 3 parts", "model", "add", names[1])
        second = names[1].read_bytes()
        names[1].write_bytes(names[2].read_bytes())
        self.bad(1, "cut-00002-of-00003.gguf does not belong", "model", "add", names[0])
        names[1].write_bytes(second[:-1])
        self.bad(1, "cut-00002-of-00003.gguf is cut short", "model", "add", names[0])
        names[1].unlink()
        self.bad(1, "cut-00002-of-00003.gguf is missing", "model", "add", names[0])
        names[2].unlink()
        self.bad(1, "and 1 more parts are missing", "model", "add", names[0])
        self.bad(1, "no model", "model", "rm", "none")

    def test_pins_and_plans(self):
        pin = self.folder / "pin.json"
        pin.write_text('{"rounds": 2}')
        answer = json.loads(self.good("plan", "echo", "--pin", pin, "--commit", "--json"))
        self.assertEqual(answer["pin"], {"rounds": 2})
        self.assertTrue(answer["committed"])
        pin.write_text('{"rounds": ')
        self.bad(1, "pin.json line 1", "plan", "--pin", pin)
        self.bad(2, "--commit is for a --pin", "plan", "--commit")

    def test_logs(self):
        self.assertIn("primad ready", self.good("logs"))
        self.assertEqual(len(self.good("logs", "--lines", "1").splitlines()), 1)
        line = json.loads(self.good("logs", "--lines", "1", "--json"))
        self.assertIn("text", line)
        process = subprocess.Popen([PRIMACTL, "--run", self.run_dir, "logs", "--follow"],
                                   stdout=subprocess.PIPE, text=True)
        self.assertIn(" info ", process.stdout.readline())
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
        self.assertEqual(process.returncode, 0)

    @unittest.skipIf(MODEL is None, "no small model")
    def test_tokenizing_without_a_daemon(self):
        ids = json.loads(self.good("tokenize", "--json", "--model", MODEL, stdin="abc abc"))
        self.assertTrue(ids and all(isinstance(i, int) for i in ids))
        text = self.good("tokenize", "--model", MODEL, stdin="abc abc")
        self.assertEqual([int(word) for word in text.split()], ids)
        bos = json.loads(self.good("tokenize", "--json", "--bos", "--model", MODEL,
                                   stdin="abc abc"))
        self.assertEqual(bos[1:], ids)
        self.assertEqual(json.loads(self.good("tokenize", "--json", "--model", MODEL)), [])
        self.bad(1, "primactl_test", "tokenize", "--model", __file__)

    @unittest.skipIf(MODEL is None, "no small model")
    def test_planning_for_devices_one_does_not_own(self):
        home = self.folder / "home.json"
        device = {"cores": 4, "memory_total_bytes": 8 << 30, "backends": [{
            "kind": "cpu", "threads": 4, "memory_bytes": 4 << 30,
            "rates": [{"type": "Q5_0", "rows": 1, "weights_per_s": 1e9},
                      {"type": "Q5_0", "rows": 64, "weights_per_s": 1e10}]}]}
        home.write_text(json.dumps({"devices": [{"name": "desk", **device},
                                                {"name": "attic", **device}]}))
        answer = json.loads(self.good("plan", "--json", "--devices", home, "--model", MODEL))
        self.assertEqual({d["name"] for d in answer["plan"]["devices"]}, {"desk", "attic"})
        self.assertGreater(answer["plan"]["token_s"], 0)
        self.assertIn("tokens/s", self.good("plan", "--devices", home, "--model", MODEL))
        self.assertIn("desk", self.good("plan", "--explain", "--devices", home, "--model", MODEL))
        answer = json.loads(self.good("plan", "--paper", "--json", "--devices", home, "--model",
                                      MODEL))
        self.assertGreater(answer["paper"]["token_s"], 0)
        self.assertIn("the paper's method", answer["text"])
        self.assertIn("first token after", self.good("plan", "--paper", "--devices", home,
                                                     "--model", MODEL))
        self.bad(2, "--paper only compares", "plan", "--paper", "--commit", "--pin", home)
        if EXPERTS and RECURRENT:
            words = self.good("plan", "--explain", "--devices", home, "--model", EXPERTS)
            self.assertRegex(words, r"experts: a token reads \d+ of \d+ in a layer")
            words = self.good("plan", "--explain", "--devices", home, "--model", RECURRENT)
            self.assertIn("layers keep a state of fixed size", words)
        home.write_text('{"devices": [{"name": "desk", "cores": -1}]}')
        self.bad(1, "home.json: ", "plan", "--devices", home, "--model", MODEL)


if __name__ == "__main__":
    unittest.main()
