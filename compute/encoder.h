/* encoder.h: what one tokenizer_encode call works with: its output and memory that is used again
 * from word to word. */
#ifndef COMPUTE_ENCODER_H
#define COMPUTE_ENCODER_H

#include "base/buf.h"
#include "base/fail.h"
#include "compute/merger.h"

#include <string.h>

struct encoder {
	struct merger merger;
	struct buf text;  /* the piece of text at hand, rewritten for the vocabulary */
	struct buf words; /* ends of its words */
	struct buf *out;  /* borrowed: token ids, u32 in host order */
	struct fail *fail;
};

static inline void encoder_put(struct encoder *encoder, uint32_t token)
{
	buf_append(encoder->out, &token, sizeof(token));
}

#endif
