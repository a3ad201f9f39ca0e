/* keys.h: reads the metadata keys of one family, every number bounded: what is missing, of another
 * kind or out of range is a sentence that names the file and the key. Inside compute only. */
#ifndef COMPUTE_KEYS_H
#define COMPUTE_KEYS_H

#include "base/fail.h"
#include "compute/family.h"
#include "compute/gguf.h"

#include <stdbool.h>
#include <stdint.h>

struct keys {
	const struct gguf *gguf;
	const struct family *family;
	struct fail *fail;
	uint32_t n_spare; /* lists for each layer may have so many entries more */
	char name[128]; /* the key last asked for, in full */
};

/* The functions below take a key without its family, give 0 or -fail_code and set keys->fail. */

/* The key in full, which keys->name holds too. */
const char *keys_full(struct keys *keys, const char *key);
bool keys_has(struct keys *keys, const char *key);
/* True when the key is there and says something else than "off": 0, or true for a bool. */
bool keys_set(struct keys *keys, const char *key);
/* Says that the key last asked for is missing, or is not what was `wanted`. */
int keys_missing(struct keys *keys);
int keys_wrong_kind(struct keys *keys, const char *wanted);

/* A whole number from `least` to `most`. */
int keys_need_u32(struct keys *keys, const char *key, uint32_t least, uint32_t most,
		  uint32_t *value);
/* `*value` stays as it is when the key is missing. */
int keys_want_u32(struct keys *keys, const char *key, uint32_t least, uint32_t most,
		  uint32_t *value);
int keys_want_f32(struct keys *keys, const char *key, double least, double most, float *value);
/* One number for all layers, or an array with one for each; `values` has n_layers places. */
int keys_need_per_layer(struct keys *keys, const char *key, uint32_t n_layers, uint32_t most,
			uint32_t *values);

#endif
