/* facts.h: what everybody in a home knows about a model: its identity, and what the planner needs.
 *
 * Identity is BLAKE2b-256 over the manifest: "primad-model-v1", the metadata part's hash, then of
 * each tensor name, type, shape, and hash. The metadata part is the GGUF file from byte 0 to the
 * start of its data section. A part's hash is BLAKE2b-256 over the BLAKE2b-256 hashes of its
 * consecutive chunks of MODEL_CHUNK_BYTES (the last one shorter), so that a transfer is verified
 * and resumed chunk by chunk. */
#ifndef PROTO_FACTS_H
#define PROTO_FACTS_H

#include "base/buf.h"
#include "base/fail.h"
#include "proto/id.h"

#include <stdint.h>

#define MODEL_CHUNK_BYTES (1u << 20)
#define MODEL_NAME_BYTES 128
#define MODEL_LAYERS_MAX 512
#define MODEL_TYPES_MAX 8 /* distinct weight types within one unit */
#define FACTS_BYTES_MAX 65536 /* enough for any layers, those of experts with four types each */

/* How keys and values are cached. */
enum kv_type { KV_TYPE_F16, KV_TYPE_Q8_0, KV_TYPE_F32, KV_TYPES };

/* A unit is what is placed as a whole: one layer, the embedding table, the output part. */
struct unit_facts {
	uint64_t bytes; /* GGUF bytes, what travels and is mapped */
	uint32_t n_types;
	struct {
		uint32_t type;    /* GGUF tensor type */
		uint64_t weights; /* matrix weights that one row passes through... */
		uint64_t chosen;  /* ...of these, those of experts that were chosen for it */
	} types[MODEL_TYPES_MAX];
};

struct model_facts {
	struct model_id id;
	char name[MODEL_NAME_BYTES]; /* how people call it: the file's name without .gguf */
	char family[32];             /* general.architecture */
	uint64_t file_bytes;
	uint64_t metadata_bytes;     /* everybody who computes or owns a request holds these */
	uint32_t n_layers;
	uint32_t n_embd;             /* values that travel for a token, at most */
	uint32_t n_vocab;
	uint32_t context_max;        /* what the model was trained for */
	bool tied;                   /* the output matrix is the embedding table */
	struct unit_facts embedding; /* looked up by row: its weights count 0 products */
	struct unit_facts output;    /* output norm and matrix; bytes 0 for the matrix when tied */
	struct unit_facts layers[MODEL_LAYERS_MAX];
	uint32_t kv_bytes[MODEL_LAYERS_MAX];   /* F16, per position and layer, K and V together */
	uint32_t kv_windows[MODEL_LAYERS_MAX]; /* positions that a layer sees; 0: all */
	uint32_t n_expert, n_expert_used; /* of a layer with experts, and for one row; 0: none */
	uint32_t state_bytes[MODEL_LAYERS_MAX]; /* that a recurrent layer keeps of a sequence */
	uint32_t kv_types; /* a bit for each kv_type that can hold this model's heads */
};

void facts_encode(const struct model_facts *facts, struct buf *out);
int facts_decode(struct model_facts *facts, const void *bytes, size_t size, struct fail *fail);

#endif
