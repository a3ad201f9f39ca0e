/* kv.h: how much room for what layers keep of sequences a plan gives, and what a layer needs of it.
 *
 * A layer that sees everything keeps every position of every sequence. One with a sliding window
 * keeps of a sequence no more than the window, KV_BACK positions before it (so far back it can
 * always be trimmed) and the rows of one flight, in whole pages; of all sequences together as much
 * as `sequences` full ones need: the head lets no more run at once than fit. A recurrent layer keeps
 * a state of fixed size of each of them, and another that is being written. */
#ifndef PROTO_KV_H
#define PROTO_KV_H

#include "proto/facts.h"

#include <stdbool.h>
#include <stdint.h>

#define KV_ROOM_PAGE 64u /* positions that are taken at once */
#define KV_BACK      64u

struct kv_room {
	enum kv_type type;
	uint32_t positions; /* of all sequences together */
	uint32_t sequences; /* full ones that sliding layers have room for, at least 1 */
	uint32_t rows;      /* most rows of a flight */
};

/* Sequences for which `positions` are meant when each may have `context`: rounded up. */
uint32_t kv_sequences(uint32_t positions, uint32_t context);

/* What a layer with this window keeps of one sequence, in positions; `window` 0: UINT32_MAX. */
uint32_t kv_kept(uint32_t window, uint32_t rows);
/* What a layer with this window has room for, of all sequences together. */
uint32_t kv_window_positions(const struct kv_room *room, uint32_t window);

/* Bytes of one position in this layer, and of all that it has room for. */
double kv_position_bytes(const struct model_facts *facts, uint32_t layer, enum kv_type type);
uint64_t kv_layer_bytes(const struct model_facts *facts, uint32_t layer,
			const struct kv_room *room);

/* "f16", "q8_0", "f32". */
const char *kv_type_name(enum kv_type type);
bool kv_type_find(const char *name, enum kv_type *type);

#endif
