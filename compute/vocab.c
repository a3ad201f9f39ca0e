#include "compute/vocab.h"

#include "compute/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Beside the kind: set when the piece was spelt in the byte alphabet, and enum strip. */
#define KIND_BYTE_SPELT  0x80u
#define KIND_STRIP_SHIFT 4
#define KIND_MASK        0x0fu
/* A table half full of honest pieces has no run anywhere near this long; a file made to have one
 * would make every lookup slow. */
#define PROBES_MAX 512u
#define ID_BITS    20u
#define ID_MASK    ((1u << ID_BITS) - 1)

/* ---- the byte alphabet ---- */

static bool stands_for_itself(uint32_t byte)
{
	return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte != 0xad);
}

/* 256 + n is the n-th byte that does not stand for itself. */
static uint32_t byte_to_character(uint32_t byte)
{
	if (stands_for_itself(byte))
		return byte;
	if (byte <= 0x20)
		return 256 + byte;
	return byte == 0xad ? 256 + 67 : 256 + 33 + byte - 0x7f;
}

static int character_to_byte(uint32_t character)
{
	if (character < 256)
		return stands_for_itself(character) ? (int)character : -1;
	if (character > 256 + 67)
		return -1;
	const uint32_t n = character - 256;
	return n <= 0x20 ? (int)n : n == 67 ? 0xad : (int)(n - 33 + 0x7f);
}

/* Gives the number of bytes written to `out` (no more than `size`), or -1 when a character is not
 * of the alphabet. */
static int read_byte_spelling(const uint8_t *text, size_t size, uint8_t *out)
{
	int written = 0;
	for (size_t at = 0; at < size;) {
		uint32_t character;
		const size_t length = utf8_decode_loose(text + at, size - at, &character);
		const int byte = length > 0 ? character_to_byte(character) : -1;
		if (byte < 0 || length != (character < 0x80 ? 1 : 2))
			return -1;
		out[written++] = (uint8_t)byte;
		at += length;
	}
	return written;
}

/* ---- the hash table ---- */

static uint32_t hash_piece(const uint8_t *text, size_t size, bool byte_spelt)
{
	uint64_t hash = size << 1 | byte_spelt;
	for (; size >= 8; text += 8, size -= 8)
		hash = vocab_mix(hash ^ load_u64le(text)) + 1;
	uint64_t tail = 0;
	for (size_t i = 0; i < size; i++)
		tail |= (uint64_t)text[i] << 8 * i;
	return (uint32_t)vocab_mix(hash ^ tail);
}

static bool same_piece(const struct vocab *vocab, uint32_t token, const uint8_t *text, size_t size,
		       bool byte_spelt)
{
	const uint32_t from = vocab->offsets[token];
	return vocab->offsets[token + 1] - from == size &&
	       !!(vocab->kinds[token] & KIND_BYTE_SPELT) == byte_spelt &&
	       memcmp(vocab->text + from, text, size) == 0;
}

/* The slot that holds the piece, or the empty one where it belongs; NULL after PROBES_MAX. */
static uint32_t *find_slot(const struct vocab *vocab, const uint8_t *text, size_t size,
			   bool byte_spelt, uint32_t hash)
{
	for (uint32_t i = 0; i < PROBES_MAX; i++) {
		uint32_t *slot = &vocab->slots[(hash + i) & vocab->mask];
		if (*slot == 0)
			return slot;
		if ((*slot ^ hash) >> ID_BITS == 0 &&
		    same_piece(vocab, (*slot & ID_MASK) - 1, text, size, byte_spelt))
			return slot;
	}
	return NULL;
}

static uint32_t find_any(const struct vocab *vocab, const uint8_t *text, size_t size,
			 bool byte_spelt)
{
	if (size == 0 || size > VOCAB_PIECE_MAX)
		return TOKEN_NONE;
	const uint32_t hash = hash_piece(text, size, byte_spelt);
	const uint32_t *slot = find_slot(vocab, text, size, byte_spelt, hash);
	return slot && *slot ? (*slot & ID_MASK) - 1 : TOKEN_NONE;
}

/* Empty pieces are never found; several of them are no duplicates. */
static int index_token(struct vocab *vocab, uint32_t token, struct fail *fail)
{
	uint32_t size;
	const uint8_t *text = vocab_piece(vocab, token, &size);
	if (size == 0)
		return 0;
	const bool byte_spelt = vocab->kinds[token] & KIND_BYTE_SPELT;
	const uint32_t hash = hash_piece(text, size, byte_spelt);
	uint32_t *slot = find_slot(vocab, text, size, byte_spelt, hash);
	if (!slot)
		return fail_set(fail, FAIL_INVALID,
				"the vocabulary is made to be slow: too many pieces collide at "
				"token %u",
				token);
	if (*slot)
		return fail_set(fail, FAIL_INVALID, "tokens %u and %u of the vocabulary are equal",
				(*slot & ID_MASK) - 1, token);
	*slot = (hash & ~ID_MASK) | (token + 1);
	return 0;
}

/* ---- reading the file's arrays ---- */

static int find_array(const struct gguf *gguf, const char *key, uint32_t count,
		      struct gguf_array *array, struct fail *fail)
{
	if (!gguf_array(gguf, key, array))
		return 0;
	if (array->type != GGUF_I32 && array->type != GGUF_F32)
		return fail_set(fail, FAIL_INVALID, "%s has elements of type %u, not numbers", key,
				array->type);
	if (array->count < count)
		return fail_set(fail, FAIL_INVALID, "%s has %llu entries for %u tokens", key,
				(unsigned long long)array->count, count);
	return 1;
}

static int read_kinds(struct vocab *vocab, const struct gguf *gguf, struct fail *fail)
{
	struct gguf_array array;
	const int found = find_array(gguf, "tokenizer.ggml.token_type", vocab->count, &array, fail);
	if (found < 0)
		return found;
	if (found == 0) {
		memset(vocab->kinds, TOKEN_NORMAL, vocab->count);
		return 0;
	}
	if (array.type != GGUF_I32)
		return fail_set(fail, FAIL_INVALID, "tokenizer.ggml.token_type is not integers");
	for (uint32_t i = 0; i < vocab->count; i++) {
		const uint32_t kind = load_u32le(array.bytes + 4 * (size_t)i);
		vocab->kinds[i] = kind <= TOKEN_BYTE ? (uint8_t)kind : 0;
	}
	return 0;
}

/* The order of scores as unsigned numbers, best first. */
static uint32_t rank_of(float score)
{
	uint32_t bits;
	score += 0.0f; /* -0 is 0 */
	memcpy(&bits, &score, sizeof(bits));
	return bits >> 31 ? bits : ~bits & 0x7fffffff;
}

static int read_ranks(struct vocab *vocab, const struct gguf *gguf, struct fail *fail)
{
	struct gguf_array array;
	const int found = find_array(gguf, "tokenizer.ggml.scores", vocab->count, &array, fail);
	if (found < 0)
		return found;
	for (uint32_t i = 0; i < vocab->count; i++) {
		float score = 0;
		if (found) {
			const uint32_t bits = load_u32le(array.bytes + 4 * (size_t)i);
			memcpy(&score, &bits, sizeof(score));
			if (array.type == GGUF_I32)
				score = (float)(int32_t)bits;
		}
		if (isnan(score))
			return fail_set(fail, FAIL_INVALID, "token %u has no number as score", i);
		vocab->ranks[i] = rank_of(score);
	}
	return 0;
}

/* Copies one piece to the end of the text, as bytes where it is spelt in the byte alphabet. */
static int read_piece(struct vocab *vocab, struct reader *reader, uint32_t token, struct fail *fail)
{
	const uint64_t size = reader_u64(reader);
	const uint8_t *piece = size <= VOCAB_PIECE_MAX ? reader_take(reader, (size_t)size) : NULL;
	if (reader->failed || (!piece && size > 0))
		return fail_set(fail, FAIL_INVALID,
				"token %u of the vocabulary has %llu bytes; %u is the limit", token,
				(unsigned long long)size, VOCAB_PIECE_MAX);
	uint8_t *to = vocab->text + vocab->offsets[token];
	int written = vocab->byte_level ? read_byte_spelling(piece, (size_t)size, to) : -1;
	if (written >= 0) {
		vocab->kinds[token] |= KIND_BYTE_SPELT;
	} else {
		if (size > 0)
			memcpy(to, piece, (size_t)size);
		written = (int)size;
	}
	vocab->offsets[token + 1] = vocab->offsets[token] + (uint32_t)written;
	return 0;
}

static int read_pieces(struct vocab *vocab, const struct gguf_array *array, struct fail *fail)
{
	struct reader reader;
	reader_init(&reader, array->bytes, array->size);
	for (uint32_t i = 0; i < vocab->count; i++) {
		int result = read_piece(vocab, &reader, i, fail);
		if (result == 0)
			result = index_token(vocab, i, fail);
		if (result < 0)
			return result;
	}
	uint8_t *smaller = realloc(vocab->text, vocab->offsets[vocab->count] + 1);
	if (smaller)
		vocab->text = smaller;
	return 0;
}

static void find_byte_tokens(struct vocab *vocab)
{
	for (uint32_t byte = 0; byte < 256; byte++) {
		char spelt[8];
		const uint8_t itself = (uint8_t)byte;
		snprintf(spelt, sizeof(spelt), "<0x%02X>", byte);
		vocab->bytes[byte] = vocab->byte_level
					     ? vocab_find(vocab, &itself, 1)
					     : find_any(vocab, (const uint8_t *)spelt, 6, false);
	}
}

static bool is_space(const uint8_t *text, size_t size)
{
	return size >= VOCAB_SPACE_BYTES && memcmp(text, VOCAB_SPACE, VOCAB_SPACE_BYTES) == 0;
}

static void note_neighbours(struct vocab *vocab)
{
	for (uint32_t i = 0; i < vocab->count; i++) {
		uint32_t size;
		const uint8_t *piece = vocab_piece(vocab, i, &size);
		for (uint32_t at = 1; at < size; at++) {
			const uint8_t left = piece[at - 1], right = piece[at];
			vocab->side_by_side[left][right / 64] |= UINT64_C(1) << right % 64;
			if (is_space(piece + at, size - at))
				vocab->before_space[left] = true;
		}
	}
}

static bool allocate(struct vocab *vocab, size_t text_size, bool scored)
{
	uint32_t slots = 1024;
	while (slots < 2 * vocab->count)
		slots *= 2;
	vocab->mask = slots - 1;
	vocab->text = malloc(text_size + 1);
	vocab->offsets = calloc(vocab->count + 1, sizeof(*vocab->offsets));
	vocab->kinds = calloc(vocab->count, 1);
	vocab->slots = calloc(slots, sizeof(*vocab->slots));
	if (scored)
		vocab->ranks = calloc(vocab->count, sizeof(*vocab->ranks));
	return vocab->text && vocab->offsets && vocab->kinds && vocab->slots &&
	       (!scored || vocab->ranks);
}

int vocab_init(struct vocab *vocab, const struct gguf *gguf, enum vocab_form form,
	       struct fail *fail)
{
	struct gguf_array array;
	memset(vocab, 0, sizeof(*vocab));
	vocab->byte_level = form == VOCAB_BYTE_LEVEL;
	if (!gguf_array(gguf, "tokenizer.ggml.tokens", &array) || array.type != GGUF_STRING)
		return fail_set(fail, FAIL_INVALID,
				"the file has no vocabulary: tokenizer.ggml.tokens is missing");
	if (array.count == 0 || array.count > VOCAB_TOKENS_MAX)
		return fail_set(fail, FAIL_UNSUPPORTED,
				"the vocabulary has %llu tokens; this version takes 1 to %u",
				(unsigned long long)array.count, VOCAB_TOKENS_MAX);
	vocab->count = (uint32_t)array.count;
	if (!allocate(vocab, array.size - 8 * (size_t)array.count, form == VOCAB_SCORED))
		return fail_set(fail, FAIL_MEMORY, "no memory for a vocabulary of %u tokens",
				vocab->count);
	int result = read_kinds(vocab, gguf, fail);
	if (result == 0 && form == VOCAB_SCORED)
		result = read_ranks(vocab, gguf, fail);
	if (result == 0)
		result = read_pieces(vocab, &array, fail);
	if (result < 0)
		return result;
	find_byte_tokens(vocab);
	if (!vocab->byte_level)
		note_neighbours(vocab);
	return 0;
}

void vocab_finish(struct vocab *vocab)
{
	free(vocab->text);
	free(vocab->offsets);
	free(vocab->ranks);
	free(vocab->kinds);
	free(vocab->slots);
	memset(vocab, 0, sizeof(*vocab));
}

uint64_t vocab_memory(const struct vocab *vocab)
{
	const uint64_t a_token =
		sizeof(*vocab->offsets) + 1 + (vocab->ranks ? sizeof(*vocab->ranks) : 0);
	return vocab->offsets[vocab->count] + vocab->count * a_token +
	       ((uint64_t)vocab->mask + 1) * sizeof(*vocab->slots);
}

/* ---- looking up ---- */

enum token_kind vocab_kind(const struct vocab *vocab, uint32_t token)
{
	return (enum token_kind)(vocab->kinds[token] & KIND_MASK);
}

void vocab_set_kind(struct vocab *vocab, uint32_t token, enum token_kind kind)
{
	vocab->kinds[token] = (uint8_t)((vocab->kinds[token] & ~KIND_MASK) | kind);
}

uint8_t vocab_strip(const struct vocab *vocab, uint32_t token)
{
	return vocab->kinds[token] >> KIND_STRIP_SHIFT & (STRIP_LEFT | STRIP_RIGHT);
}

void vocab_set_strip(struct vocab *vocab, uint32_t token, uint8_t strip)
{
	const uint8_t mask = (STRIP_LEFT | STRIP_RIGHT) << KIND_STRIP_SHIFT;
	vocab->kinds[token] = (uint8_t)((vocab->kinds[token] & ~mask) | strip << KIND_STRIP_SHIFT);
}

bool vocab_is_text(const struct vocab *vocab, uint32_t token)
{
	const enum token_kind kind = vocab_kind(vocab, token);
	return kind != TOKEN_CONTROL && kind != TOKEN_UNKNOWN && kind != TOKEN_BYTE;
}

uint32_t vocab_find(const struct vocab *vocab, const uint8_t *text, size_t size)
{
	const uint32_t token = find_any(vocab, text, size, vocab->byte_level);
	return token != TOKEN_NONE && vocab_is_text(vocab, token) ? token : TOKEN_NONE;
}

uint32_t vocab_spelt(const struct vocab *vocab, const uint8_t *text, size_t size)
{
	uint8_t bytes[VOCAB_PIECE_MAX];
	if (size > VOCAB_PIECE_MAX)
		return TOKEN_NONE;
	const int length = vocab->byte_level ? read_byte_spelling(text, size, bytes) : -1;
	return length >= 0 ? find_any(vocab, bytes, (size_t)length, true)
			   : find_any(vocab, text, size, false);
}

/* False when no token holds the character at `at`, of `size` bytes, after the byte before it. */
static bool may_join(const struct vocab *vocab, const uint8_t *text, uint32_t at, uint32_t size)
{
	const uint8_t left = text[at - 1], right = text[at];
	if (is_space(text + at, size))
		return vocab->before_space[left];
	return vocab->side_by_side[left][right / 64] >> right % 64 & 1;
}

uint32_t vocab_cut(const struct vocab *vocab, const uint8_t *text, uint32_t from, uint32_t end)
{
	uint32_t at = from + utf8_announced(text[from], end - from);
	while (at < end) {
		const uint32_t size = utf8_announced(text[at], end - at);
		if (!may_join(vocab, text, at, size))
			return at;
		at += size;
	}
	return end;
}

uint32_t vocab_hash(const uint8_t *text, size_t size)
{
	return hash_piece(text, size, false);
}

const uint8_t *vocab_piece(const struct vocab *vocab, uint32_t token, uint32_t *size)
{
	*size = vocab->offsets[token + 1] - vocab->offsets[token];
	return vocab->text + vocab->offsets[token];
}

void vocab_spell(const struct vocab *vocab, uint32_t token, struct buf *out)
{
	uint32_t size;
	const uint8_t *piece = vocab_piece(vocab, token, &size);
	if (!(vocab->kinds[token] & KIND_BYTE_SPELT)) {
		buf_append(out, piece, size);
		return;
	}
	for (uint32_t i = 0; i < size; i++) {
		uint8_t bytes[4];
		buf_append(out, bytes, utf8_encode(byte_to_character(piece[i]), bytes));
	}
}
