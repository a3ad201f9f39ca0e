/* tokenizer_spm.h: SentencePiece's byte-pair merging: spaces become U+2581, characters are symbols,
 * the pair that makes the token of the highest score is joined first. What stays unknown becomes
 * byte tokens. */
#ifndef COMPUTE_TOKENIZER_SPM_H
#define COMPUTE_TOKENIZER_SPM_H

#include "compute/encoder.h"
#include "compute/vocab.h"

struct spm {
	const struct vocab *vocab; /* borrowed */
	uint32_t unknown;          /* for bytes without a token; or TOKEN_NONE */
};

/* FAIL_INVALID when a byte has no token and there is no unknown token. */
int spm_init(struct spm *spm, const struct vocab *vocab, uint32_t unknown, struct fail *fail);

/* Appends the tokens of `text`, preceded by a space when `prefix`. */
int spm_encode(const struct spm *spm, const uint8_t *text, uint32_t size, bool prefix,
	       struct encoder *encoder);

#endif
