#include "compute/encoder.h"

#include "compute/vocab.h"

#include <stdlib.h>

/* A table with a place for each word's hash; what comes later takes the place. */
#define KNOWN_MIN   256u
#define KNOWN_MAX   16384u
#define KNOWN_BYTES 64u /* a longer word hardly comes twice */
#define SHORT_TEXT  64u /* bytes; not worth a table */

struct known_word {
	uint32_t hash;
	uint32_t start; /* in encoder->text */
	uint32_t first; /* in encoder->out */
	uint16_t size;  /* 0: empty */
	uint16_t count;
};

int encoder_init(struct encoder *encoder, size_t size, struct buf *out, struct fail *fail)
{
	*encoder = (struct encoder){ .out = out, .fail = fail };
	merger_init(&encoder->merger);
	buf_init(&encoder->text);
	buf_init(&encoder->words);
	if (size < SHORT_TEXT)
		return 0;
	uint32_t places = KNOWN_MIN;
	while (places < KNOWN_MAX && places < size / 8)
		places *= 2;
	encoder->known = calloc(places, sizeof(*encoder->known));
	encoder->known_mask = places - 1;
	return encoder->known ? 0 : encoder_no_memory(encoder);
}

void encoder_finish(struct encoder *encoder)
{
	merger_finish(&encoder->merger);
	buf_finish(&encoder->text);
	buf_finish(&encoder->words);
	free(encoder->known);
}

int encoder_no_memory(struct encoder *encoder)
{
	return fail_set(encoder->fail, FAIL_MEMORY, "no memory to tokenize the text");
}

struct word encoder_word(const struct encoder *encoder, uint32_t start, uint32_t end)
{
	struct word word = { .start = start,
			     .size = end - start,
			     .first = (uint32_t)(encoder->out->size / sizeof(uint32_t)) };
	if (encoder->known && word.size <= KNOWN_BYTES)
		word.hash = vocab_hash(encoder->text.data + start, word.size);
	return word;
}

bool encoder_repeat(struct encoder *encoder, const struct word *word)
{
	if (!encoder->known || word->size > KNOWN_BYTES)
		return false;
	const struct known_word known = encoder->known[word->hash & encoder->known_mask];
	const uint8_t *text = encoder->text.data;
	if (known.hash != word->hash || known.size != word->size ||
	    memcmp(text + known.start, text + word->start, word->size) != 0)
		return false;
	const size_t bytes = known.count * sizeof(uint32_t);
	if (!buf_reserve(encoder->out, bytes))
		return true; /* `out` is marked as failed */
	buf_append(encoder->out, encoder->out->data + known.first * sizeof(uint32_t), bytes);
	return true;
}

void encoder_remember(struct encoder *encoder, const struct word *word)
{
	if (!encoder->known || word->size > KNOWN_BYTES)
		return;
	const size_t count = encoder->out->size / sizeof(uint32_t) - word->first;
	encoder->known[word->hash & encoder->known_mask] = (struct known_word){
		.hash = word->hash,
		.start = word->start,
		.first = word->first,
		.size = (uint16_t)word->size,
		.count = (uint16_t)count,
	};
}
