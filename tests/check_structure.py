#!/usr/bin/env python3
"""Fails when a file includes what its folder may not, passes by another folder's front door, or
grows past the size that one noun needs (CONTRIBUTING.md, "who may know whom")."""
import pathlib
import re
import sys

MAY = {
    "base": "",
    "proto": "base",
    "discovery": "base proto",
    "planner": "base proto",
    "compute": "base",
    "daemon": "base proto discovery planner compute",
}
OPEN = {"base", "proto"}  # every header is public; the others show <folder>/<folder>.h only
# System headers that a folder must stay free of.
FORBIDDEN = {
    "base": r"avahi|vulkan|msgpack|microhttpd",
    "proto": r"sys/socket|netinet|arpa/|pthread|time\.h|uv\.h|avahi|vulkan",
    "discovery": r"vulkan|microhttpd",
    "planner": r"sys/|pthread|time\.h|uv\.h|unistd|fcntl|sodium|msgpack|avahi|vulkan",
    "compute": r"sys/socket|netinet|msgpack|uv\.h|avahi|sodium",
    "daemon": r"immintrin|arm_neon|avahi|vulkan",
}
MAX_LINES = 800


def check_includes(root, folder, path):
    bad = []
    for number, text in enumerate(path.read_text().splitlines(), 1):
        ours = re.match(r'\s*#\s*include\s+"([a-z]+)/(.+)"', text)
        system = re.match(r"\s*#\s*include\s+<(.+)>", text)
        where = f"{path.relative_to(root)}:{number}"
        if system and re.match(FORBIDDEN[folder], system[1]):
            bad.append(f"{where}: {folder} must stay free of <{system[1]}>")
        if not ours or ours[1] == folder or ours[1] not in MAY:
            continue
        front = ours[1] in OPEN or ours[2] == f"{ours[1]}.h"
        if ours[1] not in MAY[folder].split() or not front:
            bad.append(f"{where}: {folder} may not include {ours[1]}/{ours[2]}")
    return bad


def main(root):
    bad, seen = [], 0
    for folder in MAY:
        for path in sorted((root / folder).rglob("*.[ch]")):
            seen += 1
            bad += check_includes(root, folder, path)
            lines = len(path.read_text().splitlines())
            if lines > MAX_LINES:
                bad.append(f"{path.relative_to(root)}: {lines} lines, more than {MAX_LINES}")
    print("\n".join(bad) if bad else f"{seen} files keep the structure")
    return 1 if bad or not seen else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
