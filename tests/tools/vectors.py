"""How token vectors lie in tests/vectors: token-texts.xz holds the texts, tokens-NAME.xz for each of
them the ids of one vocabulary, or a sign that they are those of a vocabulary akin to it. Numbers are
LEB128."""
import lzma
import pathlib

import vocabularies

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "vectors"
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "pb": 0}]


def number(value):
    out = bytearray()
    while value > 0x7f:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    out.append(value)
    return out


def numbers(data):
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            yield value
            value = shift = 0


def pack(path, data):
    path.write_bytes(lzma.compress(bytes(data), filters=FILTERS, check=lzma.CHECK_CRC32))


def write_texts(texts):
    """texts: [(special, bytes)]"""
    data = bytearray()
    for special, text in texts:
        data += number(2 * len(text) + special) + text
    pack(FOLDER / "token-texts.xz", data)


def read_texts():
    data, at, texts = lzma.decompress((FOLDER / "token-texts.xz").read_bytes()), 0, []
    while at < len(data):
        end = next(i for i in range(at, len(data)) if data[i] < 0x80) + 1
        head = next(numbers(data[at:end]))
        texts.append((bool(head & 1), data[end:end + head // 2]))
        at = end + head // 2
    return texts


def akin(name, rows):
    base = vocabularies.BASES.get(name)
    return read_ids(base) if base else [None] * len(rows)


def write_ids(name, rows):
    """A vocabulary's base (vocabularies.BASES) is written before it."""
    data = bytearray()
    for ids, same in zip(rows, akin(name, rows)):
        if ids == same:
            data += number(0)
            continue
        data += number(len(ids) + 1)
        for one in ids:
            data += number(one)
    pack(FOLDER / f"tokens-{name}.xz", data)


def read_ids(name):
    values = numbers(lzma.decompress((FOLDER / f"tokens-{name}.xz").read_bytes()))
    rows = [[next(values) for _ in range(count - 1)] if count else None for count in values]
    return [same if ids is None else ids for ids, same in zip(rows, akin(name, rows))]
