#include "compute/cpu/panel_avx512.h"

#include "compute/cpu/fill_avx512.h"
#include "compute/cpu/unpack_avx512.h"
#include "compute/gguf.h"

#include <string.h>

/* What makes any int8 unsigned. */
#define OFFSET_ANY 128

/* Decoded weights of sixteen rows. */
struct decoded {
	int8_t q[PANEL_OUTPUTS][PANEL_COLUMNS];
	float scale[PANEL_GROUPS][PANEL_OUTPUTS] __attribute__((aligned(64)));
	float minimum[PANEL_GROUPS][PANEL_OUTPUTS] __attribute__((aligned(64)));
};

static void decode_block(const struct format *format, const uint8_t *bytes, uint32_t row,
			 uint32_t column, struct decoded *decoded)
{
	struct block block;
	format->decode(bytes, &block);
	memcpy(&decoded->q[row][column], block.q, format->size);
	for (uint32_t g = 0; g < format->size / format->group; g++) {
		const uint32_t at = column / format->group + g;
		decoded->scale[at][row] = block.d * (float)block.scale[g];
		if (format->minimum)
			decoded->minimum[at][row] = -(block.dmin * (float)block.min[g]);
	}
}

/* Any format, by way of its decoder. */
static void fill_decoded(const struct format *format, struct sixteen rows, uint32_t n,
			 struct panel *panel)
{
	const __m512i offset = _mm512_set1_epi8(format->minimum ? 0 : (char)OFFSET_ANY);
	struct decoded decoded;
	for (uint32_t r = 0; r < PANEL_OUTPUTS; r++)
		for (uint32_t i = 0; i < n; i++)
			decode_block(format, rows.bytes + r * rows.stride + i * format->bytes, r,
				     i * format->size, &decoded);
	const struct sixteen flat = { (const uint8_t *)decoded.q, PANEL_COLUMNS };
	for (uint32_t c = 0; c < n * format->size; c += 32) {
		__m512i turned[8];
		turn_32(flat, c, turned);
		for (int i = 0; i < 8; i++)
			panel->w[c / 4 + (uint32_t)i] = _mm512_xor_si512(turned[i], offset);
	}
	for (uint32_t g = 0; g < n * format->size / format->group; g++) {
		panel->scale[g] = _mm512_load_ps(decoded.scale[g]);
		if (format->minimum)
			panel->minimum[g] = _mm512_load_ps(decoded.minimum[g]);
	}
}

static const struct packing packings[] = {
	[TENSOR_Q4_0] = { fill_q4_0, 8 },   [TENSOR_Q5_0] = { fill_q5_0, 16 },
	[TENSOR_Q8_0] = { fill_q8_0, 128 }, [TENSOR_Q4_K] = { fill_q4_k, 0 },
	[TENSOR_Q5_K] = { fill_q5_k, 0 },   [TENSOR_Q6_K] = { fill_q6_k, 32 },
};

struct packing packing_of(uint32_t tensor_type)
{
	if (tensor_type < sizeof(packings) / sizeof(packings[0]) && packings[tensor_type].fill)
		return packings[tensor_type];
	return (struct packing){ fill_decoded, format_of(tensor_type)->minimum ? 0 : OFFSET_ANY };
}
