/* vocab_build.h: small vocabularies as GGUF bytes, and tokenizers made of them. */
#ifndef TESTS_VOCAB_BUILD_H
#define TESTS_VOCAB_BUILD_H

#include "../engine/gguf_build.h"

#include "base/buf.h"
#include "base/fail.h"
#include "compute/gguf.h"
#include "compute/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NORMAL = 1, UNKNOWN, CONTROL, USER, UNUSED, BYTE };

struct piece {
	const char *text;
	uint32_t kind;
	float score;
};

#define PIECES_MAX 700

/* What a test changes before vocab_open. */
struct vocab_build {
	struct piece pieces[PIECES_MAX];
	uint32_t n_pieces;
	const char *merges[PIECES_MAX];
	uint32_t n_merges;
	const char *model, *pre;    /* left out when NULL */
	const char *name;           /* of the model, left out when NULL */
	uint32_t n_kinds, n_scores; /* written; n_pieces unless a test says otherwise */
	const char *id_key;         /* one id, left out when NULL */
	uint32_t id;
	int space_prefix, adds_bos; /* -1: left out */
	char names[256][8];         /* spellings of single bytes */
};

static inline void vocab_add(struct vocab_build *build, const char *text, uint32_t kind,
			     float score)
{
	build->pieces[build->n_pieces++] = (struct piece){ text, kind, score };
}

static inline void vocab_start(struct vocab_build *build, const char *model, const char *pre)
{
	memset(build, 0, sizeof(*build));
	build->model = model;
	build->pre = pre;
	build->n_kinds = build->n_scores = UINT32_MAX;
	build->space_prefix = build->adds_bos = -1;
}

/* <unk> 0, <s> 1, </s> 2, the bytes 3 to 258: what every SentencePiece vocabulary begins with. */
#define SPM_BYTES 3u
#define SPM_FIRST 259u

static inline void vocab_start_spm(struct vocab_build *build)
{
	vocab_start(build, "llama", NULL);
	vocab_add(build, "<unk>", UNKNOWN, 0);
	vocab_add(build, "<s>", CONTROL, 0);
	vocab_add(build, "</s>", CONTROL, 0);
	for (int i = 0; i < 256; i++) {
		snprintf(build->names[i], sizeof(build->names[i]), "<0x%02X>", i);
		vocab_add(build, build->names[i], BYTE, 0);
	}
}

/* The same for BPE whose tokens are spelt in UTF-8; characters and merges are for the test to add.
 */
static inline void vocab_start_raw(struct vocab_build *build)
{
	vocab_start_spm(build);
	build->model = "gemma4";
}

/* The 256 bytes as tokens 0 to 255, spelt in GPT-2's alphabet. */
#define BPE_FIRST 256u

static inline void vocab_start_bpe(struct vocab_build *build, const char *pre)
{
	vocab_start(build, "gpt2", pre);
	int others = 0;
	for (int i = 0; i < 256; i++) {
		const int itself = (i > 32 && i < 127) || (i > 160 && i != 173);
		const int character = itself ? i : 256 + others++;
		char *name = build->names[i];
		if (character < 128) {
			name[0] = (char)character;
		} else {
			name[0] = (char)(0xc0 | character >> 6);
			name[1] = (char)(0x80 | (character & 63));
		}
		vocab_add(build, name, NORMAL, 0);
	}
}

/* Adds a merge and, if it is new, the token it makes. */
static inline void vocab_merge(struct vocab_build *build, const char *pair, const char *token)
{
	build->merges[build->n_merges++] = pair;
	for (uint32_t i = 0; i < build->n_pieces; i++) {
		if (strcmp(build->pieces[i].text, token) == 0)
			return;
	}
	vocab_add(build, token, NORMAL, 0);
}

static inline void write_kinds_and_scores(const struct vocab_build *build, struct gguf_build *file)
{
	const uint32_t kinds = build->n_kinds == UINT32_MAX ? build->n_pieces : build->n_kinds;
	const uint32_t scores = build->n_scores == UINT32_MAX ? build->n_pieces : build->n_scores;
	build_array(file, "tokenizer.ggml.token_type", GGUF_I32, kinds);
	for (uint32_t i = 0; i < kinds; i++)
		buf_u32(&file->keys, build->pieces[i].kind);
	if (strcmp(build->model, "llama") != 0)
		return;
	build_array(file, "tokenizer.ggml.scores", GGUF_F32, scores);
	for (uint32_t i = 0; i < scores; i++) {
		uint32_t bits;
		memcpy(&bits, &build->pieces[i].score, sizeof(bits));
		buf_u32(&file->keys, bits);
	}
}

static inline void write_bool(struct gguf_build *file, const char *key, int value)
{
	if (value >= 0 && build_key(file, key, GGUF_BOOL))
		buf_u8(&file->keys, (uint8_t)value);
}

/* Appends the GGUF file of this vocabulary. */
static inline void vocab_file(const struct vocab_build *build, struct buf *out)
{
	struct gguf_build file;
	build_init(&file);
	build_string(&file, "general.architecture", "test");
	if (build->model)
		build_string(&file, "tokenizer.ggml.model", build->model);
	if (build->pre)
		build_string(&file, "tokenizer.ggml.pre", build->pre);
	if (build->name)
		build_string(&file, "general.name", build->name);
	if (build->n_pieces > 0) {
		build_array(&file, "tokenizer.ggml.tokens", GGUF_STRING, build->n_pieces);
		for (uint32_t i = 0; i < build->n_pieces; i++)
			build_text(&file.keys, build->pieces[i].text);
		if (build->model)
			write_kinds_and_scores(build, &file);
	}
	if (build->n_merges > 0) {
		build_array(&file, "tokenizer.ggml.merges", GGUF_STRING, build->n_merges);
		for (uint32_t i = 0; i < build->n_merges; i++)
			build_text(&file.keys, build->merges[i]);
	}
	if (build->id_key)
		build_u32(&file, build->id_key, build->id);
	write_bool(&file, "tokenizer.ggml.add_space_prefix", build->space_prefix);
	write_bool(&file, "tokenizer.ggml.add_bos_token", build->adds_bos);
	build_file(&file, out);
	build_finish(&file);
}

/* NULL and a sentence when the vocabulary is refused. */
static inline struct tokenizer *vocab_open(const struct vocab_build *build, struct fail *fail)
{
	struct buf bytes;
	buf_init(&bytes);
	vocab_file(build, &bytes);
	struct gguf *gguf = gguf_parse(bytes.data, bytes.size, bytes.size, fail);
	struct tokenizer *tokenizer = gguf ? tokenizer_create(gguf, fail) : NULL;
	gguf_close(gguf);
	buf_finish(&bytes);
	return tokenizer;
}

/* A tokenizer that must come about. */
static inline struct tokenizer *vocab_tokenizer(const struct vocab_build *build)
{
	struct fail fail = { 0 };
	struct tokenizer *tokenizer = vocab_open(build, &fail);
	if (!tokenizer) {
		fprintf(stderr, "vocabulary refused: %s\n", fail.text);
		abort();
	}
	return tokenizer;
}

#endif
