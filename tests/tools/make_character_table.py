#!/usr/bin/env python3
"""Writes compute/character_table.h: the class of every Unicode character, as pre-tokenizers tell
them apart.

    pip install unicodedata2==15.1.0
    make_character_table.py >compute/character_table.h

The version is llama.cpp's, so that both cut text alike; a newer one would give new characters to
the classes of letters and symbols that are no such thing for the tokenizers of today."""
import sys

import unicodedata2

VERSION = "15.1.0"
PAGE = 128
LIMIT = 0x32400  # above it stand no letters; E0100 to E01EF are marks, and character.h says so
SPACES = {*range(0x9, 0xe), 0x20, 0x85, 0xa0, 0x1680, *range(0x2000, 0x200b), 0x2028, 0x2029, 0x202f,
          0x205f, 0x3000}  # White_Space
LINES = {0xa, 0xd}
# The letters of DeepSeek LLM's first rule, from its tokenizer.json: those with case, of an old
# Unicode.
CASED = """41-5a 61-7a b5 c0-d6 d8-f6 f8-1ba 1bc-1bf 1c4-293 295-2af 370-373 376-377 37b-37d 37f 386
388-38a 38c 38e-3a1 3a3-3f5 3f7-481 48a-52f 531-556 10a0-10c5 13a0-13f5 13f8-13fd 1c90-1cba 1cbd-1cbf
1d00-1d2b 1d6b-1d77 1d79-1d9a 1e00-1f15 1f18-1f1d 1f20-1f45 1f48-1f4d 1f50-1f57 1f59 1f5b 1f5d
1f5f-1f7d 1f80-1fb4 1fb6-1fbc 1fbe 1fc2-1fc4 1fc6-1fcc 1fd0-1fd3 1fd6-1fdb 1fe0-1fec 1ff2-1ff4
1ff6-1ffc 2102 2107 210a-2113 2115 2119-211d 2124 2126 2128 212a-212d 212f-2134 2139 213c-213f
2145-2149 214e 2183-2184 2c00-2c7b 2c7e-2ce4 2ceb-2cee 2cf2-2cf3 a640-a66d a680-a69b a722-a76f
a771-a787 a78b-a78e ab70-abbf fb00-fb06 fb13-fb17 ff21-ff3a ff41-ff5a 10400-1044f 104b0-104d3
104d8-104fb 10c80-10cb2 10cc0-10cf2 118a0-118df 1e900-1e943""".split()
# Names of character.h; the order is that of the numbers in the table.
CLASSES = ["OTHER", "LETTER", "LETTER CASED", "LETTER CASED UPPER", "LETTER CASED LOWER", "NUMBER",
           "NUMBER DIGIT", "PUNCTUATION", "SYMBOL", "SYMBOL SIGN", "SYMBOL TICK", "MARK", "SPACE",
           "SPACE LINE"]
KINDS = {"L": "LETTER", "N": "NUMBER", "P": "PUNCTUATION", "S": "SYMBOL", "M": "MARK"}


def cased():
    letters = set()
    for part in CASED:
        first, _, last = part.partition("-")
        letters |= set(range(int(first, 16), int(last or first, 16) + 1))
    return letters


def ascii_detail(character, kind):
    if kind == "LETTER CASED":
        return kind + (" UPPER" if character < 0x61 else " LOWER")
    if kind == "NUMBER":
        return "NUMBER DIGIT"
    if kind == "SYMBOL":
        return "SYMBOL TICK" if character == 0x60 else "SYMBOL SIGN"
    return kind


def class_of(character, letters):
    if character in SPACES:
        return "SPACE LINE" if character in LINES else "SPACE"
    kind = KINDS.get(unicodedata2.category(chr(character))[0], "OTHER")
    if character in letters:
        kind += " CASED"
    return ascii_detail(character, kind) if character < 0x80 else kind


def words(page):
    """Sixteen classes a word, the first lowest."""
    for at in range(0, PAGE, 16):
        yield sum(kind << 4 * i for i, kind in enumerate(page[at:at + 16]))


def write_rows(name, values, width, declaration):
    print(f"static const {declaration} = {{")
    per_line = 88 // (width + 2)
    for at in range(0, len(values), per_line):
        print("\t" + " ".join(f"{value}," for value in values[at:at + per_line]))
    print("};\n")


def bits(names):
    return " | ".join(f"CHARACTER_{name}" for name in names.split())


def main():
    if unicodedata2.unidata_version != VERSION:
        sys.exit(f"unicodedata2 of Unicode {VERSION} is needed")
    letters = cased()
    kinds = [CLASSES.index(class_of(c, letters)) for c in range(0x110000)]
    marks = {c for c in range(LIMIT, 0x110000) if CLASSES[kinds[c]] != "OTHER"}
    assert marks == set(range(0xe0100, 0xe01f0)) and CLASSES[kinds[0xe0100]] == "MARK"
    pages, numbers = {}, []
    for at in range(0, LIMIT, PAGE):
        numbers.append(pages.setdefault(tuple(kinds[at:at + PAGE]), len(pages)))
    assert len(pages) <= 256
    print(f"/* Made by tests/tools/make_character_table.py of Unicode {VERSION}; not for editing. */")
    print("/* clang-format off */\n")
    print(f"#define CHARACTER_PAGE  {PAGE}")
    print(f"#define CHARACTER_LIMIT 0x{LIMIT:x}\n")
    write_rows("classes", [bits(names) for names in CLASSES], 40, "uint16_t classes[16]")
    write_rows("ascii", [f"0x{sum(1 << ORDER.index(n) for n in CLASSES[kind].split()):x}"
                         for kind in kinds[:128]], 6, "uint16_t ascii[128]")
    write_rows("page_of", numbers, 3, f"uint8_t page_of[{len(numbers)}]")
    write_rows("pages", [f"0x{word:016x}" for page in pages for word in words(page)], 18,
               f"uint64_t pages[{len(pages) * (PAGE // 16)}]")
    print("/* clang-format on */")


# The bits of character.h, lowest first.
ORDER = ["LETTER", "NUMBER", "PUNCTUATION", "SYMBOL", "MARK", "SPACE", "OTHER", "LINE", "CASED",
         "UPPER", "LOWER", "DIGIT", "SIGN", "TICK"]

if __name__ == "__main__":
    main()
