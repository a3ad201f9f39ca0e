/* character.h: what kind of character a code point is, as far as pre-tokenizers care. The classes
 * are Unicode's general categories (L, N, P, S, M), its White_Space, and a few smaller sets that
 * some rule names; a code point has exactly one of the first seven bits. */
#ifndef COMPUTE_CHARACTER_H
#define COMPUTE_CHARACTER_H

#include <stdint.h>

enum character_class {
	CHARACTER_LETTER = 1 << 0,
	CHARACTER_NUMBER = 1 << 1,
	CHARACTER_PUNCTUATION = 1 << 2,
	CHARACTER_SYMBOL = 1 << 3,
	CHARACTER_MARK = 1 << 4,
	CHARACTER_SPACE = 1 << 5,
	CHARACTER_OTHER = 1 << 6, /* controls, unassigned, private, surrogates */
	CHARACTER_LINE = 1 << 7,  /* \r \n; spaces too */
	CHARACTER_CASED = 1 << 8, /* letters that DeepSeek LLM's first rule lists */
	CHARACTER_UPPER = 1 << 9, /* A to Z */
	CHARACTER_LOWER = 1 << 10,
	CHARACTER_DIGIT = 1 << 11, /* 0 to 9 */
	CHARACTER_SIGN = 1 << 12,  /* $ + < = > ^ | ~ */
	CHARACTER_TICK = 1 << 13   /* ` */
};

/* Of the first 128 code points. */
extern const uint16_t *const character_ascii;

/* Of any code point; what is no code point is CHARACTER_OTHER. */
uint32_t character_class(uint32_t code);

#endif
