/* tokenizer_bpe.h: byte-pair encoding: words are cut by the pre-tokenizer, the pair that comes
 * first in the file's list of merges is joined first. Symbols are bytes, or where the vocabulary is
 * spelt in UTF-8 itself (pretokenizer.raw), characters; those without a token become byte tokens.
 */
#ifndef COMPUTE_TOKENIZER_BPE_H
#define COMPUTE_TOKENIZER_BPE_H

#include "compute/encoder.h"
#include "compute/pretokenizer.h"
#include "compute/vocab.h"

struct merge {
	uint32_t left, right, token;
};

struct bpe {
	const struct vocab *vocab; /* borrowed */
	struct pretokenizer pretokenizer;
	struct merge *merges; /* owned, best first */
	uint32_t *slots;      /* owned hash table: merge + 1; 0 is empty */
	uint32_t count, mask;
};

/* Reads `tokenizer.ggml.merges`. Finish it after a failure too. */
int bpe_init(struct bpe *bpe, const struct gguf *gguf, const struct vocab *vocab,
	     const struct pretokenizer *pretokenizer, struct fail *fail);
void bpe_finish(struct bpe *bpe);
uint64_t bpe_memory(const struct bpe *bpe);

/* Appends the tokens of `text`. Bytes that are not UTF-8 are read as U+FFFD, one each. */
int bpe_encode(const struct bpe *bpe, const uint8_t *text, uint32_t size, struct encoder *encoder);

#endif
