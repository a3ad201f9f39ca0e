#include "proto/kv.h"

#include <string.h>

static const char *const names[KV_TYPES] = {
	[KV_TYPE_F16] = "f16", [KV_TYPE_Q8_0] = "q8_0", [KV_TYPE_F32] = "f32"
};

/* Bytes per byte of F16, in 32nds: a Q8_0 block of 32 columns is 32 int8 and one F16 scale. */
static const uint32_t sizes[KV_TYPES] = {
	[KV_TYPE_F16] = 32, [KV_TYPE_Q8_0] = 17, [KV_TYPE_F32] = 64
};

uint32_t kv_sequences(uint32_t positions, uint32_t context)
{
	return positions / context + (positions % context != 0);
}

uint32_t kv_kept(uint32_t window, uint32_t rows)
{
	/* so many positions in a row lie in at most one page more than they fill */
	const uint64_t kept = (uint64_t)window - 1 + KV_BACK + rows;
	const uint64_t pages = (kept + KV_ROOM_PAGE - 2) / KV_ROOM_PAGE + 1;
	return window == 0 || pages * KV_ROOM_PAGE > UINT32_MAX ? UINT32_MAX
								: (uint32_t)pages * KV_ROOM_PAGE;
}

uint32_t kv_window_positions(const struct kv_room *room, uint32_t window)
{
	const uint64_t all = (uint64_t)kv_kept(window, room->rows) * room->sequences;
	return all < room->positions ? (uint32_t)all : room->positions;
}

double kv_position_bytes(const struct model_facts *facts, uint32_t layer, enum kv_type type)
{
	return (double)facts->kv_bytes[layer] * sizes[type] / 32;
}

uint64_t kv_layer_bytes(const struct model_facts *facts, uint32_t layer, const struct kv_room *room)
{
	const uint64_t positions = kv_window_positions(room, facts->kv_windows[layer]);
	return (positions * facts->kv_bytes[layer] * sizes[room->type] + 31) / 32 +
	       2ull * room->sequences * facts->state_bytes[layer];
}

const char *kv_type_name(enum kv_type type)
{
	return names[type];
}

bool kv_type_find(const char *name, enum kv_type *type)
{
	for (enum kv_type i = 0; i < KV_TYPES; i++) {
		if (strcmp(names[i], name) == 0) {
			*type = i;
			return true;
		}
	}
	return false;
}
