#include "planner/home.h"

#include "proto/flight.h"

#include <math.h>

void plan_options_init(struct plan_options *options, const struct model_facts *facts)
{
	*options = (struct plan_options){
		.context = PLAN_CONTEXT_DEFAULT,
		.sequences = PLAN_SEQUENCES_DEFAULT,
		.turn = { .tokens_in = PLAN_TOKENS_IN_DEFAULT,
			  .cached_share = 0,
			  .tokens_out = PLAN_TOKENS_OUT_DEFAULT },
		.rounds_max = PLAN_ROUNDS_DEFAULT,
		.wire = WIRE_F32,
	};
	if (facts->context_max > 0 && facts->context_max < options->context)
		options->context = facts->context_max;
}

static int check_candidates(const struct plan_candidate *candidates, uint32_t n_candidates,
			    struct fail *fail)
{
	if (n_candidates == 0)
		return fail_set(fail, FAIL_INVALID, "there is no device to plan for");
	if (n_candidates > PLAN_DEVICES_MAX)
		return fail_set(fail, FAIL_INVALID, "%u devices are more than a plan can have (%d)",
				n_candidates, PLAN_DEVICES_MAX);
	for (uint32_t i = 0; i < n_candidates; i++)
		for (uint32_t j = 0; j < i; j++)
			if (device_id_equal(&candidates[i].profile->device,
					    &candidates[j].profile->device))
				return fail_set(fail, FAIL_INVALID,
						"%s and %s have the same device id",
						candidates[j].profile->name,
						candidates[i].profile->name);
	return 0;
}

int plan_options_check(const struct plan_options *options, const struct plan_candidate *candidates,
		       uint32_t n_candidates, const struct model_facts *facts, struct fail *fail)
{
	const struct plan_turn *turn = &options->turn;
	const int rc = check_candidates(candidates, n_candidates, fail);
	if (rc < 0)
		return rc;
	if (facts->n_layers == 0 || facts->n_layers > MODEL_LAYERS_MAX)
		return fail_set(fail, FAIL_INVALID, "a model of %u layers cannot be planned",
				facts->n_layers);
	if (options->context == 0 || options->context > PLAN_POSITIONS_MAX ||
	    (facts->context_max > 0 && options->context > facts->context_max))
		return fail_set(fail, FAIL_INVALID,
				"a context of %u positions is not possible: the model has 1 to %u",
				options->context, facts->context_max);
	if (turn->tokens_in == 0 || turn->tokens_out == 0 || !isfinite(turn->cached_share) ||
	    turn->cached_share < 0 || turn->cached_share > 1)
		return fail_set(fail, FAIL_INVALID,
				"a reference turn needs tokens in and out, and a cached share of 0 to 1");
	if (options->chunk_rows > FLIGHT_ROWS_MAX || options->wire > WIRE_F16)
		return fail_set(fail, FAIL_INVALID,
				"a chunk has at most %d rows, and the wire is f32 or f16",
				FLIGHT_ROWS_MAX);
	if ((unsigned)options->kv_type >= KV_TYPES ||
	    (options->kv_type != KV_TYPE_F16 && !(facts->kv_types >> options->kv_type & 1)))
		return fail_set(fail, FAIL_UNSUPPORTED,
				"the heads of %s do not fit a KV cache of type %s: choose f16",
				facts->name,
				(unsigned)options->kv_type < KV_TYPES ? kv_type_name(options->kv_type)
								      : "?");
	return 0;
}
