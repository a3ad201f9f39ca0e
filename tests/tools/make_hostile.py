#!/usr/bin/env python3
"""Writes GGUF files as an attacker or a broken disk would make them, one for each class of mistake
that loaders of this format have been caught with, and a list of what must be said about each.

    make_hostile.py FOLDER           # FOLDER/NAME.gguf and FOLDER/expected.txt: NAME <tab> fragment
    make_hostile.py --seeds FOLDER   # small sound headers for the fuzz target

Plain Python: the bytes are put together by hand, since no honest writer would make them.
"""
import pathlib
import struct
import sys

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
FORMATS = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "B",
           U64: "Q", I64: "q", F64: "d"}
MAX = 2 ** 64 - 1


def text(value, claim=None):
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw) if claim is None else claim) + raw


def value(kind, content):
    if kind == STRING:
        return text(content)
    if kind == ARRAY:
        element, items = content
        return struct.pack("<IQ", element, len(items)) + b"".join(value(element, i) for i in items)
    return struct.pack("<" + FORMATS[kind], content)


class File:
    """A small sound llama model; tests break one thing in it."""

    def __init__(self):
        self.magic, self.version = b"GGUF", 3
        self.n_tensors = self.n_kvs = None  # claims other than the truth
        self.tail = None                    # cut the file after so many bytes
        self.room = 0                       # extra bytes of data
        self.bare = False                   # leave the data section out
        # key: (type, content), or bytes to write as they are
        self.keys = {
            "general.architecture": (STRING, "llama"),
            "llama.block_count": (U32, 1),
            "llama.context_length": (U32, 64),
            "llama.embedding_length": (U32, 32),
            "llama.feed_forward_length": (U32, 64),
            "llama.attention.head_count": (U32, 4),
            "llama.attention.head_count_kv": (U32, 2),
            "llama.attention.layer_norm_rms_epsilon": (F32, 1e-5),
            "tokenizer.ggml.model": (STRING, "llama"),
            "tokenizer.ggml.tokens": (ARRAY, (STRING, ["<unk>", "<s>", "</s>"] +
                                              [f"<0x{b:02X}>" for b in range(256)] + ["a"])),
            "tokenizer.ggml.scores": (ARRAY, (F32, [0.0] * 260)),
            "tokenizer.ggml.token_type": (ARRAY, (I32, [2, 3, 3] + [6] * 256 + [1])),
        }
        self.more_keys = []  # (key, content) written after, duplicates allowed
        # name: [dims, type, offset or None for "next"]
        self.tensors = {
            "token_embd.weight": [[32, 260], 8, None],
            "output_norm.weight": [[32], 0, None],
            "blk.0.attn_norm.weight": [[32], 0, None],
            "blk.0.attn_q.weight": [[32, 32], 8, None],
            "blk.0.attn_k.weight": [[32, 16], 8, None],
            "blk.0.attn_v.weight": [[32, 16], 8, None],
            "blk.0.attn_output.weight": [[32, 32], 8, None],
            "blk.0.ffn_norm.weight": [[32], 0, None],
            "blk.0.ffn_gate.weight": [[32, 64], 8, None],
            "blk.0.ffn_up.weight": [[32, 64], 8, None],
            "blk.0.ffn_down.weight": [[64, 32], 8, None],
        }
        self.more_tensors = []  # [name, dims, type, offset], written after

    @staticmethod
    def size(dims, kind):
        elements = 1
        for dim in dims:
            elements *= dim
        block, size = {0: (1, 4), 1: (1, 2), 8: (32, 34), 23: (256, 136)}.get(kind, (1, 4))
        return elements // block * size

    def table(self):
        out, offset = b"", 0
        for name, (dims, kind, place) in self.tensors.items():
            here = offset if place is None else place
            out += text(name) + struct.pack("<I", len(dims))
            out += b"".join(struct.pack("<Q", d) for d in dims) + struct.pack("<IQ", kind, here)
            if place is None:
                offset += min((self.size(dims, kind) + 31) // 32 * 32, 1 << 20)
        for name, dims, kind, place in self.more_tensors:
            out += text(name) + struct.pack("<I", len(dims))
            out += b"".join(struct.pack("<Q", d) for d in dims)
            out += struct.pack("<IQ", kind, offset if place is None else place)
        return out, offset

    def build(self):
        kvs = b""
        for key, content in list(self.keys.items()) + self.more_keys:
            kvs += text(key)
            kvs += content if isinstance(content, bytes) else \
                struct.pack("<I", content[0]) + value(*content)
        table, data = self.table()
        count = len(self.tensors) + len(self.more_tensors)
        out = self.magic + struct.pack(
            "<IQQ", self.version, count if self.n_tensors is None else self.n_tensors,
            len(self.keys) + len(self.more_keys) if self.n_kvs is None else self.n_kvs)
        out += kvs + table
        out += b"\0" * (-len(out) % 32)
        out += b"" if self.bare else b"\0" * (data + self.room)
        return out if self.tail is None else out[:self.tail]


def key(name, content):
    def change(file):
        file.keys[name] = content
    return change


def keys(contents):
    def change(file):
        file.keys.update(contents)
    return change


def drop(name):
    def change(file):
        (file.keys if name in file.keys else file.tensors).pop(name)
    return change


def tensor(name, **fields):
    def change(file):
        for field, content in fields.items():
            file.tensors[name][("dims", "type", "offset").index(field)] = content
    return change


def attribute(**fields):
    def change(file):
        for name, content in fields.items():
            setattr(file, name, content)
    return change


def more_key(name, content):
    return lambda file: file.more_keys.append((name, content))


def more_tensor(*fields):
    return lambda file: file.more_tensors.append(list(fields))


def tokens(change_list):
    def change(file):
        change_list(file.keys["tokenizer.ggml.tokens"][1][1])
    return change


def bpe(pre="llama-bpe", merges=None):
    def change(file):
        file.keys["tokenizer.ggml.model"] = (STRING, "gpt2")
        file.keys["tokenizer.ggml.pre"] = (STRING, pre)
        if merges is not None:
            file.keys["tokenizer.ggml.merges"] = (ARRAY, (STRING, merges))
    return change


def raw(kind, *parts):
    return struct.pack("<I", kind) + b"".join(parts)


GATE = "blk.0.ffn_gate.weight"
ODD = "general.odd"

# name, change, fragment of the sentence that must come; "" means that the file is sound
CASES = [
    ("sound", lambda file: None, ""),
    # header
    ("magic", attribute(magic=b"GGML"), "is not a GGUF file"),
    ("empty", attribute(tail=0), "is not a GGUF file"),
    ("version-1", attribute(version=1), "of GGUF version 1"),
    ("version-4", attribute(version=4), "of GGUF version 4"),
    ("big-endian", attribute(version=3 << 24), "big-endian"),
    ("keys-negative", attribute(n_kvs=MAX), "it claims 18446744073709551615 keys"),
    ("keys-many", lambda f: (setattr(f, "n_kvs", 65537), setattr(f, "room", 1 << 20)),
     "it claims 65537 keys"),
    ("keys-more-than-bytes", attribute(n_kvs=60000), "it claims 60000 keys"),
    ("tensors-negative", attribute(n_tensors=MAX), "it claims 18446744073709551615 tensors"),
    ("tensors-many", lambda f: (setattr(f, "n_tensors", 65537), setattr(f, "room", 1 << 22)),
     "it claims 65537 tensors"),
    ("tensors-more-than-there", lambda f: (setattr(f, "n_tensors", 100), setattr(f, "room", 4096)),
     "malformed"),
    # strings
    ("string-wraps", key(ODD, raw(STRING, text(b"", MAX - 7))), "claims 18446744073709551608 bytes"),
    ("string-over-limit", key(ODD, raw(STRING, text(b"", (4 << 20) + 1))), "claims 4194305 bytes"),
    ("string-past-end", key(ODD, raw(STRING, text(b"", 4 << 20))), "more than the file has left"),
    ("key-long", lambda f: (f.more_keys.append(("k" * 65536, (U8, 1))),), "claims 65536 bytes"),
    ("key-empty", key("", (U8, 1)), "a key is empty"),
    ("key-control-bytes", key("a\nb", (U8, 1)), "not plain ASCII"),
    ("key-twice", more_key("llama.block_count", (U32, 1)), "has the key llama.block_count twice"),
    ("name-long", more_tensor("t" * 64, [1], 0, None), "claims 64 bytes"),
    ("name-empty", more_tensor("", [1], 0, None), "tensor's name is empty"),
    ("name-twice", lambda f: (f.more_tensors.append([GATE, [1], 0, None]), setattr(f, "room", 64)),
     "has the tensor blk.0.ffn_gate.weight twice"),
    # values and arrays
    ("value-type-unknown", key(ODD, raw(13, b"\0" * 8)), "unknown value type 13"),
    ("value-type-negative", key(ODD, raw(0xffffffff, b"\0" * 8)), "unknown value type 4294967295"),
    ("bool-2", key(ODD, raw(BOOL, b"\2")), "neither 0 nor 1"),
    ("bool-2-in-array", key(ODD, raw(ARRAY, struct.pack("<IQ", BOOL, 2), b"\1\2")),
     "neither 0 nor 1"),
    ("array-product-wraps", key(ODD, raw(ARRAY, struct.pack("<IQ", U64, 1 << 61))),
     "claims 2305843009213693952 elements"),
    ("array-over-limit", key(ODD, raw(ARRAY, struct.pack("<IQ", U8, (1 << 22) + 1))),
     "claims 4194305 elements"),
    ("array-past-end", key(ODD, raw(ARRAY, struct.pack("<IQ", U64, 1 << 20))),
     "claims 1048576 values, more than the file has left"),
    ("array-of-arrays", key(ODD, (ARRAY, (ARRAY, [(U8, [1])]))), "array of arrays"),
    ("array-type-unknown", key(ODD, raw(ARRAY, struct.pack("<IQ", 77, 1), b"\0" * 8)),
     "unknown value type 77"),
    ("array-string-wraps", key(ODD, raw(ARRAY, struct.pack("<IQ", STRING, 1), text(b"", MAX))),
     "claims 18446744073709551615 bytes"),
    # tensors
    ("dims-0", tensor(GATE, dims=[]), "has 0 dimensions"),
    ("dims-5", tensor(GATE, dims=[32, 1, 1, 1, 1]), "has 5 dimensions"),
    ("dim-zero", tensor(GATE, dims=[32, 0]), "dimension 1 of the tensor blk.0.ffn_gate.weight is 0"),
    ("dim-negative", tensor(GATE, dims=[MAX, 2]), "which cannot be"),
    ("dims-overflow", tensor(GATE, dims=[1 << 40, 1 << 24]), "which cannot be"),
    ("dims-int64-max", tensor(GATE, dims=[2 ** 63 - 1, 2]), "which cannot be"),
    ("dims-beyond-32-bits", tensor(GATE, dims=[1 << 33, 1]), "reaches past the file's end"),
    ("bytes-overflow", tensor(GATE, dims=[1 << 40, 1 << 22], type=0), "overflows"),
    ("block-does-not-divide", tensor(GATE, dims=[33, 64]), "not a multiple of the 32"),
    ("type-unknown", tensor(GATE, type=97), "unknown type 97"),
    ("type-negative", tensor(GATE, type=0xffffffff), "unknown type 4294967295"),
    ("type-dead", tensor(GATE, type=4), "unknown type 4"),
    ("offset-wraps", tensor(GATE, offset=MAX - 31), "reaches past the file's end"),
    ("padding-wraps", tensor(GATE, offset=MAX & ~31), "reaches past the file's end"),
    ("offset-past-end", tensor(GATE, offset=1 << 20), "reaches past the file's end"),
    ("offset-unaligned", tensor(GATE, offset=33), "is not aligned"),
    ("tensors-overlap", tensor(GATE, offset=32), "overlap"),
    ("alignment-0", key("general.alignment", (U32, 0)), "general.alignment is 0"),
    ("alignment-odd", key("general.alignment", (U32, 48)), "general.alignment is 48"),
    ("alignment-huge", key("general.alignment", (U32, 1 << 31)), "general.alignment is 2147483648"),
    ("alignment-type", key("general.alignment", (U64, 32)), "not a 32-bit number"),
    # cut short
    ("cut-in-header", attribute(tail=20), "ends inside the header"),
    ("cut-in-keys", attribute(tail=600), "cut short"),
    ("cut-in-tensor-table", attribute(tail=6550), "cut short"),
    ("cut-in-data", attribute(tail=9000), "reaches past the file's end"),
    # models
    ("family-missing", drop("general.architecture"), "no general.architecture"),
    ("family-unknown", key("general.architecture", (STRING, "mamba")), "family 'mamba'"),
    ("family-not-text", key("general.architecture", (U32, 1)), "no general.architecture"),
    ("not-a-model", key("general.type", (STRING, "adapter")), "of type 'adapter'"),
    ("part-of-a-model", key("split.count", (U16, 3)), "one of 3 parts"),
    ("layers-spare", key("llama.nextn_predict_layers", (U32, 1)), "guess further tokens"),
    ("experts-used-missing", key("llama.expert_count", (U32, 8)),
     "lacks the key llama.expert_used_count"),
    ("experts-many", key("llama.expert_count", (U32, 1 << 20)), "expert_count is 1048576"),
    ("experts-used-beyond", lambda f: (
        key("llama.expert_count", (U32, 2))(f),
        key("llama.expert_used_count", (U32, 3))(f)), "of 2 experts it cannot use 3"),
    ("experts-not-there", lambda f: (
        key("llama.expert_count", (U32, 2))(f),
        key("llama.expert_used_count", (U32, 1))(f)), "lacks the tensor blk.0.ffn_gate_inp.weight"),
    ("experts-shared", key("llama.expert_shared_count", (U32, 1)), "experts that every token"),
    ("experts-gating-unknown", lambda f: (
        key("llama.expert_count", (U32, 2))(f),
        key("llama.expert_used_count", (U32, 1))(f),
        key("llama.expert_gating_func", (U32, 9))(f)), "expert_gating_func is 9"),
    ("rope-scaling-unknown", key("llama.rope.scaling.type", (STRING, "magic")), "by 'magic'"),
    ("yarn-beta-0", lambda f: (
        key("llama.rope.scaling.type", (STRING, "yarn"))(f),
        key("llama.rope.scaling.yarn_beta_fast", (F32, 0.0))(f)), "yarn_beta_fast is 0"),
    ("scale-of-another-family", key("llama.logit_scale", (F32, 2.0)), "scaled logits"),
    ("template-huge", key("tokenizer.chat_template", (STRING, "x" * (257 << 10))),
     "chat template has 263168 bytes"),
    ("layers-0", key("llama.block_count", (U32, 0)), "llama.block_count is 0"),
    ("layers-many", key("llama.block_count", (U32, 0xffffffff)), "llama.block_count is 4294967295"),
    ("layers-more-than-there", key("llama.block_count", (U32, 2)), "lacks the tensor blk.1."),
    ("layers-fewer-than-there", lambda f: (
        f.more_tensors.append(["blk.1.attn_norm.weight", [32], 0, None]), setattr(f, "room", 128)),
     "has the tensor blk.1.attn_norm.weight, which this version does not know"),
    ("layers-negative", key("llama.block_count", (I32, -1)), "not a whole number"),
    ("layers-not-number", key("llama.block_count", (STRING, "1")), "not a whole number"),
    ("layers-missing", drop("llama.block_count"), "lacks the key llama.block_count"),
    ("width-40000", keys({"llama.embedding_length": (U32, 40000),
                          "llama.attention.head_count": (U32, 100)}), "has 40000 numbers a token"),
    ("width-0", key("llama.embedding_length", (U32, 0)), "llama.embedding_length is 0"),
    ("heads-0", key("llama.attention.head_count", (U32, 0)), "head_count is 0"),
    ("heads-kv-0", key("llama.attention.head_count_kv", (U32, 0)), "head_count_kv is 0"),
    ("heads-uneven", key("llama.attention.head_count_kv", (U32, 3)), "cannot share"),
    ("heads-do-not-divide", key("llama.attention.head_count", (U32, 6)), "do not divide"),
    ("head-width-0", key("llama.attention.key_length", (U32, 0)), "key_length is 0"),
    ("head-width-odd", key("llama.attention.key_length", (U32, 7)), "must be even"),
    ("rope-dims-0", key("llama.rope.dimension_count", (U32, 0)), "dimension_count is 0"),
    ("rope-dims-wide", key("llama.rope.dimension_count", (U32, 64)), "dimension_count is 64"),
    ("rope-base-infinite", key("llama.rope.freq_base", (F32, float("inf"))), "freq_base is inf"),
    ("rope-factor-negative", lambda f: (
        key("llama.rope.scaling.type", (STRING, "linear"))(f),
        key("llama.rope.scaling.factor", (F32, -1.0))(f)), "factor is -1"),
    ("epsilon-nan", key("llama.attention.layer_norm_rms_epsilon", (F32, float("nan"))),
     "epsilon is nan"),
    ("epsilon-missing", drop("llama.attention.layer_norm_rms_epsilon"), "lacks the key"),
    ("ff-0", key("llama.feed_forward_length", (U32, 0)), "feed_forward_length is 0"),
    ("ff-list-short", key("llama.feed_forward_length", (ARRAY, (I32, []))),
     "has 0 numbers for 1 layers"),
    ("context-0", key("llama.context_length", (U32, 0)), "context_length is 0"),
    ("vocabulary-empty", key("tokenizer.ggml.tokens", (ARRAY, (STRING, []))), "empty vocabulary"),
    ("shape-of-table", tensor("token_embd.weight", dims=[32, 259]), "its keys ask for 32 x 260"),
    ("shape-transposed", tensor("blk.0.ffn_down.weight", dims=[32, 64]), "its keys ask for 64 x 32"),
    ("shape-three-sides", tensor("blk.0.ffn_down.weight", dims=[64, 16, 2]), "64 x 16 x 2"),
    ("tensor-missing", drop(GATE), "lacks the tensor blk.0.ffn_gate.weight"),
    ("type-not-computed", tensor(GATE, type=24), "has type I8"),
    # vocabularies
    ("piece-long", tokens(lambda t: t.__setitem__(259, "a" * 1025)),
     "token 259 of the vocabulary has 1025"),
    ("pieces-equal", tokens(lambda t: t.__setitem__(259, "<s>")), "tokens 1 and 259"),
    ("token-types-short", key("tokenizer.ggml.token_type", (ARRAY, (I32, [1, 2]))),
     "has 2 entries for 260 tokens"),
    ("token-types-text", key("tokenizer.ggml.token_type", (ARRAY, (STRING, ["a"] * 260))),
     "not numbers"),
    ("score-nan", key("tokenizer.ggml.scores", (ARRAY, (F32, [float("nan")] * 260))),
     "token 0 has no number as score"),
    ("token-id-past-end", key("tokenizer.ggml.bos_token_id", (U32, 260)),
     "bos_token_id is 260, but the vocabulary has 260"),
    ("tokenizer-unknown", key("tokenizer.ggml.model", (STRING, "t5")), "kind \"t5\" is not known"),
    ("tokenizer-missing", drop("tokenizer.ggml.model"), "tokenizer.ggml.model is missing"),
    ("merges-missing", bpe(), "tokenizer.ggml.merges is missing"),
    ("merge-of-nothing", bpe(merges=["a b"]), "merge 0 of the vocabulary does not make a token"),
    ("merge-without-space", bpe(merges=["aa"]), "merge 0 of the vocabulary does not make a token"),
    ("pretokenizer-unknown", bpe(pre="klingon", merges=[]), "klingon"),
    ("norm-half", tensor("output_norm.weight", type=1), "norms and biases must be F32"),
]


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, change, fragment in CASES:
        file = File()
        change(file)
        (folder / f"{name}.gguf").write_bytes(file.build())
        lines.append(f"{name}\t{fragment}\n")
    (folder / "expected.txt").write_text("".join(lines))


def seeds(folder):
    folder.mkdir(parents=True, exist_ok=True)
    kinds = File()
    kinds.keys = {f"{kind}": (kind, 1) for kind in FORMATS}
    kinds.keys.update({f"list{kind}": (ARRAY, (kind, [0, 1])) for kind in FORMATS})
    kinds.keys["words"] = (ARRAY, (STRING, ["", "one"]))
    kinds.keys["general.alignment"] = (U32, 8)
    kinds.tensors = {f"t{kind}": [[256, 1], kind, kind * 2048] for kind in (0, 1, 2, 6, 12, 14, 30)}
    llama = File()
    for name in list(llama.keys):
        if name.startswith("tokenizer"):
            del llama.keys[name]
    llama.keys["llama.vocab_size"] = (U32, 260)
    llama.keys["llama.rope.scaling.type"] = (STRING, "linear")
    gemma = File()
    gemma.keys = {k.replace("llama", "gemma3"): v for k, v in llama.keys.items()}
    gemma.keys["general.architecture"] = (STRING, "gemma3")
    gemma.keys["gemma3.attention.sliding_window"] = (U32, 8)
    for name, width in (("attn_q_norm", 8), ("attn_k_norm", 8), ("post_attention_norm", 32),
                        ("post_ffw_norm", 32)):
        gemma.tensors[f"blk.0.{name}.weight"] = [[width], 0, None]
    for name, file in (("kinds", kinds), ("llama", llama), ("gemma3", gemma)):
        file.bare = True
        (folder / name).write_bytes(file.build())


if __name__ == "__main__":
    if sys.argv[1] == "--seeds":
        seeds(pathlib.Path(sys.argv[2]))
    else:
        main(pathlib.Path(sys.argv[1]))
