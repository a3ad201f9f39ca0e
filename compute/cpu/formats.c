#include "compute/cpu/formats.h"

#include "compute/cpu/formats_decode.h"
#include "compute/gguf.h"

#include <stddef.h>

static const struct format formats[] = {
	[TENSOR_Q4_0] = { 32, 18, 32, false, decode_q4_0 },
	[TENSOR_Q4_1] = { 32, 20, 32, true, decode_q4_1 },
	[TENSOR_Q5_0] = { 32, 22, 32, false, decode_q5_0 },
	[TENSOR_Q5_1] = { 32, 24, 32, true, decode_q5_1 },
	[TENSOR_Q8_0] = { 32, 34, 32, false, decode_q8_0 },
	[TENSOR_Q2_K] = { 256, 84, 16, true, decode_q2_k },
	[TENSOR_Q3_K] = { 256, 110, 16, false, decode_q3_k },
	[TENSOR_Q4_K] = { 256, 144, 32, true, decode_q4_k },
	[TENSOR_Q5_K] = { 256, 176, 32, true, decode_q5_k },
	[TENSOR_Q6_K] = { 256, 210, 16, false, decode_q6_k },
	[TENSOR_IQ2_XXS] = { 256, 66, 32, false, decode_iq2_xxs },
	[TENSOR_IQ2_XS] = { 256, 74, 16, false, decode_iq2_xs },
	[TENSOR_IQ3_XXS] = { 256, 98, 32, false, decode_iq3_xxs },
	[TENSOR_IQ1_S] = { 256, 50, 32, false, decode_iq1_s },
	[TENSOR_IQ4_NL] = { 32, 18, 32, false, decode_iq4_nl },
	[TENSOR_IQ3_S] = { 256, 110, 32, false, decode_iq3_s },
	[TENSOR_IQ2_S] = { 256, 82, 16, false, decode_iq2_s },
	[TENSOR_IQ4_XS] = { 256, 136, 32, false, decode_iq4_xs },
	[TENSOR_IQ1_M] = { 256, 56, 16, false, decode_iq1_m },
	[TENSOR_MXFP4] = { 32, 17, 32, false, decode_mxfp4 },
};

const struct format *format_of(uint32_t tensor_type)
{
	if (tensor_type >= sizeof(formats) / sizeof(formats[0]) || !formats[tensor_type].decode)
		return NULL;
	return &formats[tensor_type];
}

float format_float(uint32_t tensor_type, const uint8_t *row, uint32_t index)
{
	if (tensor_type == TENSOR_F16)
		return load_f16(row + 2 * (size_t)index);
	if (tensor_type == TENSOR_BF16)
		return bf16_to_f32(load_u16le(row + 2 * (size_t)index));
	return half_bits_to_f32(load_u32le(row + 4 * (size_t)index));
}
