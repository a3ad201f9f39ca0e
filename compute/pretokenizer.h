/* pretokenizer.h: cuts text into the words that byte-level BPE works on, by the rule that
 * `tokenizer.ggml.pre` names. A rule is a row of patterns applied one after another, each cutting
 * further; what a pattern does not match stays in one piece. Which characters are
 * letters and numbers is for the Unicode tables of the installed PCRE2 to say. */
#ifndef COMPUTE_PRETOKENIZER_H
#define COMPUTE_PRETOKENIZER_H

#include "base/buf.h"
#include "base/fail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pretokenizer; /* immutable after create; may be shared by threads */

/* FAIL_UNSUPPORTED, by name, when no row has that name. Gives. */
struct pretokenizer *pretokenizer_create(const char *name, size_t size, struct fail *fail);
void pretokenizer_destroy(struct pretokenizer *pretokenizer); /* accepts NULL */

/* True when a word that is a token as a whole is that token, whatever the merges say. */
bool pretokenizer_ignores_merges(const struct pretokenizer *pretokenizer);
/* What files with this rule mean when they do not say whether they want BOS. */
bool pretokenizer_adds_bos(const struct pretokenizer *pretokenizer);

/* Appends the end offset (u32, host order) of each word to `ends`, empty at first. `text` is
 * well-formed UTF-8. Time is linear in the text. */
int pretokenizer_split(const struct pretokenizer *pretokenizer, const uint8_t *text, uint32_t size,
		       struct buf *ends, struct fail *fail);

#endif
