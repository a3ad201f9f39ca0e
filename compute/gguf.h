/* gguf.h: reads the header of a GGUF v2 or v3 file and checks everything that can be checked
 * before a tensor is touched. Source: the GGUF format text (ggml/docs/gguf.md).
 *
 * The file is read with pread up to the start of its data section, never mapped here, so that a
 * file cut short while it is open cannot raise SIGBUS in the parser. A file whose data section has
 * holes (only some tensors fetched yet) is fine: its size must still cover every tensor. */
#ifndef COMPUTE_GGUF_H
#define COMPUTE_GGUF_H

#include "base/fail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tensor_type {
	TENSOR_F32 = 0, TENSOR_F16 = 1, TENSOR_Q4_0 = 2, TENSOR_Q4_1 = 3, TENSOR_Q5_0 = 6,
	TENSOR_Q5_1 = 7, TENSOR_Q8_0 = 8, TENSOR_Q2_K = 10, TENSOR_Q3_K = 11, TENSOR_Q4_K = 12,
	TENSOR_Q5_K = 13, TENSOR_Q6_K = 14, TENSOR_IQ2_XXS = 16, TENSOR_IQ2_XS = 17,
	TENSOR_IQ3_XXS = 18, TENSOR_IQ1_S = 19, TENSOR_IQ4_NL = 20, TENSOR_IQ3_S = 21,
	TENSOR_IQ2_S = 22, TENSOR_IQ4_XS = 23, TENSOR_IQ1_M = 29, TENSOR_BF16 = 30,
	TENSOR_MXFP4 = 39, TENSOR_TYPES_END = 64
};

/* "Q4_K"; "unknown" for a number that no type has. */
const char *tensor_type_name(uint32_t type);
/* True when this version computes with the type. */
bool tensor_type_supported(uint32_t type);
uint32_t tensor_type_block(uint32_t type);       /* elements per block; 0 unknown */
uint32_t tensor_type_block_bytes(uint32_t type); /* bytes per block; 0 unknown */

#define GGUF_NAME_BYTES 64
#define GGUF_METADATA_LIMIT (64u << 20) /* most bytes before the data section */
#define GGUF_COUNT_LIMIT 65536u         /* most keys, and most tensors */
#define GGUF_STRING_LIMIT (4u << 20)
#define GGUF_ARRAY_LIMIT (1u << 22) /* elements */

/* Types of metadata values, as numbered in the file. */
enum gguf_type {
	GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL, GGUF_STRING,
	GGUF_ARRAY, GGUF_U64, GGUF_I64, GGUF_F64, GGUF_TYPES
};

struct gguf_tensor {
	char name[GGUF_NAME_BYTES];
	uint32_t n_dims;
	uint64_t dims[4]; /* dims[0] is contiguous: the columns; unused ones are 1 */
	uint32_t type;
	uint64_t offset; /* from the start of the FILE */
	uint64_t bytes;
};

struct gguf;

/* Opens and checks. The sentence names the file, the key or tensor, and what is wrong. */
struct gguf *gguf_open(const char *path, struct fail *fail); /* gives */
/* As gguf_open on bytes in memory (borrowed until close); `file_size` is what the whole file would
 * have. For the fuzz target and for metadata that arrived without data. */
struct gguf *gguf_parse(const void *bytes, size_t size, uint64_t file_size, struct fail *fail);
void gguf_close(struct gguf *gguf); /* takes; accepts NULL */

uint64_t gguf_data_offset(const struct gguf *gguf); /* metadata part: bytes [0, this) */
uint64_t gguf_file_size(const struct gguf *gguf);
const uint8_t *gguf_metadata(const struct gguf *gguf); /* the metadata part's bytes, borrowed */
const char *gguf_label(const struct gguf *gguf); /* what sentences call it: the path */
uint32_t gguf_tensor_count(const struct gguf *gguf);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *gguf, uint32_t index);
const struct gguf_tensor *gguf_tensor_find(const struct gguf *gguf, const char *name); /* or NULL */
uint32_t gguf_alignment(const struct gguf *gguf); /* of tensors in the file */

/* A key with its value as they stand in the file, borrowed. */
struct gguf_record {
	const uint8_t *key; /* not terminated */
	size_t key_size;
	const uint8_t *bytes; /* from the key's length to the value's end */
	size_t size;
};
bool gguf_record_at(const struct gguf *gguf, uint32_t index, struct gguf_record *record);

bool gguf_has(const struct gguf *gguf, const char *key);
/* Lookups give false when the key is missing or of another kind. Any integer type serves for
 * gguf_u64 (false when negative), both float types for gguf_f64. */
bool gguf_u64(const struct gguf *gguf, const char *key, uint64_t *value);
bool gguf_f64(const struct gguf *gguf, const char *key, double *value);
bool gguf_bool(const struct gguf *gguf, const char *key, bool *value);
/* Borrowed view, not terminated. */
bool gguf_string(const struct gguf *gguf, const char *key, const char **text, size_t *size);

/* Arrays. Elements are packed as in the file; string elements are walked. */
struct gguf_array {
	uint32_t type; /* enum gguf_type of the elements, never GGUF_ARRAY */
	uint64_t count;
	const uint8_t *bytes; /* first element; strings: u64 length, bytes, ... already checked */
	size_t size;
};
bool gguf_array(const struct gguf *gguf, const char *key, struct gguf_array *array);
/* Element `index` of an array of integers; false when out of range, negative or not an integer. */
bool gguf_array_u64(const struct gguf_array *array, uint64_t index, uint64_t *value);

#endif
