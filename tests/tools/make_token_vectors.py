#!/usr/bin/env python3
"""Writes what llama.cpp makes of thousands of random strings:

    make_token_vectors.py FOLDER_OF_LIBLLAMA MODEL.gguf COUNT OUT.jsonl.gz

A line is [special, text, ids]: text as JSON, bytes that are not UTF-8 as U+DC80 and on (Python's
"surrogateescape"), special true when control tokens in the text were to be read as such; no BOS.
The strings mix words of many scripts, code, white space, special tokens, single characters of all
planes and stray bytes. Characters are drawn from those that Python's Unicode tables know, so that
no test depends on whose tables are newer."""
import ctypes
import gzip
import io
import json
import os
import random
import sys
import unicodedata

import llamacpp

WORDS = """the of and Hello world's don't I'LL THEY'RE we've it'd int main() { return 0; } for (x)
== != -> /* */ // <html> </s> <s> <b> </b> <h1> </div> <br> 12345 3.14 1,000,000 0xFF café naïve
straße Ünïcödé 漢字 日本語 テスト ひらがな 한국어 العربية हिन्दी ไทย עברית Ελληνικά Русский Tiếng
😀 👩‍👩‍👧 🇩🇪 ✈️ ﷽ é e\u0301 \u200b \u3000 \u00a0 ▁ ▁▁ <0x41> <0x0A> \ufeff ½ ² ٣ Ⅷ ① \u180e
def self.x __init__ #include <stdio.h> std::vector<int> https://example.org/a?b=c&d=%20 a@b.co
$HOME C:\\\\dir\\\\file ... !!! ??? ;-) "quoted" 'single' `code` **bold** ## | --- |""".split()
SPACES = [" ", "  ", "    ", "        ", "\n", "\n\n", "\n\n\n", "\t", "\t\t", "\r\n", " \n", "\x00",
          "\u2003", "\u0085"]
MARKS = """<bos> <eos> <pad> <unk> <mask> <start_of_turn> <end_of_turn> <unused5> <unused57>
[multimodal] <table> <|begin_of_text|> <|end_of_text|> <|eot_id|> <|start_header_id|> <|im_start|>
<|im_end|> <s> </s> <|endoftext|> <|x <eot </""".split()


def character(rng):
    kind = rng.random()
    if kind < 0.3:
        return chr(rng.randrange(32, 127))
    while True:
        one = chr(rng.randrange(0x80, 0x800) if kind < 0.5 else
                  rng.randrange(0x800, 0x10000) if kind < 0.7 else
                  rng.randrange(0x4e00, 0x9ff0) if kind < 0.8 else
                  rng.randrange(0x1f300, 0x1f6ff) if kind < 0.9 else
                  rng.randrange(0x10000, 0x32000))
        if unicodedata.category(one) not in ("Cn", "Cs"):
            return one


def pick(rng, choices, most, between):
    return between.join(rng.choice(choices) for _ in range(rng.randrange(1, most)))


def with_stray_bytes(rng, text):
    raw = bytearray(text.encode())
    for _ in range(rng.randrange(1, 5)):
        stray = rng.choice([rng.randrange(0x80, 0xf4), 0xc0, 0xe2, 0xed, 0xf0, 0x80, 0xa0, 0xff])
        raw.insert(rng.randrange(len(raw) + 1), stray)
    return bytes(raw)


def past_the_last(raw):
    """True for four-byte forms above U+10FFFF, on which llama.cpp's byte-level BPE gives up."""
    return any(a > 0xf4 or (a == 0xf4 and b >= 0x90) for a, b in zip(raw, raw[1:]))


def make_text(rng):
    kind = rng.random()
    if kind < 0.25:
        return pick(rng, WORDS, 12, " ").encode()
    if kind < 0.45:
        return pick(rng, WORDS + SPACES * 3, 12, "").encode()
    if kind < 0.65:
        return "".join(character(rng) for _ in range(rng.randrange(1, 20))).encode()
    if kind < 0.75:
        return pick(rng, SPACES + ["a", ".", "'", "1"], 24, "").encode()
    if kind < 0.9:
        return pick(rng, MARKS * 2 + WORDS + SPACES * 3, 8, "").encode()
    return with_stray_bytes(rng, pick(rng, WORDS, 6, " "))


def make_texts(count):
    rng = random.Random(1)
    texts = []
    while len(texts) < count:
        text = make_text(rng)
        if not past_the_last(text):
            texts.append((rng.random() < 0.5, text))
    return texts


class Vocabulary:
    """Of a whole model, or of a file that has nothing else."""

    def __init__(self, folder, path):
        self.lib = llamacpp.load(folder)
        self.quiet = llamacpp.LOG(lambda level, text, data: None)
        self.lib.llama_log_set(self.quiet, None)
        params = self.lib.llama_model_default_params()
        params.rest[9] |= 1  # vocab_only, the first of the flags
        self.model = self.lib.llama_model_load_from_file(os.fsencode(path), params)
        if not self.model:
            raise SystemExit(f"llama.cpp cannot load {path}")
        self.vocab = self.lib.llama_model_get_vocab(self.model)

    def tokenize(self, raw, special):
        out = (ctypes.c_int32 * (len(raw) + 8))()
        count = self.lib.llama_tokenize(self.vocab, raw, len(raw), out, len(out), False, special)
        return list(out[:count])


def main(folder, model, count, out):
    vocabulary = Vocabulary(folder, model)
    with gzip.GzipFile(out, "wb", 9, mtime=0) as packed, io.TextIOWrapper(packed, "ascii") as lines:
        for special, raw in make_texts(int(count)):
            text = raw.decode(errors="surrogateescape")
            ids = vocabulary.tokenize(raw, special)
            lines.write(json.dumps([special, text, ids], separators=(",", ":")) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
