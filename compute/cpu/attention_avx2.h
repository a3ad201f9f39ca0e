/* attention_avx2.h: the two large steps of attention in this variant (struct tile_steps). */
#ifndef COMPUTE_CPU_ATTENTION_AVX2_H
#define COMPUTE_CPU_ATTENTION_AVX2_H

#include "compute/cpu/tiles.h"

void avx2_score_tile(struct tile *tile);
void avx2_add_values(struct tile *tile);

#endif
