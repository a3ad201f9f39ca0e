/* forecast.h: what a given plan costs, by the same model that plan_make minimises. */
#ifndef PLANNER_FORECAST_H
#define PLANNER_FORECAST_H

#include "planner/home.h"

enum plan_limit {
	PLAN_LIMIT_COMPUTE, /* one device's share of the work */
	PLAN_LIMIT_LINKS,   /* hops */
	PLAN_LIMIT_OUTPUT,  /* the output matrix on the head */
	PLAN_LIMIT_DISK     /* streaming */
};

struct plan_forecast {
	double first_token_s; /* from the prompt's arrival at the head to the first new token */
	double token_s;       /* between tokens, one request at a time */
	double turn_s;        /* the whole reference turn: what plan_make minimises */
	double busy_s[PLAN_DEVICES_MAX]; /* per token, by the plan's device index; head with output */
	double hop_s[PLAN_DEVICES_MAX];  /* per token, for sending on */
	double disk_s[PLAN_DEVICES_MAX]; /* per token */
	double output_s;                 /* part of the head's busy_s */
	uint64_t weight_bytes[PLAN_DEVICES_MAX];
	uint64_t kv_bytes[PLAN_DEVICES_MAX];     /* for kv_positions */
	uint64_t budget_bytes[PLAN_DEVICES_MAX]; /* for weights and KV */
	enum plan_limit limit;
	uint32_t limit_device; /* whose compute, link or disk it is */
};

/* Costs `plan` (structure checked, epochs and sentences ignored) for these profiles; every device
 * with layers must be among the candidates. FAIL_NOT_FOUND: one is missing. FAIL_MEMORY: a device
 * cannot hold its part; the sentence says which and how much is missing (`forecast` is filled all
 * the same, so that a caller may show it). FAIL_INVALID: not a plan of this model. */
int plan_forecast(struct plan_forecast *forecast, const struct plan *plan,
		  const struct plan_candidate *candidates, uint32_t n_candidates,
		  const struct model_facts *facts, const struct plan_options *options,
		  struct fail *fail);

#endif
