/* fetch.h: asking memory for the weights that come next, for products of one or two rows: there
 * memory is what takes the time.
 *
 * A few rows of weights are worked through at a time, block after block of all of them. What lies
 * behind them is asked for from first to last meanwhile, a few lines at once: Zen 3 drops what is
 * asked for in larger pieces, and row by row, each line on another page, it brings little more
 * than half. */
#ifndef COMPUTE_CPU_FETCH_H
#define COMPUTE_CPU_FETCH_H

#include <stddef.h>
#include <stdint.h>

/* The last of the rows that come next would be read right after it is asked for: all is asked for
 * so many bytes earlier. */
#define FETCH_LEAD (12u << 10)

struct fetch {
	const uint8_t *next;
};

/* `rows`: those to be worked through at first, of `bytes` in all. What is asked for may lie beyond
 * what is mapped. */
static inline struct fetch fetch_after(const uint8_t *rows, size_t bytes)
{
	return (struct fetch){ rows + bytes + FETCH_LEAD };
}

/* Asks for the next `bytes`, a number that the compiler knows. Volatile, or it would gather the
 * questions of a block in one place; the work between two of them needs something to stay there. */
static inline __attribute__((always_inline)) void fetch_next(struct fetch *fetch, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 64)
		__asm__ volatile("prefetcht1 %0" : : "m"(fetch->next[i]));
	fetch->next += bytes;
}

#endif
