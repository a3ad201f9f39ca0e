/* specials.h: control and user-defined tokens in raw text.
 *
 * Longer tokens are found before shorter ones wherever they stand, equal lengths from left to
 * right (that is llama.cpp's order; a plain leftmost-longest search gives other tokens where two
 * of them overlap). O(n log n) in the text, for tokens of bounded length. */
#ifndef COMPUTE_SPECIALS_H
#define COMPUTE_SPECIALS_H

#include "compute/vocab.h"

struct specials; /* immutable after create */

/* A token found in a text. */
struct mark {
	uint32_t start, size; /* bytes */
	uint32_t token;
};

/* Copies what it needs. Gives. */
struct specials *specials_create(const struct vocab *vocab, struct fail *fail);
void specials_destroy(struct specials *specials); /* accepts NULL */
uint64_t specials_memory(const struct specials *specials);

/* Appends the marks (struct mark) of `text` in order of place to `out`, which is empty at first.
 * Control and unknown tokens only where the options allow them. False when memory is short. */
bool specials_find(const struct specials *specials, const uint8_t *text, uint32_t size,
		   const struct tokenize_options *options, struct buf *out);

#endif
