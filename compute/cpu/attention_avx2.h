/* attention_avx2.h: the steps of attention in this variant, each as its namesake in struct
 * tile_steps. AVX-512 takes the small ones too. */
#ifndef COMPUTE_CPU_ATTENTION_AVX2_H
#define COMPUTE_CPU_ATTENTION_AVX2_H

#include "compute/cpu/tiles.h"

void avx2_score_tile(struct tile *tile);
void avx2_add_values(struct tile *tile);
void avx2_quantise_query(const float *x, uint32_t n, int8_t *q, float *scales);
void avx2_cap_scores(float cap, float *scores);
void avx2_weigh(struct seen seen, float *weights, float *largest, float *sum);
void avx2_exp(float *x, uint32_t n);
void avx2_join(uint32_t head_v, float *all, const float *next, float keep, float take);
void avx2_finish(const struct attention *attention, uint32_t head, const float *all, float *out);

#endif
