"""The vocabularies that token ids are compared on: those of llama.cpp's source package, and for
pre-tokenizers that none of them has, one of them under another name."""
import pathlib
import struct

import llama_source

# Of the package, with vectors of its own (.inp and .out).
WITH_VECTORS = ("llama-spm", "llama-bpe", "phi-3", "gpt-2", "mpt", "qwen2", "qwen35", "starcoder",
                "refact", "command-r", "deepseek-llm", "deepseek-coder", "falcon", "gemma-4")
# Of the package, without; none of these names its pre-tokenizer.
WITHOUT_VECTORS = ("aquila", "baichuan", "gpt-neox")
# The pre-tokenizer of llama-bpe's file replaced.
RENAMED = ("tekken", "gpt-4o", "deepseek-v3", "smollm", "dbrx", "glm4", "minicpm5", "laguna",
           "ufakzeka")
# Vocabularies that mostly give the ids of another; their vectors hold the difference.
BASES = {"qwen35": "qwen2", "phi-3": "llama-spm", "gpt-neox": "mpt",
         **{name: "llama-bpe" for name in RENAMED}}
ALL = WITH_VECTORS + WITHOUT_VECTORS + RENAMED


def with_name(source, pre):
    """The bytes of a GGUF file without tensors, its pre-tokenizer renamed."""
    key = struct.pack("<Q", 18) + b"tokenizer.ggml.pre" + struct.pack("<I", 8)
    data = pathlib.Path(source).read_bytes()
    at = data.index(key) + len(key)
    size, = struct.unpack_from("<Q", data, at)
    return data[:at] + struct.pack("<Q", len(pre)) + pre.encode() + data[at + 8 + size:]


def file_of(name, folder):
    """The path of the vocabulary's file in the folder, once `bring` was called."""
    return pathlib.Path(folder) / f"ggml-vocab-{name}.gguf"


def bring(folder):
    """Puts all vocabularies and their vectors into the folder, unless they are there."""
    names = [f"ggml-vocab-{name}.gguf" for name in WITH_VECTORS + WITHOUT_VECTORS]
    names += [f"ggml-vocab-{name}.gguf.{end}" for name in WITH_VECTORS for end in ("inp", "out")]
    llama_source.unpack(folder, names)
    for name in RENAMED:
        if not file_of(name, folder).is_file():
            part = pathlib.Path(folder) / "renamed.part"
            part.write_bytes(with_name(file_of("llama-bpe", folder), name))
            part.rename(file_of(name, folder))
