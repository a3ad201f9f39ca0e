/* utf8.h: characters in bytes that may not be UTF-8 at all. Source: Unicode 15, 3.9 (well-formed
 * sequences; replacement of maximal subparts). */
#ifndef COMPUTE_UTF8_H
#define COMPUTE_UTF8_H

#include <stddef.h>
#include <stdint.h>

#define UTF8_REPLACEMENT 0xfffdu

/* What stands at `bytes` (size > 0): above 0 the length of a well-formed character; 0 when the
 * bytes end inside one; below 0 minus the number of bytes that one U+FFFD replaces. */
int utf8_scan(const uint8_t *bytes, size_t size);

/* The character at `bytes` (size > 0) as llama.cpp reads it: overlong forms and surrogates pass.
 * Gives its length, or 0 when there is none up to U+10FFFF. */
size_t utf8_decode_loose(const uint8_t *bytes, size_t size, uint32_t *character);

/* The bytes that a lead byte announces, without a look at them and at most `left` (> 0): how
 * llama.cpp cuts text into characters where every character may have a token. */
static inline uint32_t utf8_announced(uint8_t lead, uint32_t left)
{
	const uint32_t announced = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
	return announced < left ? announced : left;
}

/* Writes a character up to U+10FFFF, surrogates too; gives its length. */
size_t utf8_encode(uint32_t character, uint8_t out[4]);

#endif
