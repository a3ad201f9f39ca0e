#!/usr/bin/env python3
"""Writes compute/template/glyph_tables.h: cases and digits as Python's str has them, which is what
the Unicode Character Database that this Python was built with says. The tables in the tree are of
Unicode 14.0 (Python 3.11)."""
import sys
import unicodedata

LAST = 0x110000


def plain(c):
    return not 0xD800 <= c < 0xE000


def edges(test):
    """Where the answer changes, from false at 0."""
    out, last = [], False
    for c in range(LAST):
        now = plain(c) and test(chr(c))
        if now != last:
            out.append(c)
        last = now
    return out


def mapping(change):
    """Rows (first, last, step, delta) of single characters, and (from, to...) of several."""
    rows, many = [], []
    for c in filter(plain, range(LAST)):
        to = change(chr(c))
        if to == chr(c):
            continue
        if len(to) > 1:
            many.append((c, *map(ord, to)))
            continue
        delta = ord(to) - c
        if rows and rows[-1][3] == delta and c - rows[-1][1] in (1, 2):
            first, last, step, _ = rows[-1]
            if first == last or c - last == step:
                rows[-1] = (first, c, c - last, delta)
                continue
        rows.append((c, c, 1, delta))
    return rows, many


def write(kind, name, items, cell):
    print(f"\nstatic const {kind} {name}[] = {{")
    line = "\t"
    for item in items:
        text = cell(item) + ", "
        if len(line) + len(text) > 92:
            print(line.rstrip())
            line = "\t"
        line += text
    print(line.rstrip() + "\n};")


def braces(numbers):
    return "{ " + ", ".join(str(n) if n < 0 else hex(n) if n > 9 else str(n) for n in numbers) + " }"


def main():
    version = unicodedata.unidata_version
    print(f"/* glyph_tables.h: written by tests/tools/make_glyphs.py from Unicode {version}. */")
    print("#ifndef COMPUTE_TEMPLATE_GLYPH_TABLES_H\n#define COMPUTE_TEMPLATE_GLYPH_TABLES_H")
    print("\n#include <stdint.h>")
    print("\n/* Every second edge begins a run of characters that are so, the next one ends it. */")
    write("uint32_t", "digit_edges", edges(str.isdigit), hex)
    print("\nstruct case_row {\n\tuint32_t first, last, step;\n\tint32_t delta;\n};")
    print("\nstruct case_many {\n\tuint32_t from, to[3];\n};")
    for name, change in ("upper", str.upper), ("lower", str.lower), ("title", str.title):
        rows, many = mapping(change)
        write("struct case_row", name + "_rows", rows, braces)
        write("struct case_many", name + "_many", [(m[0], m[1:]) for m in many],
              lambda m: f"{{ {hex(m[0])}, {braces(m[1])} }}")
    print("\n#endif")


if __name__ == "__main__":
    sys.exit(main())
