/* traits_avx512.h: the weight formats as constants of the compiler, for code that is made once for
 * each type. */
#ifndef COMPUTE_CPU_TRAITS_AVX512_H
#define COMPUTE_CPU_TRAITS_AVX512_H

#include "compute/gguf.h"

#include <stdbool.h>
#include <stdint.h>

struct trait {
	uint16_t columns, bytes; /* of a block */
	uint8_t part;            /* columns that are turned together */
	uint8_t group;           /* columns that share a scale */
	bool minima;
};

static const struct trait traits[] = {
	[TENSOR_Q4_0] = { 32, 18, 32, 32, false },
	[TENSOR_Q4_1] = { 32, 20, 32, 32, true },
	[TENSOR_Q5_0] = { 32, 22, 32, 32, false },
	[TENSOR_Q5_1] = { 32, 24, 32, 32, true },
	[TENSOR_Q8_0] = { 32, 34, 32, 32, false },
	[TENSOR_IQ4_NL] = { 32, 18, 32, 32, false },
	[TENSOR_MXFP4] = { 32, 17, 32, 32, false },
	[TENSOR_Q2_K] = { 256, 84, 128, 16, true },
	[TENSOR_Q3_K] = { 256, 110, 128, 16, false },
	[TENSOR_Q4_K] = { 256, 144, 64, 32, true },
	[TENSOR_Q5_K] = { 256, 176, 64, 32, true },
	[TENSOR_Q6_K] = { 256, 210, 128, 16, false },
	[TENSOR_IQ4_XS] = { 256, 136, 64, 32, false },
	/* with a grid: never turned */
	[TENSOR_IQ2_XXS] = { 256, 66, 0, 32, false },
	[TENSOR_IQ2_XS] = { 256, 74, 0, 16, false },
	[TENSOR_IQ2_S] = { 256, 82, 0, 16, false },
	[TENSOR_IQ3_XXS] = { 256, 98, 0, 32, false },
	[TENSOR_IQ3_S] = { 256, 110, 0, 32, false },
	[TENSOR_IQ1_S] = { 256, 50, 0, 32, false },
	[TENSOR_IQ1_M] = { 256, 56, 0, 16, false },
};

#endif
