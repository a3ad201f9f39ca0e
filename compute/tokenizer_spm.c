#include "compute/tokenizer_spm.h"

#include "compute/utf8.h"

#include <string.h>

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

static bool join_word(const struct spm *spm, const struct word *word, struct encoder *encoder)
{
	const uint8_t *text = encoder->text.data;
	const uint32_t end = word->start + word->size;
	struct merger *merger = &encoder->merger;
	merger_clear(merger);
	for (uint32_t at = word->start; at < end;) {
		const uint32_t size = utf8_announced(text[at], end - at);
		if (!merger_add(merger, at, size, vocab_find(spm->vocab, text + at, size)))
			return false;
		at += size;
	}
	const struct joining joining = { .vocab = spm->vocab, .text = text };
	if (!merger_run(merger, join, &joining))
		return false;
	for (uint32_t i = 0; i != SYMBOL_END; i = merger->symbols[i].next)
		put_symbol(spm, &merger->symbols[i], text, encoder);
	return true;
}

static bool put_word(const struct spm *spm, uint32_t start, uint32_t end, struct encoder *encoder)
{
	const struct word word = encoder_word(encoder, start, end);
	if (encoder_repeat(encoder, &word))
		return true;
	if (!join_word(spm, &word, encoder))
		return false;
	encoder_remember(encoder, &word);
	return true;
}

static void append_escaped(const uint8_t *text, uint32_t size, struct buf *out)
{
	const uint8_t *end = text + size;
	while (text < end) {
		const uint8_t *space = memchr(text, ' ', (size_t)(end - text));
		buf_append(out, text, (size_t)((space ? space : end) - text));
		if (!space)
			break;
		buf_append(out, VOCAB_SPACE, VOCAB_SPACE_BYTES);
		text = space + 1;
	}
}

int spm_encode(const struct spm *spm, const uint8_t *text, uint32_t size, bool prefix,
	       struct encoder *encoder)
{
	struct buf *escaped = &encoder->text;
	uint32_t from = (uint32_t)escaped->size;
	if (prefix)
		buf_append(escaped, VOCAB_SPACE, VOCAB_SPACE_BYTES);
	append_escaped(text, size, escaped);
	if (escaped->failed)
		return encoder_no_memory(encoder);
	const uint32_t end = (uint32_t)escaped->size;
	while (from < end) {
		const uint32_t cut = vocab_cut(spm->vocab, escaped->data, from, end);
		if (!put_word(spm, from, cut, encoder))
			return encoder_no_memory(encoder);
		from = cut;
	}
	return 0;
}
