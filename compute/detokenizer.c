/* The detokenizer of tokenizer.h. */
#include "compute/tokenizer.h"

#include "compute/utf8.h"
#include "compute/vocab.h"

#include <stdlib.h>
#include <string.h>

/* A piece, with up to three bytes left from before, if every byte of it became a U+FFFD. */
#define TEXT_MAX (DETOKENIZER_STOP_BYTES + 3 * (VOCAB_PIECE_MAX + 3))

struct stop {
	uint32_t size;
	uint8_t text[DETOKENIZER_STOP_BYTES];
};

struct detokenizer {
	const struct tokenizer *tokenizer; /* borrowed */
	struct stop stops[DETOKENIZER_STOPS_MAX];
	uint32_t n_stops;
	bool stopped;
	struct buf bytes; /* of characters: what is left is a character not yet whole */
	uint32_t held;    /* whole characters that may turn out to begin a stop string */
	uint8_t text[TEXT_MAX];
};

struct detokenizer *detokenizer_create(const struct tokenizer *tokenizer, const char *const *stops,
				       uint32_t n_stops)
{
	struct detokenizer *detokenizer = calloc(1, sizeof(*detokenizer));
	bool ok = detokenizer && n_stops <= DETOKENIZER_STOPS_MAX &&
		  buf_reserve(&detokenizer->bytes, VOCAB_PIECE_MAX + 3);
	for (uint32_t i = 0; ok && i < n_stops; i++) {
		struct stop *stop = &detokenizer->stops[i];
		const size_t size = strlen(stops[i]);
		ok = size > 0 && size <= sizeof(stop->text);
		if (ok)
			memcpy(stop->text, stops[i], size);
		stop->size = (uint32_t)size;
	}
	if (!ok) {
		detokenizer_destroy(detokenizer);
		return NULL;
	}
	detokenizer->tokenizer = tokenizer;
	detokenizer->n_stops = n_stops;
	return detokenizer;
}

void detokenizer_destroy(struct detokenizer *detokenizer)
{
	if (!detokenizer)
		return;
	buf_finish(&detokenizer->bytes);
	free(detokenizer);
}

/* ---- bytes to whole characters ---- */

static void hold(struct detokenizer *detokenizer, const void *bytes, size_t size)
{
	memcpy(detokenizer->text + detokenizer->held, bytes, size);
	detokenizer->held += (uint32_t)size;
}

/* Moves whole characters from `bytes` to the text; what can be none becomes U+FFFD. */
static void take_characters(struct detokenizer *detokenizer)
{
	struct buf *bytes = &detokenizer->bytes;
	size_t at = 0;
	while (at < bytes->size) {
		const int found = utf8_scan(bytes->data + at, bytes->size - at);
		if (found == 0)
			break;
		if (found > 0)
			hold(detokenizer, bytes->data + at, (size_t)found);
		else
			hold(detokenizer, "\xef\xbf\xbd", 3);
		at += (size_t)(found > 0 ? found : -found);
	}
	buf_consume(bytes, at);
}

/* ---- stop strings ---- */

static bool ends_with(const uint8_t *text, uint32_t size, const struct stop *stop)
{
	return size >= stop->size && memcmp(text + size - stop->size, stop->text, stop->size) == 0;
}

/* Where the stop string that is complete first begins (of several, the longest), so that the
 * answer does not depend on how it was cut into tokens. UINT32_MAX when there is none. */
static uint32_t find_stop(const struct detokenizer *detokenizer)
{
	for (uint32_t size = 1; size <= detokenizer->held; size++) {
		uint32_t longest = 0;
		for (uint32_t i = 0; i < detokenizer->n_stops; i++) {
			const struct stop *stop = &detokenizer->stops[i];
			if (stop->size > longest && ends_with(detokenizer->text, size, stop))
				longest = stop->size;
		}
		if (longest > 0)
			return size - longest;
	}
	return UINT32_MAX;
}

static bool may_begin(const struct detokenizer *detokenizer, const uint8_t *text, uint32_t size)
{
	for (uint32_t i = 0; i < detokenizer->n_stops; i++) {
		const struct stop *stop = &detokenizer->stops[i];
		if (size < stop->size && memcmp(text, stop->text, size) == 0)
			return true;
	}
	return false;
}

/* Bytes at the front that can no longer be part of a stop string. */
static uint32_t final_bytes(const struct detokenizer *detokenizer)
{
	uint32_t at = 0;
	while (at < detokenizer->held &&
	       !may_begin(detokenizer, detokenizer->text + at, detokenizer->held - at))
		at++;
	return at;
}

static void put_out(struct detokenizer *detokenizer, uint32_t size, struct buf *out)
{
	buf_append(out, detokenizer->text, size);
	detokenizer->held -= size;
	memmove(detokenizer->text, detokenizer->text + size, detokenizer->held);
}

/* True, and the text before it put out, when the text holds a stop string. */
static bool stop_here(struct detokenizer *detokenizer, struct buf *out)
{
	const uint32_t at = find_stop(detokenizer);
	if (at == UINT32_MAX)
		return false;
	put_out(detokenizer, at, out);
	detokenizer->stopped = true;
	return true;
}

bool detokenizer_push(struct detokenizer *detokenizer, uint32_t token, struct buf *out)
{
	if (detokenizer->stopped)
		return true;
	tokenizer_piece(detokenizer->tokenizer, token, false, false, &detokenizer->bytes);
	take_characters(detokenizer);
	if (detokenizer->n_stops > 0 && stop_here(detokenizer, out))
		return true;
	put_out(detokenizer, final_bytes(detokenizer), out);
	return false;
}

void detokenizer_flush(struct detokenizer *detokenizer, struct buf *out)
{
	if (detokenizer->stopped)
		return;
	if (detokenizer->bytes.size > 0)
		hold(detokenizer, "\xef\xbf\xbd", 3);
	buf_clear(&detokenizer->bytes);
	if (detokenizer->n_stops == 0 || !stop_here(detokenizer, out))
		put_out(detokenizer, detokenizer->held, out);
	detokenizer->stopped = true;
}
