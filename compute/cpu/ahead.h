/* ahead.h: asking memory for the bytes that come next, in even shares between pieces of work. Asked
 * for all at once they are more than a processor can await: Intel's then stand still until there is
 * room, Zen 4 drops the rest.
 *
 * The bytes are asked for in AHEAD_STREAMS places at a time. The processor's own prefetching
 * follows each stream, but stops at the end of a page: several keep more on its way than one. */
#ifndef COMPUTE_CPU_AHEAD_H
#define COMPUTE_CPU_AHEAD_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define AHEAD_LINE    64 /* bytes */
#define AHEAD_STREAMS 3

struct ahead {
	const uint8_t *next, *end; /* of the first stream */
	size_t step;               /* bytes from one stream to the next */
	size_t share;              /* bytes of a stream, whole lines */
};

/* Bytes [from, from + size) of `whole` at `bytes`, or as many; they may lie beyond what is mapped.
 * `shares` is not 0. */
static inline struct ahead ahead_of(const uint8_t *bytes, size_t whole, size_t from, size_t size,
				    uint32_t shares)
{
	const uint8_t *next = bytes + from / AHEAD_STREAMS;
	const size_t piece = size / AHEAD_STREAMS, lines = piece / AHEAD_LINE + 1;
	return (struct ahead){
		.next = next,
		.end = next + piece,
		.step = whole / AHEAD_STREAMS,
		.share = (lines + shares - 1) / shares * AHEAD_LINE,
	};
}

/* Asks for one share of them. */
static inline void ahead_ask(struct ahead *ahead)
{
	const uint8_t *end = ahead->next + ahead->share;
	if (end > ahead->end)
		end = ahead->end;
	for (; ahead->next < end; ahead->next += AHEAD_LINE)
		for (size_t s = 0; s < AHEAD_STREAMS; s++)
			_mm_prefetch((const char *)ahead->next + s * ahead->step, _MM_HINT_T1);
}

#endif
