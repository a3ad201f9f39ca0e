#include "compute/tokenizer.h"

#include "compute/encoder.h"
#include "compute/specials.h"
#include "compute/tokenizer_bpe.h"
#include "compute/tokenizer_roles.h"
#include "compute/tokenizer_spm.h"
#include "compute/vocab.h"

#include <stdlib.h>
#include <string.h>

/* `tokenizer.ggml.model` of the files that can be read. */
static const struct model {
	const char *name;
	const char *pre; /* the pre-tokenizer that goes without saying */
	bool scored;     /* SentencePiece-style, else BPE */
} models[] = {
	{ "llama", NULL, true },
	{ "gpt2", NULL, false },
	{ "gemma4", "gemma4", false },
};

struct tokenizer {
	enum vocab_form form;
	bool space_prefix;
	bool adds_bos;
	struct roles roles;
	struct vocab vocab;
	struct specials *specials; /* owned */
	struct spm spm;
	struct bpe bpe;
};

/* ---- creating ---- */

static int read_model(const struct gguf *gguf, const struct model **model, struct fail *fail)
{
	const char *name;
	size_t size;
	if (!gguf_string(gguf, "tokenizer.ggml.model", &name, &size))
		return fail_set(fail, FAIL_INVALID,
				"the file has no tokenizer: tokenizer.ggml.model is missing");
	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		*model = &models[i];
		if (strlen(models[i].name) == size && memcmp(models[i].name, name, size) == 0)
			return 0;
	}
	return fail_set(fail, FAIL_UNSUPPORTED,
			"the tokenizer kind \"%.*s\" is not known to this version",
			(int)(size < 64 ? size : 64), name);
}

static int read_pretokenizer(struct pretokenizer *pretokenizer, const struct model *model,
			     const struct gguf *gguf, struct fail *fail)
{
	const char *name = NULL;
	size_t size = 0;
	if (model->pre) {
		name = model->pre;
		size = strlen(name);
	} else if (!gguf_string(gguf, "tokenizer.ggml.pre", &name, &size)) {
		name = NULL;
	}
	return pretokenizer_init(pretokenizer, name, size, fail);
}

static int init_spm(struct tokenizer *tokenizer, const struct gguf *gguf, struct fail *fail)
{
	tokenizer->form = VOCAB_SCORED;
	tokenizer->adds_bos = true;
	tokenizer->space_prefix = true;
	gguf_bool(gguf, "tokenizer.ggml.add_space_prefix", &tokenizer->space_prefix);
	gguf_bool(gguf, "tokenizer.ggml.add_bos_token", &tokenizer->adds_bos);
	int result = vocab_init(&tokenizer->vocab, gguf, tokenizer->form, fail);
	if (result == 0)
		result = roles_init(&tokenizer->roles, gguf, &tokenizer->vocab, fail);
	if (result == 0)
		result = spm_init(&tokenizer->spm, &tokenizer->vocab, tokenizer->roles.unknown,
				  fail);
	return result;
}

/* Raw vocabularies want BOS even where the file denies it, as in llama.cpp: early files did. */
static int init_bpe(struct tokenizer *tokenizer, const struct model *model, const struct gguf *gguf,
		    struct fail *fail)
{
	struct pretokenizer pretokenizer;
	int result = read_pretokenizer(&pretokenizer, model, gguf, fail);
	if (result < 0)
		return result;
	tokenizer->form = pretokenizer.raw ? VOCAB_RAW : VOCAB_BYTE_LEVEL;
	tokenizer->adds_bos = pretokenizer.adds_bos;
	if (!pretokenizer.raw)
		gguf_bool(gguf, "tokenizer.ggml.add_bos_token", &tokenizer->adds_bos);
	result = vocab_init(&tokenizer->vocab, gguf, tokenizer->form, fail);
	if (result == 0)
		result = roles_init(&tokenizer->roles, gguf, &tokenizer->vocab, fail);
	if (result == 0)
		result = bpe_init(&tokenizer->bpe, gguf, &tokenizer->vocab, &pretokenizer, fail);
	return result;
}

static int init(struct tokenizer *tokenizer, const struct gguf *gguf, struct fail *fail)
{
	const struct model *model;
	int result = read_model(gguf, &model, fail);
	if (result == 0)
		result = model->scored ? init_spm(tokenizer, gguf, fail)
				       : init_bpe(tokenizer, model, gguf, fail);
	if (result < 0)
		return result;
	tokenizer->adds_bos = tokenizer->adds_bos && tokenizer->roles.bos != TOKEN_NONE;
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
	       specials_memory(tokenizer->specials) + bpe_memory(&tokenizer->bpe);
}

uint32_t tokenizer_bos(const struct tokenizer *tokenizer)
{
	return tokenizer->roles.bos;
}

uint32_t tokenizer_eos(const struct tokenizer *tokenizer)
{
	return tokenizer->roles.eos;
}

bool tokenizer_adds_bos(const struct tokenizer *tokenizer)
{
	return tokenizer->adds_bos;
}

bool tokenizer_ends(const struct tokenizer *tokenizer, uint32_t token)
{
	return roles_end(&tokenizer->roles, token);
}

/* ---- encoding ---- */

/* Text between two special tokens; a SentencePiece text starts anew after each of them. */
static int encode_text(const struct tokenizer *tokenizer, const uint8_t *text, uint32_t size,
		       struct encoder *encoder)
{
	if (size == 0)
		return 0;
	if (tokenizer->form == VOCAB_SCORED)
		return spm_encode(&tokenizer->spm, text, size, tokenizer->space_prefix, encoder);
	return bpe_encode(&tokenizer->bpe, text, size, encoder);
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
	if (options->bos && tokenizer->roles.bos != TOKEN_NONE)
		encoder_put(encoder, tokenizer->roles.bos);
	int result = 0;
	if (specials_find(tokenizer->specials, text, size, options, &marks))
		result = encode_marked(tokenizer, text, size, &marks, encoder);
	else
		encoder->out->failed = true;
	buf_finish(&marks);
	if (result == 0 && encoder->out->failed)
		result = encoder_no_memory(encoder);
	return result;
}

int tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t size,
		     const struct tokenize_options *options, struct buf *out, struct fail *fail)
{
	if (size > TOKENIZER_TEXT_MAX)
		return fail_set(fail, FAIL_INVALID,
				"the text has %zu bytes; %u can be tokenized at once", size,
				TOKENIZER_TEXT_MAX);
	struct encoder encoder;
	const size_t before = out->size;
	int result = encoder_init(&encoder, size, out, fail);
	if (result == 0)
		result =
			encode(tokenizer, (const uint8_t *)text, (uint32_t)size, options, &encoder);
	if (result < 0)
		out->size = before;
	encoder_finish(&encoder);
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
		const uint8_t *space =
			memmem(piece, (size_t)(end - piece), VOCAB_SPACE, VOCAB_SPACE_BYTES);
		buf_append(out, piece, (size_t)((space ? space : end) - piece));
		if (!space)
			break;
		buf_u8(out, ' ');
		piece = space + VOCAB_SPACE_BYTES;
	}
}

static void put_piece(const struct tokenizer *tokenizer, uint32_t token, bool special,
		      struct buf *out)
{
	uint32_t size;
	const uint8_t *piece = vocab_piece(&tokenizer->vocab, token, &size);
	switch (vocab_kind(&tokenizer->vocab, token)) {
	case TOKEN_NORMAL:
		if (tokenizer->form == VOCAB_BYTE_LEVEL)
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
