#include "compute/kv.h"

const char *kv_kind_name(enum kv_kind kind)
{
	static const char *const names[KV_KINDS] = {
		[KV_F16] = "f16", [KV_Q8_0] = "q8_0", [KV_F32] = "f32"
	};
	return names[kind];
}

bool kv_kind_fits(enum kv_kind kind, uint32_t width)
{
	return width % (kind == KV_Q8_0 ? KV_SCALE_BLOCK : 8) == 0;
}

size_t kv_head_bytes(enum kv_kind kind, uint32_t width)
{
	const size_t values = (size_t)KV_PAGE_POSITIONS * width;
	if (kind == KV_Q8_0)
		return values + values / KV_SCALE_BLOCK * sizeof(uint16_t);
	return values * (kind == KV_F32 ? sizeof(float) : sizeof(uint16_t));
}
