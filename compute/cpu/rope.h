/* rope.h: the angles of rotary position embedding. In double with our own functions, so that a
 * position has the same cosines everywhere. */
#ifndef COMPUTE_CPU_ROPE_H
#define COMPUTE_CPU_ROPE_H

#include "compute/model.h"

#include <stdint.h>

/* turns[i] for i < n_rot / 2, as struct rope_shape defines them: once per model and rope. `factors`
 * [n_rot / 2] may be NULL (all 1). */
void rope_turns(double *turns, const struct rope_shape *rope, const float *factors);

/* table[i] = cos(position * turns[i]), table[n_rot/2 + i] = sin of it, times `magnitude`: once per
 * row of a batch and rope, shared by the layers that turn so. */
void rope_table(float *table, const double *turns, uint32_t n_rot, float magnitude,
		uint32_t position);

#endif
