/* rope.h: the angles of rotary position embedding. In double with our own functions, so that a
 * position has the same cosines everywhere. */
#ifndef COMPUTE_CPU_ROPE_H
#define COMPUTE_CPU_ROPE_H

#include <stdint.h>

/* turns[i] = scale * base^(-2i/n_rot) / factors[i] for i < n_rot / 2: once per model and kind of
 * layer. `factors` may be NULL (all 1). n_rot is even. */
void rope_turns(double *turns, uint32_t n_rot, float base, float scale, const float *factors);

/* table[i] = cos(position * turns[i]), table[n_rot/2 + i] = sin of it: once per row of a batch
 * (and once more where local layers have other turns), shared by all layers. */
void rope_table(float *table, const double *turns, uint32_t n_rot, uint32_t position);

#endif
