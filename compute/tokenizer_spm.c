#include "compute/tokenizer_spm.h"

#include "compute/utf8.h"

#include <string.h>

#define SPACE       "\xe2\x96\x81"
#define SPACE_BYTES 3u

static bool is_space(const uint8_t *text, size_t size)
{
	return size == SPACE_BYTES && memcmp(text, SPACE, SPACE_BYTES) == 0;
}

/* A lead byte takes the bytes it announces without looking at them, as llama.cpp does. */
static uint32_t symbol_size(uint8_t lead, uint32_t left)
{
	const uint32_t announced = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
	return announced < left ? announced : left;
}

static void note_spaces(struct spm *spm, const uint8_t *piece, uint32_t size)
{
	for (uint32_t i = 1; i + SPACE_BYTES <= size; i++) {
		if (is_space(piece + i, SPACE_BYTES))
			spm->before_space[piece[i - 1]] = true;
	}
}

int spm_init(struct spm *spm, const struct vocab *vocab, uint32_t unknown, struct fail *fail)
{
	memset(spm, 0, sizeof(*spm));
	spm->vocab = vocab;
	spm->unknown = unknown;
	for (uint32_t byte = 0; byte < 256; byte++) {
		if (vocab->bytes[byte] == TOKEN_NONE && unknown == TOKEN_NONE)
			return fail_set(fail, FAIL_INVALID,
					"the vocabulary has no token for byte %u and none for the "
					"unknown",
					byte);
	}
	for (uint32_t i = 0; i < vocab->count; i++) {
		uint32_t size;
		const uint8_t *piece = vocab_piece(vocab, i, &size);
		note_spaces(spm, piece, size);
	}
	return 0;
}

struct joining {
	const struct vocab *vocab;
	const uint8_t *text;
};

static bool join(const void *context, const struct symbol *left, const struct symbol *right,
		 uint32_t *rank, uint32_t *token)
{
	const struct joining *joining = context;
	*token = vocab_find(joining->vocab, joining->text + left->start,
			    (size_t)left->size + right->size);
	if (*token == TOKEN_NONE)
		return false;
	*rank = joining->vocab->ranks[*token];
	return true;
}

static void put_symbol(const struct spm *spm, const struct symbol *symbol, const uint8_t *text,
		       struct encoder *encoder)
{
	if (symbol->token != TOKEN_NONE) {
		encoder_put(encoder, symbol->token);
		return;
	}
	for (uint32_t i = 0; i < symbol->size; i++) {
		const uint32_t token = spm->vocab->bytes[text[symbol->start + i]];
		encoder_put(encoder, token != TOKEN_NONE ? token : spm->unknown);
	}
}

/* Joins what was gathered and puts it out. */
static bool put_run(const struct spm *spm, const uint8_t *text, struct encoder *encoder)
{
	struct merger *merger = &encoder->merger;
	if (merger->count == 0)
		return true;
	const struct joining joining = { .vocab = spm->vocab, .text = text };
	if (!merger_run(merger, join, &joining))
		return false;
	for (uint32_t i = 0; i != SYMBOL_END; i = merger->symbols[i].next)
		put_symbol(spm, &merger->symbols[i], text, encoder);
	merger_clear(merger);
	return true;
}

static bool put_runs(const struct spm *spm, const uint8_t *text, uint32_t size,
		     struct encoder *encoder)
{
	for (uint32_t at = 0; at < size;) {
		const uint32_t length = symbol_size(text[at], size - at);
		if (at > 0 && is_space(text + at, length) && !spm->before_space[text[at - 1]] &&
		    !put_run(spm, text, encoder))
			return false;
		const uint32_t token = vocab_find(spm->vocab, text + at, length);
		if (!merger_add(&encoder->merger, at, length, token))
			return false;
		at += length;
	}
	return put_run(spm, text, encoder);
}

static void escape_spaces(struct buf *out, const uint8_t *text, uint32_t size)
{
	const uint8_t *end = text + size;
	while (text < end) {
		const uint8_t *space = memchr(text, ' ', (size_t)(end - text));
		buf_append(out, text, (size_t)((space ? space : end) - text));
		if (!space)
			break;
		buf_append(out, SPACE, SPACE_BYTES);
		text = space + 1;
	}
}

int spm_encode(const struct spm *spm, const uint8_t *text, uint32_t size, bool prefix,
	       struct encoder *encoder)
{
	struct buf *escaped = &encoder->text;
	buf_clear(escaped);
	merger_clear(&encoder->merger);
	if (prefix)
		buf_append(escaped, SPACE, SPACE_BYTES);
	escape_spaces(escaped, text, size);
	if (escaped->failed || !put_runs(spm, escaped->data, (uint32_t)escaped->size, encoder))
		return fail_set(encoder->fail, FAIL_MEMORY, "no memory to tokenize the text");
	return 0;
}
