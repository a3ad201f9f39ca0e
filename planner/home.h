/* home.h: what planning reads: the devices that may take part, and what is wanted of the plan. */
#ifndef PLANNER_HOME_H
#define PLANNER_HOME_H

#include "base/fail.h"
#include "planner/pin.h"
#include "proto/facts.h"
#include "proto/plan.h"
#include "proto/profile.h"

#include <stdbool.h>
#include <stdint.h>

#define PLAN_CONTEXT_DEFAULT 4096u
#define PLAN_SEQUENCES_DEFAULT 4u
#define PLAN_TOKENS_IN_DEFAULT 512u
#define PLAN_TOKENS_OUT_DEFAULT 128u
#define PLAN_ROUNDS_DEFAULT 8u
#define PLAN_POSITIONS_MAX (1u << 28) /* most positions of all sequences together */

struct plan_candidate {
	const struct profile *profile; /* borrowed */
	/* NULL, or why it may not be used, as the end of the sentence "NAME was left out: ..." */
	const char *barred;
};

/* A turn of conversation for which a plan is made fast. */
struct plan_turn {
	uint32_t tokens_in;   /* positions before the first new token, at least 1 */
	double cached_share;  /* of them already in the KV cache, 0 to 1 */
	uint32_t tokens_out;  /* at least 1 */
};

struct plan_options {
	struct epoch epoch;    /* stamped into the plan */
	uint32_t context;      /* positions one sequence may have; every plan has room for one */
	uint32_t sequences;    /* KV room is widened towards so many full sequences, where the chosen
				  devices have memory left; speed is never given up for it */
	struct plan_turn turn; /* what the objective measures */
	uint32_t rounds_max;   /* k = 1 .. rounds_max are tried */
	uint32_t chunk_rows;   /* 0: chosen by the planner */
	enum wire_type wire;
	enum kv_type kv_type;  /* how keys and values are cached */
	bool streaming;        /* layers may be read from disk at each token. The engine of this
				  version holds all layers in memory: leave it false */
	struct plan_pin pin;   /* nothing pinned when zero */
};

/* The defaults: context min(PLAN_CONTEXT_DEFAULT, the model's), four sequences, a turn of 512
 * tokens in and 128 out with nothing cached, chunk chosen, WIRE_F32, KV_TYPE_F16, no streaming, no pin, no epoch. */
void plan_options_init(struct plan_options *options, const struct model_facts *facts);

/* Refuses what no plan can be made for: no candidates or more than PLAN_DEVICES_MAX, two with one
 * id, a turn or context out of range (FAIL_INVALID). */
int plan_options_check(const struct plan_options *options, const struct plan_candidate *candidates,
		       uint32_t n_candidates, const struct model_facts *facts, struct fail *fail);

#endif
