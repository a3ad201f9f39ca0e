/* pretokenizer.h: cuts text into the words that byte-pair encoding works on, as the model's
 * `tokenizer.ggml.pre` says. A pre-tokenizer is a row of rules applied one after another, each
 * cutting further. Where llama.cpp's rules differ from those of a model's tokenizer.json (tekken
 * and gpt-4o tell capitals apart in ASCII only), these are llama.cpp's. */
#ifndef COMPUTE_PRETOKENIZER_H
#define COMPUTE_PRETOKENIZER_H

#include "base/buf.h"
#include "base/fail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What files with this name mean where they do not say themselves. */
struct pretokenizer {
	const struct pretokenizer_family *family; /* borrowed; constant */
	bool ignores_merges; /* a word that is a token as a whole is that token */
	bool adds_bos;
	bool raw; /* tokens are spelt in UTF-8 with U+2581 for spaces, not in the byte alphabet */
};

/* A file without a name (NULL) has the oldest rules, "default". FAIL_UNSUPPORTED, by name, when no
 * row has that name. */
int pretokenizer_init(struct pretokenizer *pretokenizer, const char *name, size_t size,
		      struct fail *fail);

/* Appends the end offset (u32, host order) of each word of text[start, end) to `ends`. The text is
 * UTF-8 that may hold surrogates. Time is linear in the text. False when memory is short. */
bool pretokenizer_split(const struct pretokenizer *pretokenizer, const uint8_t *text,
			uint32_t start, uint32_t end, struct buf *ends);

#endif
