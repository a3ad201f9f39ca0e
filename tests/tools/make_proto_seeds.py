#!/usr/bin/env python3
"""Writes the seeds of tests/fuzz/proto from the frozen wire bytes (tests/vectors/messages.txt).

usage: make_proto_seeds.py SOURCE_ROOT
"""
import pathlib
import struct
import sys

root = pathlib.Path(sys.argv[1])
out = root / "tests/fuzz/proto"
lines = [line.split() for line in (root / "tests/vectors/messages.txt").read_text().splitlines()
         if not line.startswith("#")]
messages = [(name, bytes.fromhex(text)) for name, text in lines if not name.startswith("part:")]
parts = {name.split(":")[1]: bytes.fromhex(text) for name, text in lines
         if name.startswith("part:")}


def write(target, name, data):
    folder = out / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


for number, (name, data) in enumerate(messages, 1):
    write("message", name, bytes([number]) + data)
    if name in ("ping", "promise", "tokens"):
        write("msgpack", name, data)
write("msgpack", "reserve_512_mib", bytes.fromhex("dd00ffffff"))
write("msgpack", "map_wraps", bytes.fromhex("df8000000001"))
write("msgpack", "deep", b"\x91" * 9 + b"\x00")
write("msgpack", "kinds", bytes.fromhex("9bc0c3c40178c70205aabbca3f800000cb3ff0000000000000"
                                        "d1fffed9016181a16b9000cf0000000100000000a0"))
for number, name in enumerate(["plan", "profile", "facts", "flight", "statement"]):
    write("parts", name, bytes([number]) + parts[name])
half = bytearray(parts["flight"])
half[82] = 1
write("parts", "flight_half", b"\x03" + bytes(half[:-16]))

statement = parts["statement"]
write("handshake", "raw_first", b"\x00" + bytes(range(256)) * 6)
write("handshake", "no_statements", b"\x01" + bytes(16))
write("handshake", "one_statement", b"\x01\x01\x00\x00\x00" + statement)
write("handshake", "too_many", b"\x01\x05\x00\x00\x00" + statement)
write("handshake", "raw_second", b"\x02" + bytes(range(256)) * 2)
write("handshake", "welcome", b"\x03" + bytes(8))
write("handshake", "removed", b"\x03\x01\x00\x00\x00" + statement)


def record(kind, flags, size):
    return struct.pack("<BBH", kind, flags, size)


HELLO, CLOSE, PING, CHUNK, CREDIT, FLIGHT = 1, 2, 3, 21, 22, 23
write("channel", "control", b"\x08\x03" + record(PING, 0, 60) * 3 + record(CLOSE, 0, 20))
write("channel", "hello_twice", b"\x08\x00" + record(HELLO, 0, 60))
write("channel", "before_hello", b"\x00\x01" + record(PING, 0, 60))
write("channel", "ring", b"\x0a\x40" + record(CREDIT, 0, 2) + record(FLIGHT, 1, 65517) * 2
      + record(FLIGHT, 0, 9))
write("channel", "transfer", b"\x0c\xff" + record(CHUNK, 1, 65517) * 16 + record(CHUNK, 0, 300))
write("channel", "too_large", b"\x0c\xff" + record(CHUNK, 1, 65517) * 17 + record(CHUNK, 0, 300))
write("channel", "part_not_full", b"\x0c\x07" + record(CHUNK, 1, 65516))
write("channel", "type_changes", b"\x0a\x07" + record(FLIGHT, 1, 65517) + record(CREDIT, 0, 2))
write("channel", "raw", b"\x01\x02" + bytes.fromhex("1200") + bytes(18))
write("channel", "raw_short", b"\x01\x02" + bytes.fromhex("1100") + bytes(18))

write("pairing", "to_member", b"\x00" + bytes(range(48)) + bytes(64))
write("pairing", "to_joiner", b"\x01" + bytes(16) + b"home".ljust(64, b"\0") + bytes(96))
write("pairing", "bad_label", b"\x01" + bytes(16) + b"ho\x1bme".ljust(64, b"\0"))
write("pairing", "run", b"\x02" + b"pi".ljust(63, b"\0") + statement)
write("pairing", "run_bad_name", b"\x02" + b"p\ni".ljust(63, b"\0") + statement * 2)
