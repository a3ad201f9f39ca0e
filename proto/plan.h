/* plan.h: which device holds which layers of one deployment, for one epoch.
 *
 * A plan is a ring of stages. Stage i takes the hidden states of stage i-1 (stage 0: of the
 * embedding, on the head) through layers [first, end); after the last stage the states return to
 * the head, which turns them into logits. `rounds` = k: each device with layers appears in k
 * stages (fewer if it has fewer layers than rounds). Stages are listed in the order of layers and
 * cover [0, n_layers) without gap or overlap. A stage names a group of devices with shares; this
 * version forms and accepts groups of one and refuses others by name (FAIL_UNSUPPORTED). */
#ifndef PROTO_PLAN_H
#define PROTO_PLAN_H

#include "base/buf.h"
#include "base/fail.h"
#include "proto/id.h"
#include "proto/kv.h"

#include <stdbool.h>
#include <stdint.h>

#define PLAN_DEVICES_MAX 32
#define PLAN_STAGES_MAX 512
#define PLAN_GROUP_MAX 8
#define PLAN_SENTENCE_BYTES 240
#define PLAN_BYTES_MAX 65536

enum wire_type { WIRE_F32, WIRE_F16 };

struct plan_stage {
	uint16_t first_layer; /* inclusive */
	uint16_t end_layer;   /* exclusive */
	uint16_t round;       /* from 0 */
	uint16_t n_group;     /* 1 in this version */
	struct {
		uint16_t device; /* index into devices */
		uint16_t share;  /* of the group's sum of shares */
	} group[PLAN_GROUP_MAX];
};

struct plan_device {
	struct device_id id;
	char name[DEVICE_NAME_BYTES];
	uint32_t n_layers;      /* 0: a device that was left out, kept for its sentence */
	uint64_t weight_bytes;  /* layers, and on the head embedding and output */
	uint64_t kv_bytes;      /* for kv_positions */
	uint64_t budget_bytes;  /* what the profile allowed for weights and KV */
	double busy_s;          /* forecast per token: compute and memory */
	double hop_s;           /* forecast per token: sending on */
	double disk_s;          /* forecast per token: streaming what does not fit; 0 here today */
	char sentence[PLAN_SENTENCE_BYTES]; /* why it has what it has */
};

struct plan {
	struct epoch epoch;
	struct model_id model;
	uint32_t numerics;     /* the arithmetic contract all participants share */
	uint32_t context;      /* positions a single sequence may have */
	uint32_t kv_positions; /* positions of all sequences together; the head admits by it */
	uint32_t chunk_rows;   /* a prompt travels in flights of at most so many rows */
	enum wire_type wire;
	enum kv_type kv_type;  /* how keys and values are cached, on every device */
	bool pinned;
	uint16_t rounds;
	uint16_t head;         /* index into devices */
	uint16_t n_devices;
	uint16_t n_stages;
	struct plan_device devices[PLAN_DEVICES_MAX];
	struct plan_stage stages[PLAN_STAGES_MAX];
	/* forecast for the reference turn */
	double first_token_s;
	double token_s;
	char limit[PLAN_SENTENCE_BYTES]; /* what limits the speed, in words */
};

/* Checks structure: counts, indexes, stages cover [0, n_layers), groups of one, names and numbers
 * sane. `n_layers` 0 skips the comparison with a model. */
int plan_check(const struct plan *plan, uint32_t n_layers, struct fail *fail);
void plan_encode(const struct plan *plan, struct buf *out);
int plan_decode(struct plan *plan, const void *bytes, size_t size, struct fail *fail);
/* What its layers have room for (kv.h). */
struct kv_room plan_kv_room(const struct plan *plan);
int plan_index_of(const struct plan *plan, const struct device_id *id); /* -1: not in the plan */

/* How they travel (fields.h), for the messages that carry them. */
extern const struct fields plan_fields;
extern const struct fields epoch_fields;

#endif
