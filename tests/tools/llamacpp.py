"""llama.cpp's libllama by ctypes, as an oracle: tokens in, logits out. Needs a build of llama.cpp
with shared libraries (the folder that holds libllama.so). A tool for developers; no test needs it.

On quantised weights llama.cpp's CPU backend rounds the inputs of products to int8: for Gemma 3 270M
(Q4_K_M) that moves the next token's distribution by 5e-3 nats. Its BLAS backend (a build with
-DGGML_BLAS=ON) turns the weights into floats and multiplies floats, where 32 rows or more pass
together: that is the reference for the model itself. Such a build gets the weights as they are in
the file, since repacked ones are for the CPU backend alone.

The structures are those of llama.h of 2026-08. Only leading fields are named; the defaults that the
library gives are compared, so that a build whose layout differs is refused."""
import ctypes
import os

import numpy


class ModelParams(ctypes.Structure):
    _fields_ = [("before", ctypes.c_uint8 * 72), ("vocab_only", ctypes.c_bool),
                ("check_tensors", ctypes.c_bool), ("use_extra_bufts", ctypes.c_bool),
                ("rest", ctypes.c_uint8 * 437)]


class ContextParams(ctypes.Structure):
    _fields_ = [("n_ctx", ctypes.c_uint32), ("n_batch", ctypes.c_uint32),
                ("n_ubatch", ctypes.c_uint32), ("n_seq_max", ctypes.c_uint32),
                ("n_rs_seq", ctypes.c_uint32), ("n_outputs_max", ctypes.c_uint32),
                ("n_outputs_max_per_seq", ctypes.c_uint32), ("n_threads", ctypes.c_int32),
                ("n_threads_batch", ctypes.c_int32), ("rest", ctypes.c_uint32 * 119)]


class Batch(ctypes.Structure):
    _fields_ = [("n_tokens", ctypes.c_int32), ("token", ctypes.POINTER(ctypes.c_int32)),
                ("embd", ctypes.c_void_p), ("pos", ctypes.POINTER(ctypes.c_int32)),
                ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
                ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
                ("logits", ctypes.POINTER(ctypes.c_int8))]


BLAS = "libggml-blas.so"
LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


def has_blas(folder):
    return os.path.exists(os.path.join(folder, BLAS))


def load(folder):
    for name in ("libggml-base.so", "libggml-cpu.so", *([BLAS] if has_blas(folder) else []),
                 "libggml.so"):
        ctypes.CDLL(os.path.join(folder, name), ctypes.RTLD_GLOBAL)
    lib = ctypes.CDLL(os.path.join(folder, "libllama.so"))
    pointer = ctypes.c_void_p
    for name, result, arguments in (
            ("llama_model_default_params", ModelParams, []),
            ("llama_context_default_params", ContextParams, []),
            ("llama_model_load_from_file", pointer, [ctypes.c_char_p, ModelParams]),
            ("llama_init_from_model", pointer, [pointer, ContextParams]),
            ("llama_model_get_vocab", pointer, [pointer]),
            ("llama_vocab_n_tokens", ctypes.c_int32, [pointer]),
            ("llama_tokenize", ctypes.c_int32, [pointer, ctypes.c_char_p, ctypes.c_int32, pointer,
                                                ctypes.c_int32, ctypes.c_bool, ctypes.c_bool]),
            ("llama_batch_init", Batch, [ctypes.c_int32] * 3),
            ("llama_batch_free", None, [Batch]),
            ("llama_decode", ctypes.c_int32, [pointer, Batch]),
            ("llama_get_logits_ith", ctypes.POINTER(ctypes.c_float), [pointer, ctypes.c_int32]),
            ("llama_get_memory", pointer, [pointer]),
            ("llama_memory_clear", None, [pointer, ctypes.c_bool]),
            ("llama_model_free", None, [pointer]), ("llama_free", None, [pointer]),
            ("llama_log_set", None, [LOG, pointer])):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def model_params(lib):
    params = lib.llama_model_default_params()
    if (params.vocab_only, params.use_extra_bufts) != (False, True):
        raise SystemExit("this build of llama.cpp has another layout of its parameters")
    return params


class LlamaCpp:
    def __init__(self, folder, model, n_ctx=2048, threads=1):
        self.lib = lib = load(folder)
        self.quiet = LOG(lambda level, text, data: None)
        lib.llama_log_set(self.quiet, None)
        params = lib.llama_context_default_params()
        if (params.n_ctx, params.n_batch, params.n_ubatch) != (512, 2048, 512):
            raise SystemExit("this build of llama.cpp has another layout of its parameters")
        params.n_ctx, params.n_threads, params.n_threads_batch = n_ctx, threads, threads
        weights = model_params(lib)
        weights.use_extra_bufts = not has_blas(folder)
        self.model = lib.llama_model_load_from_file(os.fsencode(model), weights)
        if not self.model:
            raise SystemExit(f"llama.cpp cannot load {model}")
        self.vocab = lib.llama_model_get_vocab(self.model)
        self.n_vocab = lib.llama_vocab_n_tokens(self.vocab)
        self.context = lib.llama_init_from_model(self.model, params)
        if not self.context:
            raise SystemExit("llama.cpp cannot make a context")

    def close(self):
        self.lib.llama_free(self.context)
        self.lib.llama_model_free(self.model)

    def tokenize(self, text, bos=True):
        raw = text.encode()
        out = (ctypes.c_int32 * (len(raw) + 8))()
        n = self.lib.llama_tokenize(self.vocab, raw, len(raw), out, len(out), bos, False)
        return list(out[:n])

    def logits(self, tokens, first=0, position=0):
        """Passes tokens from `position` on (0 forgets what was before); f32 [tokens - first,
        vocabulary] of those from index `first` on."""
        lib = self.lib
        if position == 0:
            lib.llama_memory_clear(lib.llama_get_memory(self.context), True)
        rows = []
        for at in range(0, len(tokens), 512):
            part = tokens[at:at + 512]
            batch = lib.llama_batch_init(len(part), 0, 1)
            batch.n_tokens = len(part)
            for i, token in enumerate(part):
                batch.token[i] = token
                batch.pos[i] = position + at + i
                batch.n_seq_id[i] = 1
                batch.seq_id[i][0] = 0
                batch.logits[i] = at + i >= first
            if lib.llama_decode(self.context, batch):
                raise SystemExit("llama.cpp refused a batch")
            for i in range(len(part)):
                if at + i >= first:
                    rows.append(numpy.ctypeslib.as_array(
                        lib.llama_get_logits_ith(self.context, i), (self.n_vocab,)).copy())
            lib.llama_batch_free(batch)
        return numpy.stack(rows)
