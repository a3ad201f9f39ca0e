#include "compute/router.h"

#include "compute/cpu/maths.h"

#include <math.h>
#include <stdbool.h>

/* The sum of chosen weights is not taken for less when it divides them. */
#define LEAST_SUM 0x1p-14f

static float largest(const float *x, uint32_t n)
{
	float most = -INFINITY;
	for (uint32_t i = 0; i < n; i++)
		most = x[i] > most ? x[i] : most;
	return most;
}

/* Logits become what an expert counts before the choice. */
static void weigh(enum expert_gating gating, float *x, uint32_t n)
{
	if (gating == GATING_SIGMOID) {
		for (uint32_t i = 0; i < n; i++)
			x[i] = 1.0f / (1.0f + maths_exp(-x[i]));
		return;
	}
	const float most = largest(x, n);
	float sum = 0;
	for (uint32_t i = 0; i < n; i++) {
		x[i] = maths_exp(x[i] - most);
		sum += x[i];
	}
	for (uint32_t i = 0; i < n; i++)
		x[i] /= sum;
}

static bool is_chosen(const struct router_choice *choices, uint32_t count, uint32_t expert)
{
	for (uint32_t i = 0; i < count; i++)
		if (choices[i].expert == expert)
			return true;
	return false;
}

/* The largest that was not chosen yet; the lowest index of equals, or of NaNs alone. */
static uint32_t next_best(const float *logits, uint32_t n, const struct router_choice *choices,
			  uint32_t count)
{
	uint32_t best = UINT32_MAX;
	for (uint32_t i = 0; i < n; i++) {
		if (is_chosen(choices, count, i))
			continue;
		if (best == UINT32_MAX || logits[i] > logits[best] ||
		    (isnan(logits[best]) && !isnan(logits[i])))
			best = i;
	}
	return best;
}

static void sort_by_expert(struct router_choice *choices, uint32_t count)
{
	for (uint32_t i = 1; i < count; i++)
		for (uint32_t j = i; j > 0 && choices[j].expert < choices[j - 1].expert; j--) {
			const struct router_choice higher = choices[j - 1];
			choices[j - 1] = choices[j];
			choices[j] = higher;
		}
}

static void renormalise(struct router_choice *choices, uint32_t count)
{
	float sum = 0;
	for (uint32_t i = 0; i < count; i++)
		sum += choices[i].weight;
	sum = sum < LEAST_SUM ? LEAST_SUM : sum;
	for (uint32_t i = 0; i < count; i++)
		choices[i].weight /= sum;
}

/* The softmax over the chosen alone. */
static void weigh_chosen(const float *logits, struct router_choice *choices, uint32_t count)
{
	float chosen[EXPERTS_USED_LIMIT];
	for (uint32_t i = 0; i < count; i++)
		chosen[i] = logits[choices[i].expert];
	weigh(GATING_SOFTMAX, chosen, count);
	for (uint32_t i = 0; i < count; i++)
		choices[i].weight = chosen[i];
}

void router_choose(const struct model_shape *shape, float *logits, struct router_choice *choices)
{
	const uint32_t count = shape->n_expert_used;
	for (uint32_t i = 0; i < count; i++)
		choices[i].expert = next_best(logits, shape->n_expert, choices, i);
	sort_by_expert(choices, count);
	if (shape->gating == GATING_CHOSEN) {
		weigh_chosen(logits, choices, count);
	} else {
		weigh(shape->gating, logits, shape->n_expert);
		for (uint32_t i = 0; i < count; i++)
			choices[i].weight = logits[choices[i].expert];
	}
	if (shape->experts_renormalised)
		renormalise(choices, count);
	for (uint32_t i = 0; i < count && shape->expert_scale != 1.0f; i++)
		choices[i].weight *= shape->expert_scale;
}
