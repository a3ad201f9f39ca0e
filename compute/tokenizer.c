#include "compute/tokenizer.h"

#include "compute/encoder.h"
#include "compute/specials.h"
#include "compute/tokenizer_bpe.h"
#include "compute/tokenizer_spm.h"
#include "compute/vocab.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ENDS_MAX 32
#define SPACE    "\xe2\x96\x81"

struct tokenizer {
	bool byte_level; /* BPE, else SentencePiece-style */
	bool space_prefix;
	bool adds_bos;
	uint32_t bos, eos;
	uint32_t ends[ENDS_MAX]; /* generation ends at each of these */
	uint32_t n_ends;
	struct vocab vocab;
	struct specials *specials; /* owned */
	struct spm spm;
	struct bpe bpe;
};

/* ---- creating ---- */

/* Spellings that end a turn or a text whatever the file calls them; such a token is a control token
 * even where the file says otherwise (many converted files do). Source: the tokenizer
 * configurations of the models that use them; the same list as llama.cpp's. */
static const char *const end_spellings[] = {
	"<|eot_id|>",
	"<|im_end|>",
	"<|end|>",
	"<|return|>",
	"<|call|>",
	"<|flush|>",
	"<|calls|>",
	"<end_of_turn>",
	"<|endoftext|>",
	"</s>",
	"<|eom_id|>",
	"<EOT>",
	"_<EOT>",
	"[EOT]",
	"[EOS]",
	"<|end_of_text|>",
	"<end_of_utterance>",
	"<eos>",
	"<turn|>",
	"<|tool_response>",
	"[e~[",
	"<\357\275\234end\342\226\201of\342\226\201sentence\357\275\234>", /* U+FF5C, U+2581 */
};

static void add_end(struct tokenizer *tokenizer, uint32_t token)
{
	if (token != TOKEN_NONE && !tokenizer_ends(tokenizer, token) &&
	    tokenizer->n_ends < ENDS_MAX)
		tokenizer->ends[tokenizer->n_ends++] = token;
}

/* "</s>" is also how HTML strikes text out, and vocabularies with HTML tags among their
 * user-defined tokens have it for that: it then ends nothing, though in plain text it is read as
 * llama.cpp reads it. */
static void find_ends(struct tokenizer *tokenizer)
{
	struct vocab *vocab = &tokenizer->vocab;
	for (size_t i = 0; i < sizeof(end_spellings) / sizeof(end_spellings[0]); i++) {
		const char *spelling = end_spellings[i];
		const uint32_t token =
			vocab_spelt(vocab, (const uint8_t *)spelling, strlen(spelling));
		if (token == TOKEN_NONE)
			continue;
		const bool html = strcmp(spelling, "</s>") == 0 &&
				  vocab_kind(vocab, token) == TOKEN_USER_DEFINED;
		if (!html)
			add_end(tokenizer, token);
		vocab_set_control(vocab, token);
	}
}

/* An id from the file, or `absent`; one past the vocabulary is refused. */
static int read_id(const struct tokenizer *tokenizer, const struct gguf *gguf, const char *key,
		   uint32_t absent, uint32_t *token, struct fail *fail)
{
	uint64_t value = absent;
	if (gguf_u64(gguf, key, &value) && value >= tokenizer->vocab.count)
		return fail_set(fail, FAIL_INVALID,
				"%s is %" PRIu64 ", but the vocabulary has %u tokens", key, value,
				tokenizer->vocab.count);
	*token = value < tokenizer->vocab.count ? (uint32_t)value : TOKEN_NONE;
	return 0;
}

static int read_ids(struct tokenizer *tokenizer, const struct gguf *gguf, uint32_t *unknown,
		    struct fail *fail)
{
	const bool bpe = tokenizer->byte_level; /* the others have SentencePiece's defaults */
	uint32_t turn, message;
	const struct {
		const char *key;
		uint32_t absent;
		uint32_t *token;
	} ids[] = {
		{ "tokenizer.ggml.bos_token_id", bpe ? TOKEN_NONE : 1, &tokenizer->bos },
		{ "tokenizer.ggml.eos_token_id", bpe ? TOKEN_NONE : 2, &tokenizer->eos },
		{ "tokenizer.ggml.unknown_token_id", bpe ? TOKEN_NONE : 0, unknown },
		{ "tokenizer.ggml.eot_token_id", TOKEN_NONE, &turn },
		{ "tokenizer.ggml.eom_token_id", TOKEN_NONE, &message },
	};
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		const int result =
			read_id(tokenizer, gguf, ids[i].key, ids[i].absent, ids[i].token, fail);
		if (result < 0)
			return result;
	}
	add_end(tokenizer, tokenizer->eos);
	add_end(tokenizer, turn);
	add_end(tokenizer, message);
	return 0;
}

static int init_kind(struct tokenizer *tokenizer, const struct gguf *gguf, uint32_t unknown,
		     struct fail *fail)
{
	if (tokenizer->byte_level) {
		const int result = bpe_init(&tokenizer->bpe, gguf, &tokenizer->vocab, fail);
		if (result < 0)
			return result;
		tokenizer->adds_bos = pretokenizer_adds_bos(tokenizer->bpe.pretokenizer);
	} else {
		const int result = spm_init(&tokenizer->spm, &tokenizer->vocab, unknown, fail);
		if (result < 0)
			return result;
		tokenizer->adds_bos = true;
		tokenizer->space_prefix = true;
		gguf_bool(gguf, "tokenizer.ggml.add_space_prefix", &tokenizer->space_prefix);
	}
	gguf_bool(gguf, "tokenizer.ggml.add_bos_token", &tokenizer->adds_bos);
	tokenizer->adds_bos = tokenizer->adds_bos && tokenizer->bos != TOKEN_NONE;
	return 0;
}

static int read_model(struct tokenizer *tokenizer, const struct gguf *gguf, struct fail *fail)
{
	const char *model;
	size_t size;
	if (!gguf_string(gguf, "tokenizer.ggml.model", &model, &size))
		return fail_set(fail, FAIL_INVALID,
				"the file has no tokenizer: tokenizer.ggml.model is missing");
	tokenizer->byte_level = size == 4 && memcmp(model, "gpt2", 4) == 0;
	if (!tokenizer->byte_level && (size != 5 || memcmp(model, "llama", 5) != 0))
		return fail_set(fail, FAIL_UNSUPPORTED,
				"the tokenizer kind \"%.*s\" is not known to this version",
				(int)(size < 64 ? size : 64), model);
	return 0;
}

static int init(struct tokenizer *tokenizer, const struct gguf *gguf, struct fail *fail)
{
	uint32_t unknown = TOKEN_NONE;
	int result = read_model(tokenizer, gguf, fail);
	if (result == 0)
		result = vocab_init(&tokenizer->vocab, gguf, tokenizer->byte_level, fail);
	if (result == 0)
		result = read_ids(tokenizer, gguf, &unknown, fail);
	if (result < 0)
		return result;
	find_ends(tokenizer);
	result = init_kind(tokenizer, gguf, unknown, fail);
	if (result < 0)
		return result;
	tokenizer->specials = specials_create(&tokenizer->vocab, fail);
	return tokenizer->specials ? 0 : -FAIL_MEMORY;
}

struct tokenizer *tokenizer_create(const struct gguf *gguf, struct fail *fail)
{
	struct tokenizer *tokenizer = calloc(1, sizeof(*tokenizer));
	if (!tokenizer) {
		fail_set(fail, FAIL_MEMORY, "no memory for the tokenizer");
		return NULL;
	}
	if (init(tokenizer, gguf, fail) < 0) {
		tokenizer_destroy(tokenizer);
		return NULL;
	}
	return tokenizer;
}

void tokenizer_destroy(struct tokenizer *tokenizer)
{
	if (!tokenizer)
		return;
	bpe_finish(&tokenizer->bpe);
	specials_destroy(tokenizer->specials);
	vocab_finish(&tokenizer->vocab);
	free(tokenizer);
}

/* ---- facts ---- */

uint32_t tokenizer_count(const struct tokenizer *tokenizer)
{
	return tokenizer->vocab.count;
}

uint64_t tokenizer_bytes(const struct tokenizer *tokenizer)
{
	return sizeof(*tokenizer) + vocab_memory(&tokenizer->vocab) +
	       specials_memory(tokenizer->specials) +
	       (tokenizer->byte_level ? bpe_memory(&tokenizer->bpe) : 0);
}

uint32_t tokenizer_bos(const struct tokenizer *tokenizer)
{
	return tokenizer->bos;
}

uint32_t tokenizer_eos(const struct tokenizer *tokenizer)
{
	return tokenizer->eos;
}

bool tokenizer_adds_bos(const struct tokenizer *tokenizer)
{
	return tokenizer->adds_bos;
}

bool tokenizer_ends(const struct tokenizer *tokenizer, uint32_t token)
{
	for (uint32_t i = 0; i < tokenizer->n_ends; i++) {
		if (tokenizer->ends[i] == token)
			return true;
	}
	return false;
}

/* ---- encoding ---- */

/* Text between two special tokens; a SentencePiece text starts anew after each of them. */
static int encode_text(const struct tokenizer *tokenizer, const uint8_t *text, uint32_t size,
		       struct encoder *encoder)
{
	if (size == 0)
		return 0;
	if (tokenizer->byte_level)
		return bpe_encode(&tokenizer->bpe, text, size, encoder);
	return spm_encode(&tokenizer->spm, text, size, tokenizer->space_prefix, encoder);
}

static int encode_marked(const struct tokenizer *tokenizer, const uint8_t *text, uint32_t size,
			 const struct buf *marks, struct encoder *encoder)
{
	uint32_t at = 0;
	for (size_t i = 0; i < marks->size; i += sizeof(struct mark)) {
		struct mark mark;
		memcpy(&mark, marks->data + i, sizeof(mark));
		const int result = encode_text(tokenizer, text + at, mark.start - at, encoder);
		if (result < 0)
			return result;
		encoder_put(encoder, mark.token);
		at = mark.start + mark.size;
	}
	return encode_text(tokenizer, text + at, size - at, encoder);
}

static int encode(const struct tokenizer *tokenizer, const uint8_t *text, uint32_t size,
		  const struct tokenize_options *options, struct encoder *encoder)
{
	struct buf marks;
	buf_init(&marks);
	if (options->bos && tokenizer->bos != TOKEN_NONE)
		encoder_put(encoder, tokenizer->bos);
	int result = 0;
	if (specials_find(tokenizer->specials, text, size, options->special, &marks))
		result = encode_marked(tokenizer, text, size, &marks, encoder);
	else
		encoder->out->failed = true;
	buf_finish(&marks);
	if (result == 0 && encoder->out->failed)
		result = fail_set(encoder->fail, FAIL_MEMORY, "no memory to tokenize the text");
	return result;
}

int tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t size,
		     const struct tokenize_options *options, struct buf *out, struct fail *fail)
{
	if (size > TOKENIZER_TEXT_MAX)
		return fail_set(fail, FAIL_INVALID,
				"the text has %zu bytes; %u can be tokenized at once", size,
				TOKENIZER_TEXT_MAX);
	struct encoder encoder = { .out = out, .fail = fail };
	merger_init(&encoder.merger);
	buf_init(&encoder.text);
	buf_init(&encoder.words);
	const size_t before = out->size;
	const int result =
		encode(tokenizer, (const uint8_t *)text, (uint32_t)size, options, &encoder);
	if (result < 0)
		out->size = before;
	merger_finish(&encoder.merger);
	buf_finish(&encoder.text);
	buf_finish(&encoder.words);
	return result;
}

/* ---- decoding ---- */

static int hex_digit(uint8_t digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	digit |= 0x20;
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* "<0x0A>" */
static void put_byte_token(const uint8_t *piece, uint32_t size, struct buf *out)
{
	if (size != 6)
		return;
	const int high = hex_digit(piece[3]), low = hex_digit(piece[4]);
	if (high >= 0 && low >= 0)
		buf_u8(out, (uint8_t)(high << 4 | low));
}

static void put_spaced(const uint8_t *piece, uint32_t size, struct buf *out)
{
	const uint8_t *end = piece + size;
	while (piece < end) {
		const uint8_t *space = memmem(piece, (size_t)(end - piece), SPACE, 3);
		buf_append(out, piece, (size_t)((space ? space : end) - piece));
		if (!space)
			break;
		buf_u8(out, ' ');
		piece = space + 3;
	}
}

static void put_piece(const struct tokenizer *tokenizer, uint32_t token, bool special,
		      struct buf *out)
{
	uint32_t size;
	const uint8_t *piece = vocab_piece(&tokenizer->vocab, token, &size);
	switch (vocab_kind(&tokenizer->vocab, token)) {
	case TOKEN_NORMAL:
		if (tokenizer->byte_level)
			buf_append(out, piece, size);
		else
			put_spaced(piece, size, out);
		break;
	case TOKEN_BYTE:
		put_byte_token(piece, size, out);
		break;
	case TOKEN_USER_DEFINED:
		vocab_spell(&tokenizer->vocab, token, out);
		break;
	case TOKEN_CONTROL:
	case TOKEN_UNKNOWN:
		if (special)
			vocab_spell(&tokenizer->vocab, token, out);
		break;
	case TOKEN_UNUSED:
		break;
	}
}

void tokenizer_piece(const struct tokenizer *tokenizer, uint32_t token, bool first, bool special,
		     struct buf *out)
{
	if (token >= tokenizer->vocab.count)
		return;
	const size_t before = out->size;
	put_piece(tokenizer, token, special, out);
	if (first && tokenizer->space_prefix && out->size > before && out->data[before] == ' ') {
		memmove(out->data + before, out->data + before + 1, out->size - before - 1);
		out->size--;
	}
}
