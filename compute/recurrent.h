/* recurrent.h: what recurrent layers keep of a sequence: one block of floats a layer, whatever the
 * sequence's length. Inside compute only; struct state owns it.
 *
 * Work on a slot reads its block of `now` and writes another, `next`, which takes its place when
 * the work is committed: work that fails leaves the sequence as it was. Blocks are counted, so
 * forks and checkpoints share them. A slot without a block is at position 0, where everything is
 * zero. */
#ifndef COMPUTE_RECURRENT_H
#define COMPUTE_RECURRENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct recurrent_config {
	uint32_t n_layers; /* that are recurrent */
	uint32_t n_slots;
	uint32_t n_blocks;  /* of all layers together */
	size_t block_bytes; /* of one layer */
};

struct recurrent;

struct recurrent *recurrent_create(const struct recurrent_config *config); /* gives, or NULL */
void recurrent_destroy(struct recurrent *recurrent);                       /* accepts NULL */
uint64_t recurrent_bytes(const struct recurrent_config *config);

/* Finds a `next` for the slot in this layer, where it has none yet. False: no block is left. */
bool recurrent_prepare(struct recurrent *recurrent, uint32_t layer, uint32_t slot);
void recurrent_commit(struct recurrent *recurrent, uint32_t layer, uint32_t slot);
/* Forgets the `next` of all layers. */
void recurrent_abandon(struct recurrent *recurrent, uint32_t slot);
/* Makes `to` hold what `from` holds now. */
void recurrent_share(struct recurrent *recurrent, uint32_t from, uint32_t to);
void recurrent_clear(struct recurrent *recurrent, uint32_t slot);

/* NULL at position 0. */
const float *recurrent_now(const struct recurrent *recurrent, uint32_t layer, uint32_t slot);
float *recurrent_next(const struct recurrent *recurrent, uint32_t layer, uint32_t slot);

#endif
