"""The flights that a daemon sealed, read from a dump of tests/tools/plaindump.c: what crossed the
encrypted ring, as it was. Layouts: proto/channel.h (records) and proto/flight.h (flights)."""
import collections
import struct

import numpy

MESSAGE_FLIGHT = 23  # proto/messages.h
RECORD_BODY_MAX = 65517
RECORD_MORE = 1
MAGIC = b"PMFT"
HEAD = struct.Struct("<4s16sQ32sQIIHHHHIII")  # magic to n_embd, see put_header
ROW_BYTES = OP_BYTES = 16

# rows: [(sequence, position)]; states: f32 [rows, n_embd]; stage: the one that is to compute it.
Flight = collections.namedtuple("Flight", "stage rows states")


def records(dump):
    """(type, flags, body) of each piece of the dump."""
    at = 0
    while at < len(dump):
        size, = struct.unpack_from("<I", dump, at)
        piece = dump[at + 4:at + 4 + size]
        at += 4 + size
        yield piece[0], piece[1], piece[2:]


def messages(dump):
    """The bodies of the messages of type FLIGHT, whole. A handshake's pieces may begin with any byte:
    what does not begin as a flight does is none."""
    body = b""
    for kind, flags, part in records(dump):
        if kind != MESSAGE_FLIGHT or not (body or part.startswith(MAGIC)):
            continue
        assert flags in (0, RECORD_MORE) and (len(part) == RECORD_BODY_MAX or not flags)
        body += part
        if not flags:
            yield body
            body = b""
    assert not body


def parse(body):
    fields = HEAD.unpack_from(body)
    dtype, n_rows, n_ops, n_embd = fields[-4:]
    assert fields[0] == MAGIC and dtype == 0, "states travel as f32"
    rows = [struct.unpack_from("<II", body, HEAD.size + i * ROW_BYTES) for i in range(n_rows)]
    at = HEAD.size + n_rows * ROW_BYTES + n_ops * OP_BYTES
    assert len(body) == at + 4 * n_rows * n_embd
    states = numpy.frombuffer(body, "<f4", offset=at).reshape(n_rows, n_embd)
    return Flight(fields[8], rows, states)


def read(path, offset=0):
    with open(path, "rb") as file:
        file.seek(offset)
        return [parse(body) for body in messages(file.read())]
