/* sample.h: random weights and activations for the kernel tests; equality of floats by bits. */
#ifndef TESTS_KERNELS_SAMPLE_H
#define TESTS_KERNELS_SAMPLE_H

#include "compute/cpu/kernels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern const uint32_t sample_types[]; /* every type that this version computes with */
extern const size_t sample_type_count;

/* A xorshift generator: the same numbers in every run. Start with any state but 0. */
uint64_t sample_random(uint64_t *state);
float sample_uniform(uint64_t *state, float low, float high);
void sample_floats(uint64_t *state, float *out, size_t n, float low, float high);

enum sample_kind {
	SAMPLE_PLAIN,   /* scales like those of real files */
	SAMPLE_EXTREME, /* every bit of every weight set, largest scales that stay finite */
	SAMPLE_WILD     /* any bytes: scales are infinite, NaN, denormal, negative */
};

/* `n` weights of a type. */
void sample_weights(uint64_t *state, uint32_t type, enum sample_kind kind, uint8_t *out, size_t n);

/* Zeroed memory that starts at a multiple of ROW_ALIGN; for free(). Fails the test without. */
void *sample_alloc(size_t bytes);

/* Index of the first float whose bits differ, NaN being equal to NaN; n when all are equal. */
size_t sample_difference(const float *a, const float *b, size_t n);

#endif
