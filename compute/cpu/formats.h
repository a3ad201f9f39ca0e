/* formats.h: the weight formats of GGUF files as exact integers with scales, one block at a time.
 *
 * This is the definition that the C kernels compute from. Source of the layouts: the GGUF format
 * as written by its public tools. */
#ifndef COMPUTE_CPU_FORMATS_H
#define COMPUTE_CPU_FORMATS_H

#include <stdbool.h>
#include <stdint.h>

#define BLOCK_MAX        256
#define BLOCK_GROUPS_MAX 16

/* Weight c of a block is d * scale[c / group] * q[c], less dmin * min[c / group] where the format
 * has minima. */
struct block {
	float d, dmin;
	int32_t scale[BLOCK_GROUPS_MAX];
	int32_t min[BLOCK_GROUPS_MAX];
	int8_t q[BLOCK_MAX];
};

struct format {
	uint32_t size;  /* weights in a block */
	uint32_t bytes; /* of a block */
	uint32_t group; /* weights that share a scale */
	bool minimum;   /* has dmin and min; without, they take no part */
	void (*decode)(const uint8_t *bytes, struct block *block);
};

/* The quantised types of this version; NULL for F32, F16, BF16 and unknown ones. */
const struct format *format_of(uint32_t tensor_type);

/* Weight `index` of a row of F32, F16 or BF16. */
float format_float(uint32_t tensor_type, const uint8_t *row, uint32_t index);

#endif
