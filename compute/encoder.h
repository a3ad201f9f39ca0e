/* encoder.h: what one tokenizer_encode call works with: its output, memory that is used again from
 * word to word, and what words became before: texts repeat themselves, and a word always becomes
 * the same tokens. */
#ifndef COMPUTE_ENCODER_H
#define COMPUTE_ENCODER_H

#include "base/buf.h"
#include "base/fail.h"
#include "compute/merger.h"

#include <string.h>

struct known_word;

struct encoder {
	struct merger merger;
	struct buf text;  /* the text so far, rewritten for the vocabulary; only ever appended to */
	struct buf words; /* ends of the words of the piece at hand */
	struct buf *out;  /* borrowed: token ids, u32 in host order */
	struct fail *fail;
	struct known_word *known; /* owned; NULL for short texts */
	uint32_t known_mask;
};

/* For a text of `size` bytes. Finish it after a failure too. */
int encoder_init(struct encoder *encoder, size_t size, struct buf *out, struct fail *fail);
void encoder_finish(struct encoder *encoder);

/* Sets the sentence for a lack of memory while encoding; gives -FAIL_MEMORY. */
int encoder_no_memory(struct encoder *encoder);

static inline void encoder_put(struct encoder *encoder, uint32_t token)
{
	buf_append(encoder->out, &token, sizeof(token));
}

/* A word of encoder->text that is to be encoded. */
struct word {
	uint32_t start, size;
	uint32_t hash;
	uint32_t first; /* its first token's index in `out` */
};

struct word encoder_word(const struct encoder *encoder, uint32_t start, uint32_t end);
/* True when the word was encoded before: its tokens are appended. */
bool encoder_repeat(struct encoder *encoder, const struct word *word);
/* Call when all tokens of the word are in `out`. */
void encoder_remember(struct encoder *encoder, const struct word *word);

#endif
