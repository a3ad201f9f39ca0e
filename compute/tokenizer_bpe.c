#include "compute/tokenizer_bpe.h"

#include "compute/utf8.h"

#include <stdlib.h>
#include <string.h>

#define MERGES_MAX (4u << 20)
#define PROBES_MAX 512u /* see vocab.c */

/* ---- the merges ---- */

/* The slot that holds the pair, or the empty one where it belongs; NULL after PROBES_MAX. */
static uint32_t *find_slot(const struct bpe *bpe, uint32_t left, uint32_t right)
{
	const uint64_t hash = vocab_mix((uint64_t)left << 32 | right);
	for (uint32_t i = 0; i < PROBES_MAX; i++) {
		uint32_t *slot = &bpe->slots[(hash + i) & bpe->mask];
		if (*slot == 0)
			return slot;
		const struct merge *merge = &bpe->merges[*slot - 1];
		if (merge->left == left && merge->right == right)
			return slot;
	}
	return NULL;
}

/* "left right": the space is the first one after the first byte. Both halves and the whole are
 * tokens, or the file is broken. */
static bool parse_merge(const struct vocab *vocab, const uint8_t *text, size_t size,
			struct merge *merge)
{
	const uint8_t *space = size > 1 ? memchr(text + 1, ' ', size - 1) : NULL;
	if (!space || size > VOCAB_PIECE_MAX + 1)
		return false;
	const size_t left = (size_t)(space - text);
	uint8_t whole[VOCAB_PIECE_MAX + 1];
	memcpy(whole, text, left);
	memcpy(whole + left, space + 1, size - left - 1);
	merge->left = vocab_spelt(vocab, text, left);
	merge->right = vocab_spelt(vocab, space + 1, size - left - 1);
	merge->token = vocab_spelt(vocab, whole, size - 1);
	return merge->left != TOKEN_NONE && merge->right != TOKEN_NONE &&
	       merge->token != TOKEN_NONE;
}

/* A merge that makes a control token is left out: text never becomes one. Of equal ones the first
 * counts. */
static int index_merge(struct bpe *bpe, uint32_t index, struct fail *fail)
{
	const struct merge *merge = &bpe->merges[index];
	if (!vocab_is_text(bpe->vocab, merge->token))
		return 0;
	uint32_t *slot = find_slot(bpe, merge->left, merge->right);
	if (!slot)
		return fail_set(fail, FAIL_INVALID,
				"the vocabulary is made to be slow: too many merges collide at "
				"merge %u",
				index);
	if (*slot == 0)
		*slot = index + 1;
	return 0;
}

static int read_merge(struct bpe *bpe, struct reader *reader, uint32_t index, struct fail *fail)
{
	const uint64_t size = reader_u64(reader);
	const uint8_t *text =
		size <= reader_left(reader) ? reader_take(reader, (size_t)size) : NULL;
	if (!text || !parse_merge(bpe->vocab, text, (size_t)size, &bpe->merges[index]))
		return fail_set(fail, FAIL_INVALID,
				"merge %u of the vocabulary does not make a token of two tokens",
				index);
	return index_merge(bpe, index, fail);
}

static int read_merges(struct bpe *bpe, const struct gguf *gguf, struct fail *fail)
{
	struct gguf_array array;
	if (!gguf_array(gguf, "tokenizer.ggml.merges", &array) || array.type != GGUF_STRING)
		return fail_set(fail, FAIL_INVALID,
				"the file has no merges: tokenizer.ggml.merges is missing");
	if (array.count > MERGES_MAX)
		return fail_set(fail, FAIL_UNSUPPORTED,
				"the vocabulary has %llu merges; this version takes up to %u",
				(unsigned long long)array.count, MERGES_MAX);
	bpe->count = (uint32_t)array.count;
	uint32_t slots = 1024;
	while (slots < bpe->count + bpe->count / 2)
		slots *= 2;
	bpe->mask = slots - 1;
	bpe->merges = calloc(bpe->count + 1, sizeof(*bpe->merges));
	bpe->slots = calloc(slots, sizeof(*bpe->slots));
	if (!bpe->merges || !bpe->slots)
		return fail_set(fail, FAIL_MEMORY, "no memory for %u merges", bpe->count);
	struct reader reader;
	reader_init(&reader, array.bytes, array.size);
	for (uint32_t i = 0; i < bpe->count; i++) {
		const int result = read_merge(bpe, &reader, i, fail);
		if (result < 0)
			return result;
	}
	return 0;
}

int bpe_init(struct bpe *bpe, const struct gguf *gguf, const struct vocab *vocab, struct fail *fail)
{
	const char *name;
	size_t size;
	memset(bpe, 0, sizeof(*bpe));
	bpe->vocab = vocab;
	if (!gguf_string(gguf, "tokenizer.ggml.pre", &name, &size))
		return fail_set(fail, FAIL_UNSUPPORTED,
				"the file does not name its pre-tokenizer (tokenizer.ggml.pre); "
				"convert the model again with a current converter");
	bpe->pretokenizer = pretokenizer_create(name, size, fail);
	if (!bpe->pretokenizer)
		return -FAIL_UNSUPPORTED;
	return read_merges(bpe, gguf, fail);
}

void bpe_finish(struct bpe *bpe)
{
	pretokenizer_destroy(bpe->pretokenizer);
	free(bpe->merges);
	free(bpe->slots);
	memset(bpe, 0, sizeof(*bpe));
}

uint64_t bpe_memory(const struct bpe *bpe)
{
	return (uint64_t)bpe->count * sizeof(*bpe->merges) +
	       ((uint64_t)bpe->mask + 1) * sizeof(*bpe->slots);
}

/* ---- encoding ---- */

static bool join(const void *context, const struct symbol *left, const struct symbol *right,
		 uint32_t *rank, uint32_t *token)
{
	const struct bpe *bpe = context;
	if (left->token == TOKEN_NONE || right->token == TOKEN_NONE)
		return false;
	const uint32_t *slot = find_slot(bpe, left->token, right->token);
	if (!slot || *slot == 0)
		return false;
	*rank = *slot - 1;
	*token = bpe->merges[*rank].token;
	return true;
}

/* Bytes without a token (some old vocabularies lack a few) are lost, as in llama.cpp. */
static bool put_word(const struct bpe *bpe, const uint8_t *word, uint32_t size,
		     struct encoder *encoder)
{
	if (size == 1 || pretokenizer_ignores_merges(bpe->pretokenizer)) {
		const uint32_t token = vocab_find(bpe->vocab, word, size);
		if (token != TOKEN_NONE) {
			encoder_put(encoder, token);
			return true;
		}
	}
	struct merger *merger = &encoder->merger;
	merger_clear(merger);
	for (uint32_t i = 0; i < size; i++) {
		if (!merger_add(merger, i, 1, bpe->vocab->bytes[word[i]]))
			return false;
	}
	if (!merger_run(merger, join, bpe))
		return false;
	for (uint32_t i = 0; i != SYMBOL_END; i = merger->symbols[i].next) {
		if (merger->symbols[i].token != TOKEN_NONE)
			encoder_put(encoder, merger->symbols[i].token);
	}
	return true;
}

static bool is_surrogate(const uint8_t *character, size_t length)
{
	return length == 3 && character[0] == 0xed && character[1] >= 0xa0;
}

/* Reads text as llama.cpp does: overlong forms mean the character they hide, surrogates pass,
 * every other stray byte is U+FFFD. The patterns need UTF-8, so a surrogate is given to them as the
 * private character 0x800 above it, which is no letter, number or space either, and has the same
 * length; `surrogates` keeps their places (u32). */
static void clean(const uint8_t *text, uint32_t size, struct buf *out, struct buf *surrogates)
{
	for (uint32_t at = 0; at < size;) {
		uint32_t character;
		uint8_t bytes[4];
		const size_t read = utf8_decode_loose(text + at, size - at, &character);
		const size_t length = utf8_encode(read > 0 ? character : UTF8_REPLACEMENT, bytes);
		if (is_surrogate(bytes, length)) {
			const uint32_t place = (uint32_t)out->size;
			buf_append(surrogates, &place, sizeof(place));
			utf8_encode(character + 0x800, bytes);
		}
		buf_append(out, bytes, length);
		at += read > 0 ? (uint32_t)read : 1;
	}
}

static void restore(struct buf *text, const struct buf *surrogates)
{
	for (size_t i = 0; i < surrogates->size; i += sizeof(uint32_t)) {
		uint32_t place;
		memcpy(&place, surrogates->data + i, sizeof(place));
		text->data[place] = 0xed;
		text->data[place + 1] += 0x20;
	}
}

static int cut_words(const struct bpe *bpe, const uint8_t *text, uint32_t size,
		     struct encoder *encoder)
{
	struct buf surrogates;
	buf_init(&surrogates);
	clean(text, size, &encoder->text, &surrogates);
	int result;
	if (encoder->text.failed || surrogates.failed)
		result = fail_set(encoder->fail, FAIL_MEMORY, "no memory to tokenize the text");
	else
		result = pretokenizer_split(bpe->pretokenizer, encoder->text.data,
					    (uint32_t)encoder->text.size, &encoder->words,
					    encoder->fail);
	if (result == 0)
		restore(&encoder->text, &surrogates);
	buf_finish(&surrogates);
	return result;
}

int bpe_encode(const struct bpe *bpe, const uint8_t *text, uint32_t size, struct encoder *encoder)
{
	buf_clear(&encoder->text);
	buf_clear(&encoder->words);
	const int result = cut_words(bpe, text, size, encoder);
	if (result < 0)
		return result;
	uint32_t start = 0;
	for (size_t i = 0; i < encoder->words.size; i += sizeof(uint32_t)) {
		uint32_t end;
		memcpy(&end, encoder->words.data + i, sizeof(end));
		if (!put_word(bpe, encoder->text.data + start, end - start, encoder))
			return fail_set(encoder->fail, FAIL_MEMORY,
					"no memory to tokenize the text");
		start = end;
	}
	return 0;
}
