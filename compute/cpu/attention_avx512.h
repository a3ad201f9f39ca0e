/* attention_avx512.h: the two large steps of attention in this variant (struct tile_steps); the
 * small ones are those of AVX2. */
#ifndef COMPUTE_CPU_ATTENTION_AVX512_H
#define COMPUTE_CPU_ATTENTION_AVX512_H

#include "compute/cpu/tiles.h"

void avx512_score_tile(struct tile *tile);
void avx512_add_values(struct tile *tile);

#endif
