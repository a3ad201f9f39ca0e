#!/usr/bin/env python3
"""Token ids of llama.cpp for random and hostile strings, over all vocabularies (vocabularies.py):

    make_token_vectors.py write LIBLLAMA VOCABULARIES GEMMA.gguf
        writes tests/vectors/token-texts.xz and tokens-*.xz.
    make_token_vectors.py compare LIBLLAMA VOCABULARIES GEMMA.gguf TOKENIZE COUNT SEED [NAME ...]
        compares fresh strings with our own tokenizer (build/.../tests/tools/tokenize) on the spot.

LIBLLAMA is the folder that holds libllama.so, VOCABULARIES a folder that keeps the vocabularies,
GEMMA.gguf the model that tests/run.sh fetches.

The strings mix words of many scripts, code, white space, special tokens, single characters of all
planes, stray bytes, and runs of what makes naive tokenizers slow. Characters are drawn from those
that Python's Unicode tables know, so that no test depends on whose tables are newer. Half of the
strings are read with control tokens, half without; none gets a BOS."""
import ctypes
import os
import pathlib
import random
import sys
import unicodedata

import llamacpp
import tokenized
import vectors
import vocabularies

WORDS = """the of and Hello world's don't I'LL THEY'RE we've it'd int main() { return 0; } for (x)
== != -> /* */ // <html> </s> <s> <b> </b> <h1> </div> <br> 12345 3.14 1,000,000 0xFF café naïve
straße Ünïcödé 漢字 日本語 テスト ひらがな 한국어 العربية हिन्दी ไทย עברית Ελληνικά Русский Tiếng
😀 👩‍👩‍👧 🇩🇪 ✈️ ﷽ é e\u0301 \u200b \u3000 \u00a0 ▁ ▁▁ <0x41> <0x0A> \ufeff ½ ² ٣ Ⅷ ① \u180e
def self.x __init__ #include <stdio.h> std::vector<int> https://example.org/a?b=c&d=%20 a@b.co
क्षेत्र ko\u0308nnen n\u0303a ก็ด ÀÉî ПриветМир HTTPServer getX2 1234567 १२३ $HOME C:\\\\dir\\\\file ... !!! ??? ;-) "quoted" 'single' `code` **bold** ## | --- |""".split()
SPACES = [" ", "  ", "    ", "        ", "\n", "\n\n", "\n\n\n", "\t", "\t\t", "\r\n", " \n", "\x00",
          "\u2003", "\u0085"]
MARKS = """<bos> <eos> <pad> <unk> <mask> <start_of_turn> <end_of_turn> <unused5> <unused57>
[multimodal] <table> <|begin_of_text|> <|end_of_text|> <|eot_id|> <|start_header_id|> <|im_start|>
<|im_end|> <s> </s> <|endoftext|> <|x <eot </ <|user|> <|assistant|> <|end|> <|system|> <fim_prefix>
<fim_middle> <|fim_prefix|> <|file_sep|> <PRE> <turn|> <|tool_response> <|turn> <|END_OF_TURN_TOKEN|>
<|begin▁of▁sentence|> <｜begin▁of▁sentence｜> <jupyter_code> >>QUESTION<<""".split()
RUNS = ["a", "A", "ab", "Aa", "aB", " ", "  ", "\n", " \n", "\r\n", "\t", "1", "12 ", "'", "''s", '"',
        ".", "/", "\u3000", "\u6f22", "\U0001f600", "e\u0301", "\u0301", "\u00e9", "<", "<s", "= ", "$`",
        "\x00", "\u0661"]


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


def too_much(raw):
    """True for what llama.cpp gives up on: four-byte forms above U+10FFFF, and in raw vocabularies
    spaces in disguise."""
    pairs = list(zip(raw, raw[1:]))
    return any(a > 0xf4 or (a == 0xf4 and b >= 0x90) for a, b in pairs) or (0xc0, 0xa0) in pairs


def make_run(rng):
    """One thing again and again, and something beside it."""
    run = rng.choice(RUNS) * rng.randrange(10, 300)
    return rng.choice(["", "x", " ", "\n", "7"]) + run + rng.choice(["", "x", " ", "\n", "7", "."])


def make_text(rng):
    kind = rng.random()
    if kind < 0.25:
        return pick(rng, WORDS, 12, " ").encode()
    if kind < 0.45:
        return pick(rng, WORDS + SPACES * 3, 12, "").encode()
    if kind < 0.6:
        return "".join(character(rng) for _ in range(rng.randrange(1, 20))).encode()
    if kind < 0.7:
        return pick(rng, SPACES + ["a", ".", "'", "1"], 24, "").encode()
    if kind < 0.85:
        return pick(rng, MARKS * 2 + WORDS + SPACES * 3, 8, "").encode()
    if kind < 0.9:
        return make_run(rng).encode()
    return with_stray_bytes(rng, pick(rng, WORDS, 6, " "))


def make_texts(count, seed):
    rng = random.Random(seed)
    texts = []
    while len(texts) < count:
        text = make_text(rng)
        if not too_much(text):
            texts.append((rng.random() < 0.5, text))
    return texts


class Vocabulary:
    """Of a whole model, or of a file that has nothing else."""

    def __init__(self, folder, path):
        self.lib = llamacpp.load(folder)
        self.quiet = llamacpp.LOG(lambda level, text, data: None)
        self.lib.llama_log_set(self.quiet, None)
        params = llamacpp.model_params(self.lib)
        params.vocab_only = True
        self.model = self.lib.llama_model_load_from_file(os.fsencode(path), params)
        if not self.model:
            raise SystemExit(f"llama.cpp cannot load {path}")
        self.vocab = self.lib.llama_model_get_vocab(self.model)

    def tokenize(self, raw, special):
        out = (ctypes.c_int32 * (len(raw) + 8))()
        count = self.lib.llama_tokenize(self.vocab, raw, len(raw), out, len(out), False, special)
        return list(out[:count])

    def close(self):
        self.lib.llama_model_free(self.model)


def of_llama_cpp(library, path, texts):
    vocabulary = Vocabulary(library, path)
    ids = [vocabulary.tokenize(text, special) for special, text in texts]
    vocabulary.close()
    return ids


def write(library, files):
    texts = make_texts(3000, 1)
    vectors.write_texts(texts)
    for name, path in files.items():
        vectors.write_ids(name, of_llama_cpp(library, path, texts))
        print(name, flush=True)


def compare(library, files, program, count, seed, *names):
    texts = make_texts(int(count), int(seed))
    good = [tokenized.compare(name, program, path, texts, of_llama_cpp(library, path, texts))
            for name, path in files.items() if not names or name in names]
    sys.exit(0 if all(good) else 1)


def main(what, library, folder, gemma, *rest):
    vocabularies.bring(folder)
    files = {name: vocabularies.file_of(name, folder) for name in vocabularies.ALL}
    files["gemma3"] = pathlib.Path(gemma)
    if what == "write":
        write(library, files)
    else:
        compare(library, files, *rest)


if __name__ == "__main__":
    if len(sys.argv) < 5 or sys.argv[1] not in ("write", "compare"):
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
