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

/* A byte without a token would be lost from every text. Old vocabularies lack a few that no text
 * has: controls, and bytes that are not of UTF-8. */
static int check_gaps(const struct bpe *bpe, struct fail *fail)
{
	for (uint32_t byte = 0; byte < 256; byte++) {
		const bool printed = (byte >= 0x20 && byte <= 0x7e) || byte == '\n';
		if (bpe->vocab->bytes[byte] == TOKEN_NONE && (printed || bpe->pretokenizer.raw))
			return fail_set(
				fail, FAIL_INVALID,
				"the vocabulary has a gap: no token for byte %u; convert the "
				"model again",
				byte);
	}
	return 0;
}

int bpe_init(struct bpe *bpe, const struct gguf *gguf, const struct vocab *vocab,
	     const struct pretokenizer *pretokenizer, struct fail *fail)
{
	memset(bpe, 0, sizeof(*bpe));
	bpe->vocab = vocab;
	bpe->pretokenizer = *pretokenizer;
	const int result = read_merges(bpe, gguf, fail);
	return result < 0 ? result : check_gaps(bpe, fail);
}

void bpe_finish(struct bpe *bpe)
{
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
static void put_symbol(const struct bpe *bpe, const struct symbol *symbol, struct encoder *encoder)
{
	if (symbol->token != TOKEN_NONE) {
		encoder_put(encoder, symbol->token);
		return;
	}
	const uint8_t *text = encoder->text.data + symbol->start;
	for (uint32_t i = 0; bpe->pretokenizer.raw && i < symbol->size; i++) {
		const uint32_t token = bpe->vocab->bytes[text[i]];
		if (token != TOKEN_NONE)
			encoder_put(encoder, token);
	}
}

static bool add_bytes(const struct bpe *bpe, const struct word *word, struct encoder *encoder)
{
	const uint8_t *text = encoder->text.data + word->start;
	for (uint32_t i = 0; i < word->size; i++) {
		if (!merger_add(&encoder->merger, word->start + i, 1, bpe->vocab->bytes[text[i]]))
			return false;
	}
	return true;
}

static bool add_characters(const struct bpe *bpe, const struct word *word, struct encoder *encoder)
{
	const uint8_t *text = encoder->text.data;
	const uint32_t end = word->start + word->size;
	for (uint32_t at = word->start; at < end;) {
		const uint32_t size = utf8_announced(text[at], end - at);
		const uint32_t token = vocab_find(bpe->vocab, text + at, size);
		if (!merger_add(&encoder->merger, at, size, token))
			return false;
		at += size;
	}
	return true;
}

static bool merge_word(const struct bpe *bpe, const struct word *word, struct encoder *encoder)
{
	struct merger *merger = &encoder->merger;
	merger_clear(merger);
	const bool added = bpe->pretokenizer.raw ? add_characters(bpe, word, encoder)
						 : add_bytes(bpe, word, encoder);
	if (!added || !merger_run(merger, join, bpe))
		return false;
	for (uint32_t i = 0; i != SYMBOL_END; i = merger->symbols[i].next)
		put_symbol(bpe, &merger->symbols[i], encoder);
	return true;
}

/* The one token that the word is whatever the merges say, or TOKEN_NONE. Lines that are empty have
 * tokens that no merge leads to in raw vocabularies. */
static uint32_t whole_token(const struct bpe *bpe, const uint8_t *text, const struct word *word)
{
	const bool whole = word->size == 1 || bpe->pretokenizer.ignores_merges ||
			   (bpe->pretokenizer.raw && text[word->start] == '\n');
	return whole ? vocab_find(bpe->vocab, text + word->start, word->size) : TOKEN_NONE;
}

static bool put_word(const struct bpe *bpe, uint32_t start, uint32_t end, struct encoder *encoder)
{
	const struct word word = encoder_word(encoder, start, end);
	if (encoder_repeat(encoder, &word))
		return true;
	const uint32_t token = whole_token(bpe, encoder->text.data, &word);
	if (token != TOKEN_NONE)
		encoder_put(encoder, token);
	else if (!merge_word(bpe, &word, encoder))
		return false;
	encoder_remember(encoder, &word);
	return true;
}

/* Text up to the first stray byte is taken as it is. A stray byte is read as llama.cpp does:
 * overlong forms mean the character they hide, surrogates pass, every other one is U+FFFD. */
static void append_clean(const uint8_t *text, uint32_t size, struct buf *out)
{
	uint32_t from = 0, at = 0;
	while (at < size) {
		if (size - at >= 8 && !(load_u64le(text + at) & UINT64_C(0x8080808080808080))) {
			at += 8;
			continue;
		}
		const int found = utf8_scan(text + at, size - at);
		if (found > 0) {
			at += (uint32_t)found;
			continue;
		}
		uint32_t character;
		uint8_t bytes[4];
		const size_t read = utf8_decode_loose(text + at, size - at, &character);
		buf_append(out, text + from, at - from);
		buf_append(out, bytes, utf8_encode(read > 0 ? character : UTF8_REPLACEMENT, bytes));
		at += read > 0 ? (uint32_t)read : 1;
		from = at;
	}
	buf_append(out, text + from, size - from);
}

static void append_escaped(const uint8_t *text, uint32_t size, struct buf *out)
{
	const uint8_t *end = text + size;
	for (;;) {
		const uint8_t *space = memchr(text, ' ', (size_t)(end - text));
		append_clean(text, (uint32_t)((space ? space : end) - text), out);
		if (!space)
			break;
		buf_append(out, VOCAB_SPACE, VOCAB_SPACE_BYTES);
		text = space + 1;
	}
}

/* A word of a raw vocabulary may be cut further wherever nothing can be joined: it is then small,
 * and met again. */
static bool put_raw_word(const struct bpe *bpe, uint32_t start, uint32_t end,
			 struct encoder *encoder)
{
	uint32_t from = start;
	while (from < end) {
		const uint32_t cut = vocab_cut(bpe->vocab, encoder->text.data, from, end);
		if (!put_word(bpe, from, cut, encoder))
			return false;
		from = cut;
	}
	return true;
}

int bpe_encode(const struct bpe *bpe, const uint8_t *text, uint32_t size, struct encoder *encoder)
{
	uint32_t start = (uint32_t)encoder->text.size;
	buf_clear(&encoder->words);
	if (bpe->pretokenizer.raw)
		append_escaped(text, size, &encoder->text);
	else
		append_clean(text, size, &encoder->text);
	if (encoder->text.failed ||
	    !pretokenizer_split(&bpe->pretokenizer, encoder->text.data, start,
				(uint32_t)encoder->text.size, &encoder->words))
		return encoder_no_memory(encoder);
	for (size_t i = 0; i < encoder->words.size; i += sizeof(uint32_t)) {
		uint32_t end;
		memcpy(&end, encoder->words.data + i, sizeof(end));
		const bool put = bpe->pretokenizer.raw ? put_raw_word(bpe, start, end, encoder)
						       : put_word(bpe, start, end, encoder);
		if (!put)
			return encoder_no_memory(encoder);
		start = end;
	}
	return 0;
}
