/* joined_avx2.h: one row of activations times eight rows of weights of Q4_K, Q5_K or Q6_K. Weights
 * stay in the order of their rows, and meet 32 activations at a time, which the eight rows share;
 * what comes of eight rows is then joined until a lane has all of one row. A fifth fewer
 * instructions than turning the weights, but none of them serves a second row of activations. */
#ifndef COMPUTE_CPU_JOINED_AVX2_H
#define COMPUTE_CPU_JOINED_AVX2_H

#include "compute/cpu/fetch_avx2.h"
#include "compute/cpu/steps_avx2.h"

/* True for the formats of this file. */
FORCE_INLINE bool is_joined(uint32_t type)
{
	return type == TENSOR_Q4_K || type == TENSOR_Q5_K || type == TENSOR_Q6_K;
}

/* 32 columns of weights are a vector. These many lie together in a block, so that few loads give
 * all of them. */
FORCE_INLINE int joined_vectors(uint32_t type)
{
	return type == TENSOR_Q6_K ? 4 : 2;
}

/* ---- weights of one row ---- */

/* Vector `v` of a chunk: columns 32 * (joined_vectors * chunk + v) on of a block of one row. */
FORCE_INLINE __m256i row_weights(uint32_t type, const uint8_t *block, int chunk, int v)
{
	if (type == TENSOR_Q6_K) {
		const __m256i both = load_256(block + 64 * chunk + 32 * (v % 2));
		const __m256i low = v < 2 ? nibbles_low(both) : nibbles_high(both);
		return _mm256_or_si256(low, top_bits(load_256(block + 128 + 32 * chunk), v));
	}
	const __m256i both = load_256(block + (type == TENSOR_Q5_K ? 48 : 16) + 32 * chunk);
	const __m256i w = v == 0 ? nibbles_low(both) : nibbles_high(both);
	if (type != TENSOR_Q5_K)
		return w;
	return _mm256_or_si256(w, fifth_bit(load_256(block + 16), 2 * chunk + v));
}

/* ---- joining ---- */

/* The sums of products have room for 2^room_levels times as many as there are after multiplying;
 * then they must go on in 32 bits. */
FORCE_INLINE int room_levels(uint32_t type)
{
	const int together = vectors_together(type);
	return together >= 8 ? 3 : together >= 4 ? 2 : 1;
}

/* Adds what has been joined `level` times. */
FORCE_INLINE __m256i joined_add(uint32_t type, int level, __m256i a, __m256i b)
{
	return level < room_levels(type) ? narrow_add(a, b) : _mm256_add_epi32(a, b);
}

/* What has now been joined `level` times, in 32 bits if there is no more room. */
FORCE_INLINE __m256i joined_widen(uint32_t type, int level, __m256i v)
{
	return level == room_levels(type) ? add_sums(_mm256_setzero_si256(), v) : v;
}

/* Each half of the result: eight bytes of a, eight of b. (A shuffle of doubles would do the same,
 * but what passes between units of integers and of floats comes later.) */
FORCE_INLINE __m256i join_eights(uint32_t type, __m256i a, __m256i b)
{
	const __m256i own = _mm256_blend_epi32(a, b, 0xcc);
	const __m256i other = _mm256_alignr_epi8(b, a, 8);
	return joined_widen(type, 1, joined_add(type, 0, own, other));
}

/* Each half of the result: four bytes of each of a's two rows, four of each of b's. */
FORCE_INLINE __m256i join_fours(uint32_t type, __m256i a, __m256i b)
{
	const __m256 x = _mm256_castsi256_ps(a), y = _mm256_castsi256_ps(b);
	const __m256i even = _mm256_castps_si256(_mm256_shuffle_ps(x, y, 0x88));
	const __m256i odd = _mm256_castps_si256(_mm256_shuffle_ps(x, y, 0xdd));
	return joined_widen(type, 2, joined_add(type, 1, even, odd));
}

/* The halves of a in the lower half, those of b in the upper one. */
FORCE_INLINE __m256i join_halves_of(uint32_t type, __m256i a, __m256i b)
{
	const __m256i own = _mm256_blend_epi32(a, b, 0xf0);
	const __m256i other = _mm256_permute2x128_si256(a, b, 0x21);
	return joined_widen(type, 3, joined_add(type, 2, own, other));
}

/* Four rows of weights times the activations from `x` on: joined[v] has the sums of vector v, its
 * lower half those of 16 columns of the four rows, its upper half those of the next 16. */
FORCE_INLINE void joined_four(uint32_t type, struct octet octet, int first, int chunk,
			      const uint8_t *x, __m256i *joined)
{
	const int vectors = joined_vectors(type);
	__m256i pairs[2][4];
	UNROLL
	for (int p = 0; p < 2; p++) {
		const uint8_t *row = octet.bytes + (size_t)(first + 2 * p) * octet.stride;
		UNROLL
		for (int v = 0; v < vectors; v++) {
			const __m256i y = load_256(x + 32 * v);
			const __m256i a = row_weights(type, row, chunk, v);
			const __m256i b = row_weights(type, row + octet.stride, chunk, v);
			pairs[p][v] = join_eights(type, products_of(a, y), products_of(b, y));
			IN_ORDER(pairs[p][v]);
		}
	}
	UNROLL
	for (int v = 0; v < vectors; v++)
		joined[v] = join_fours(type, pairs[0][v], pairs[1][v]);
}

/* The step of a block's group, whose scale is made only now: all at once they would be written to
 * the stack and read back. */
FORCE_INLINE __m256 joined_step(uint32_t type, __m256i products, const struct k_scales *scales,
				int group, const struct inputs *in, uint32_t block, __m256 sum)
{
	const size_t place = 256 / (size_t)group_width(type) * block + (size_t)group;
	group_step(type, &products, group_scale(type, scales, group),
		   group_min(type, scales, group), in, 1, place, false, &sum);
	return sum;
}

/* Some vectors of a block join the sum, group after group. */
FORCE_INLINE __m256 joined_chunk(uint32_t type, struct octet octet, struct fetch *fetch,
				 const struct k_scales *scales, int chunk, const struct inputs *in,
				 uint32_t block, __m256 sum)
{
	const int vectors = joined_vectors(type), groups = 32 / group_width(type);
	const uint8_t *x = in->rows + 256 * (size_t)block + 32 * (size_t)(vectors * chunk);
	__m256i lower[4], upper[4];
	fetch_32(type, fetch);
	joined_four(type, octet, 0, chunk, x, lower);
	fetch_32(type, fetch);
	joined_four(type, octet, 4, chunk, x, upper);
	UNROLL
	for (int v = 0; v < vectors; v++) {
		const int group = groups * (vectors * chunk + v);
		if (v >= 2)
			fetch_32(type, fetch);
		if (groups == 1) {
			const __m256i all = join_halves_of(type, lower[v], upper[v]);
			sum = joined_step(type, all, scales, group, in, block, sum);
			continue;
		}
		const __m256i even = _mm256_permute2x128_si256(lower[v], upper[v], 0x20);
		const __m256i odd = _mm256_permute2x128_si256(lower[v], upper[v], 0x31);
		sum = joined_step(type, even, scales, group, in, block, sum);
		sum = joined_step(type, odd, scales, group + 1, in, block, sum);
	}
	return sum;
}

FORCE_INLINE __m256 joined_block(uint32_t type, struct octet octet, struct fetch *fetch,
				 const struct inputs *in, uint32_t block, __m256 sum)
{
	struct k_scales scales;
	load_scales(type, octet, &scales);
	UNROLL
	for (int chunk = 0; chunk < 8 / joined_vectors(type); chunk++)
		sum = joined_chunk(type, octet, fetch, &scales, chunk, in, block, sum);
	return sum;
}

#endif
