/* The tensor types of GGUF: names, block shapes, and which of them this version computes with.
 * Source of numbers and sizes: the GGUF format text and ggml's block layouts. */
#include "compute/gguf.h"

struct type_row {
	const char *name;
	uint16_t block;       /* elements */
	uint16_t block_bytes; /* of one block */
	bool supported;
};

static const struct type_row rows[TENSOR_TYPES_END] = {
	[TENSOR_F32] = { "F32", 1, 4, true },
	[TENSOR_F16] = { "F16", 1, 2, true },
	[TENSOR_Q4_0] = { "Q4_0", 32, 18, true },
	[TENSOR_Q4_1] = { "Q4_1", 32, 20, true },
	[TENSOR_Q5_0] = { "Q5_0", 32, 22, true },
	[TENSOR_Q5_1] = { "Q5_1", 32, 24, true },
	[TENSOR_Q8_0] = { "Q8_0", 32, 34, true },
	[9] = { "Q8_1", 32, 36, false },
	[TENSOR_Q2_K] = { "Q2_K", 256, 84, true },
	[TENSOR_Q3_K] = { "Q3_K", 256, 110, true },
	[TENSOR_Q4_K] = { "Q4_K", 256, 144, true },
	[TENSOR_Q5_K] = { "Q5_K", 256, 176, true },
	[TENSOR_Q6_K] = { "Q6_K", 256, 210, true },
	[15] = { "Q8_K", 256, 292, false },
	[TENSOR_IQ2_XXS] = { "IQ2_XXS", 256, 66, true },
	[TENSOR_IQ2_XS] = { "IQ2_XS", 256, 74, true },
	[TENSOR_IQ3_XXS] = { "IQ3_XXS", 256, 98, true },
	[TENSOR_IQ1_S] = { "IQ1_S", 256, 50, true },
	[TENSOR_IQ4_NL] = { "IQ4_NL", 32, 18, true },
	[TENSOR_IQ3_S] = { "IQ3_S", 256, 110, true },
	[TENSOR_IQ2_S] = { "IQ2_S", 256, 82, true },
	[TENSOR_IQ4_XS] = { "IQ4_XS", 256, 136, true },
	[24] = { "I8", 1, 1, false },
	[25] = { "I16", 1, 2, false },
	[26] = { "I32", 1, 4, false },
	[27] = { "I64", 1, 8, false },
	[28] = { "F64", 1, 8, false },
	[TENSOR_IQ1_M] = { "IQ1_M", 256, 56, true },
	[TENSOR_BF16] = { "BF16", 1, 2, true },
	[34] = { "TQ1_0", 256, 54, false },
	[35] = { "TQ2_0", 256, 66, false },
	[TENSOR_MXFP4] = { "MXFP4", 32, 17, true },
	[40] = { "NVFP4", 64, 36, false },
	[41] = { "Q1_0", 128, 18, false },
	[42] = { "Q2_0", 64, 18, false },
};

static const struct type_row *row_of(uint32_t type)
{
	return type < TENSOR_TYPES_END && rows[type].name ? &rows[type] : NULL;
}

const char *tensor_type_name(uint32_t type)
{
	const struct type_row *row = row_of(type);
	return row ? row->name : "unknown";
}

bool tensor_type_supported(uint32_t type)
{
	const struct type_row *row = row_of(type);
	return row && row->supported;
}

uint32_t tensor_type_block(uint32_t type)
{
	const struct type_row *row = row_of(type);
	return row ? row->block : 0;
}

uint32_t tensor_type_block_bytes(uint32_t type)
{
	const struct type_row *row = row_of(type);
	return row ? row->block_bytes : 0;
}
