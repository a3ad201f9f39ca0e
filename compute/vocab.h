/* vocab.h: the tokens of a GGUF file: spelling, kind, rank; and the way from spelling to token.
 *
 * Byte-level BPE files spell each byte of a token as one printable character (GPT-2's table: the
 * printable Latin-1 bytes stand for themselves, the other 68 for U+0100 and on). Such spellings are
 * kept as the bytes they mean, so that text is looked up as it is. */
#ifndef COMPUTE_VOCAB_H
#define COMPUTE_VOCAB_H

#include "base/buf.h"
#include "base/fail.h"
#include "compute/gguf.h"
#include "compute/tokenizer.h"

#define VOCAB_TOKENS_MAX ((1u << 20) - 1)
#define VOCAB_PIECE_MAX  1024u
/* U+2581, which stands for a space where pieces are spelt in UTF-8 */
#define VOCAB_SPACE       "\xe2\x96\x81"
#define VOCAB_SPACE_BYTES 3u

/* As numbered in `tokenizer.ggml.token_type`. */
enum token_kind {
	TOKEN_NORMAL = 1,
	TOKEN_UNKNOWN = 2,
	TOKEN_CONTROL = 3,
	TOKEN_USER_DEFINED = 4,
	TOKEN_UNUSED = 5,
	TOKEN_BYTE = 6
};

/* Sides on which a special token takes the white space beside it. */
enum strip { STRIP_LEFT = 1, STRIP_RIGHT = 2 };

struct vocab {
	uint32_t count;
	bool byte_level;
	uint8_t *text;     /* all pieces, one after the other */
	uint32_t *offsets; /* [count + 1] into text */
	uint32_t *ranks;   /* [count]: rises as the score falls; NULL without scores */
	uint8_t *kinds;    /* [count] */
	uint32_t *slots;   /* hash table: 12 bits of the hash, 20 of token + 1; 0 is empty */
	uint32_t mask;
	uint32_t bytes[256]; /* the token of each single byte, or TOKEN_NONE */
	/* Where text can be cut because nothing is ever joined across; all false when byte_level.
	 * A bit for each pair of bytes that stand side by side in some token, and true for the last
	 * byte of every character that some token has before a U+2581. */
	uint64_t side_by_side[256][4];
	bool before_space[256];
};

enum vocab_form { VOCAB_BYTE_LEVEL, VOCAB_RAW, VOCAB_SCORED };

/* Reads `tokenizer.ggml.tokens` and `.token_type`, and `.scores` when VOCAB_SCORED. Finish it after
 * a failure too. */
int vocab_init(struct vocab *vocab, const struct gguf *gguf, enum vocab_form form,
	       struct fail *fail);
void vocab_finish(struct vocab *vocab);
uint64_t vocab_memory(const struct vocab *vocab);

enum token_kind vocab_kind(const struct vocab *vocab, uint32_t token);
void vocab_set_kind(struct vocab *vocab, uint32_t token, enum token_kind kind);
uint8_t vocab_strip(const struct vocab *vocab, uint32_t token); /* of enum strip; 0 at first */
void vocab_set_strip(struct vocab *vocab, uint32_t token, uint8_t strip);

/* False for control, unknown and byte tokens: text must never be joined to one. */
bool vocab_is_text(const struct vocab *vocab, uint32_t token);
/* The text token that means these bytes, or TOKEN_NONE. */
uint32_t vocab_find(const struct vocab *vocab, const uint8_t *text, size_t size);
/* The token of any kind that the file spells so, or TOKEN_NONE. */
uint32_t vocab_spelt(const struct vocab *vocab, const uint8_t *text, size_t size);

/* Where the text from `from` to `end` can be cut first, so that both parts are tokenized by
 * themselves as they are together: between characters, or at its end. */
uint32_t vocab_cut(const struct vocab *vocab, const uint8_t *text, uint32_t from, uint32_t end);

/* The piece as text is looked up; borrowed. */
const uint8_t *vocab_piece(const struct vocab *vocab, uint32_t token, uint32_t *size);
/* Appends the piece as the file spells it. */
void vocab_spell(const struct vocab *vocab, uint32_t token, struct buf *out);

/* A hash of any bytes. */
uint32_t vocab_hash(const uint8_t *text, size_t size);

/* A fixed mixing of 64 bits: for hash tables here. */
static inline uint64_t vocab_mix(uint64_t value)
{
	value ^= value >> 32;
	value *= UINT64_C(0xd6e8feb86659fd93);
	value ^= value >> 32;
	value *= UINT64_C(0xd6e8feb86659fd93);
	return value ^ value >> 32;
}

#endif
