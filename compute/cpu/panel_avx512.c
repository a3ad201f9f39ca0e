#include "compute/cpu/panel_avx512.h"

#include "compute/cpu/fill_avx512.h"
#include "compute/gguf.h"

static const struct packing packings[] = {
	[TENSOR_Q4_0] = { fill_q4_0, 8, false, false },
	[TENSOR_Q4_1] = { fill_q4_1, 0, false, false },
	[TENSOR_Q5_0] = { fill_q5_0, 16, false, false },
	[TENSOR_Q5_1] = { fill_q5_1, 0, false, false },
	[TENSOR_Q8_0] = { fill_q8_0, OFFSET_ANY, false, false },
	[TENSOR_IQ4_NL] = { fill_iq4_nl, OFFSET_ANY, false, false },
	[TENSOR_MXFP4] = { fill_mxfp4, FP4_OFFSET, false, false },
	[TENSOR_Q2_K] = { fill_q2_k, 0, false, false },
	[TENSOR_Q3_K] = { fill_q3_k, 4, false, false },
	[TENSOR_Q4_K] = { fill_q4_k, 0, false, false },
	[TENSOR_Q5_K] = { fill_q5_k, 0, false, false },
	[TENSOR_Q6_K] = { fill_q6_k, 32, false, false },
	[TENSOR_IQ4_XS] = { fill_iq4_xs, OFFSET_ANY, false, false },
	[TENSOR_IQ2_XXS] = { fill_iq2_xxs, GRID_OFFSET, true, false },
	[TENSOR_IQ2_XS] = { fill_iq2_xs, GRID_OFFSET, true, false },
	[TENSOR_IQ2_S] = { fill_iq2_s, GRID_OFFSET, true, false },
	[TENSOR_IQ3_XXS] = { fill_iq3_xxs, GRID_OFFSET, true, false },
	[TENSOR_IQ3_S] = { fill_iq3_s, GRID_OFFSET, true, false },
	[TENSOR_IQ1_S] = { fill_iq1_s, EIGHTHS_OFFSET, true, true },
	[TENSOR_IQ1_M] = { fill_iq1_m, EIGHTHS_OFFSET, true, true },
};

struct packing packing_of(uint32_t tensor_type)
{
	return packings[tensor_type];
}
