/* tokenizer.h: text to tokens and back, from a GGUF file's tokenizer keys.
 *
 * Kinds: SentencePiece-style (`tokenizer.ggml.model` = "llama", with or without a space prefix) and
 * byte-level BPE ("gpt2") with the pre-tokenizer named by `tokenizer.ggml.pre`. Time is
 * O(n log n) in the text; patterns cannot blow up. */
#ifndef COMPUTE_TOKENIZER_H
#define COMPUTE_TOKENIZER_H

#include "base/buf.h"
#include "base/fail.h"
#include "compute/gguf.h"
#include "compute/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOKENIZER_TEXT_MAX (4u << 20)
#define TOKEN_NONE UINT32_MAX

struct tokenizer; /* immutable after create; may be shared by threads */

/* Copies what it needs: the gguf may be closed afterwards. Refuses vocabularies with duplicates,
 * gaps, ids out of range, pieces over 1 KiB, unknown kinds and pre-tokenizers, by name. Gives. */
struct tokenizer *tokenizer_create(const struct gguf *gguf, struct fail *fail);
void tokenizer_destroy(struct tokenizer *tokenizer); /* accepts NULL */

uint32_t tokenizer_count(const struct tokenizer *tokenizer);
uint64_t tokenizer_bytes(const struct tokenizer *tokenizer); /* memory it holds */
uint32_t tokenizer_bos(const struct tokenizer *tokenizer);   /* or TOKEN_NONE */
uint32_t tokenizer_eos(const struct tokenizer *tokenizer);   /* or TOKEN_NONE */
bool tokenizer_adds_bos(const struct tokenizer *tokenizer);  /* the file's wish for whole prompts */
/* True for eos, eot, eom and tokens spelt like one: generation ends there. ("</s>" as a
 * user-defined token is HTML, as in Gemma's vocabulary, and ends nothing.) */
bool tokenizer_ends(const struct tokenizer *tokenizer, uint32_t token);

struct tokenize_options {
	bool bos;     /* put BOS first, where the vocabulary has one */
	bool special; /* read control tokens in the text as tokens; else as plain text (the
	                 anti-injection switch; user-defined tokens are matched either way) */
	const struct span *spans; /* or NULL: with `special`, control tokens are read within one
	                             trusted span only; all else is as if there were none */
	uint32_t n_spans;         /* together as long as the text */
};

/* Appends ids (u32, host order) to `out`, the same as llama.cpp's. Bytes that are not UTF-8 become
 * byte tokens (SentencePiece) or U+FFFD (BPE). Without `special` no text becomes a control token,
 * not even by merging. FAIL_INVALID over TOKENIZER_TEXT_MAX; FAIL_MEMORY; then `out` is as before. */
int tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t size,
		     const struct tokenize_options *options, struct buf *out, struct fail *fail);

/* Appends the bytes of one token (may be part of a UTF-8 character). Control tokens give nothing
 * unless `special`. `first` drops the prefix space of a SentencePiece text's first token. */
void tokenizer_piece(const struct tokenizer *tokenizer, uint32_t token, bool first, bool special,
		     struct buf *out);

/* ---- streaming text: holds back what may still change. An answer goes on where its prompt ended,
 * so a space at its beginning is kept. ---- */

#define DETOKENIZER_STOPS_MAX 4
#define DETOKENIZER_STOP_BYTES 256

struct detokenizer; /* one per answer */
/* Stop strings are copied. Gives; NULL when memory is short or a stop string is empty or too long. */
struct detokenizer *detokenizer_create(const struct tokenizer *tokenizer, const char *const *stops,
				       uint32_t n_stops);
void detokenizer_destroy(struct detokenizer *detokenizer); /* accepts NULL */
/* Adds a token; appends to `out` the text that is final: whole UTF-8 characters (stray bytes as
 * U+FFFD), nothing that could be the beginning of a stop string. True when a stop string was met:
 * it and all after are cut. Of several the one that is complete first counts, so the text does not
 * depend on how it was cut into tokens. */
bool detokenizer_push(struct detokenizer *detokenizer, uint32_t token, struct buf *out);
/* The end: appends what was held back (incomplete UTF-8 as U+FFFD). */
void detokenizer_flush(struct detokenizer *detokenizer, struct buf *out);

#endif
