#include "base/clock.h"
#include "base/log.h"
#include "daemon/deployment_inside.h"
#include "daemon/kv_choice.h"
#include "proto/deadlines.h"

#include <stdlib.h>

#define PROFILE_PATIENCE_MS 40000 /* for a live device to say what it can do */
#define TYPES_PATIENCE_MS   8000  /* and how fast a model's weight types are there */
#define LOOK_MS             250   /* while something is in the way of a plan */

/* ---- planning ---- */

void deployment_options(const struct deployment *deployment, struct plan_options *options,
			const struct model_facts *facts)
{
	plan_options_init(options, facts);
	if (deployment->config.context_positions)
		options->context = deployment->config.context_positions;
	if (options->context > facts->context_max)
		options->context = facts->context_max;
	const enum kv_type kv_type = kv_choice_of(deployment->config.kv_cache, facts->name);
	if (facts->kv_types >> kv_type & 1)
		options->kv_type = kv_type;
	options->epoch = commit_next_epoch(deployment->commit);
}

uint32_t deployment_gather(struct deployment *deployment,
			   struct plan_candidate candidates[PLAN_DEVICES_MAX])
{
	const uint32_t n =
		deployment->services.candidates(deployment->services.context, candidates);
	for (uint32_t i = 0; i < n; i++)
		if (!candidates[i].barred)
			candidates[i].barred = trouble_spares(&deployment->trouble,
							      &candidates[i].profile->device);
	return n;
}

int deployment_try(struct deployment *deployment, const struct model_id *model,
		   const struct plan_wish *wish, bool commit, struct plan *plan, struct fail *fail)
{
	const struct plan_pin *pin = wish->pin;
	struct plan_candidate candidates[PLAN_DEVICES_MAX];
	const struct model_facts *facts =
		deployment->services.facts(deployment->services.context, model);
	if (!facts)
		return fail_set(fail, FAIL_NOT_FOUND, "this model is not known in the home");
	if (commit && !deployment_plans(deployment))
		return fail_set(fail, FAIL_DENIED,
				"another device plans for this home: commit a pinned plan there");
	struct plan_options *options = calloc(1, sizeof(*options));
	if (!options)
		return fail_set(fail, FAIL_MEMORY, "no memory to plan");
	deployment_options(deployment, options, facts);
	if (wish->context)
		options->context = wish->context;
	if (wish->has_kv_type)
		options->kv_type = wish->kv_type;
	if (pin)
		options->pin = *pin;
	const uint32_t n = deployment_gather(deployment, candidates);
	const int result = plan_make(plan, candidates, n, facts, options, fail);
	free(options);
	if (result == 0 && commit) {
		deployment->pinned = pin != NULL;
		deployment->pinned_model = *model;
		if (pin) {
			deployment->pin = *pin;
			deployment->pinned_wish = *wish;
			deployment->pinned_wish.pin = NULL;
		}
		deployment->proposed = *model;
		const struct commit_event event = { .kind = COMMIT_PROPOSE, .plan = plan };
		deployment_step(deployment, &event);
	}
	return result;
}

/* The answer to a want that cannot be fulfilled: a failed part of epoch 0. */
static void refuse_want(struct deployment *deployment, const struct model_id *model,
			const struct fail *why)
{
	const struct epoch none = { 0 };
	trouble_set(&deployment->trouble, model, why, clock_ms());
	deployment_tell_failed(deployment, &none, model, why);
	deployment_changed(deployment);
}

static int make_plan(struct deployment *deployment, const struct model_id *model, struct fail *why)
{
	if (deployment->pinned && model_id_equal(model, &deployment->pinned_model)) {
		const struct plan_pin pin = deployment->pin;
		struct plan_wish wish = deployment->pinned_wish;
		wish.pin = &pin;
		if (deployment_try(deployment, model, &wish, true, &deployment->made, why) == 0)
			return 0;
		log_warn("deployment", "the pinned plan cannot be kept reason=\"%s\"", why->text);
	}
	const struct plan_wish any = { 0 };
	return deployment_try(deployment, model, &any, true, &deployment->made, why);
}

/* The head of the present plan starts no more requests, or goes on. */
static void hold(struct deployment *deployment, bool on)
{
	const struct device_id *head = &deployment->plan.devices[deployment->plan.head].id;
	if (!on && !deployment->holding)
		return;
	deployment->holding = on;
	if (device_id_equal(head, home_self(deployment->config.home))) {
		ring_hold(deployment->config.ring, on);
		return;
	}
	deployment->message.type = MESSAGE_DEPLOY;
	deployment->message.deploy =
		(struct message_deploy){ .model = deployment->plan.model,
					 .hold = on ? DEPLOY_HOLD : DEPLOY_GO_ON };
	peers_send(deployment->config.peers, head, &deployment->message);
}

static bool keeps_its_place(struct deployment *deployment, const struct want *next)
{
	if (!deployment->has_plan || !deployment->healthy)
		return false;
	if (deployment_serves(deployment, &next->model))
		return deployment->tenure.running > 0; /* running answers end first */
	/* Also when nothing runs: the next request may be on its way, and would start while a plan
	 * is agreed. */
	const enum turn turn = wants_turn(next, &deployment->tenure, clock_ms());
	const bool was_held = deployment->holding;
	if (turn != TURN_WAIT)
		hold(deployment, true);
	return turn != TURN_NOW || !was_held;
}

static bool waits_for_profiles(struct deployment *deployment, const struct model_id *model)
{
	static const uint32_t patience_ms[] = {
		[UNMEASURED_SELF] = UINT32_MAX, /* it ends for certain; others may be of any kind */
		[UNMEASURED_OTHER] = PROFILE_PATIENCE_MS,
		[UNMEASURED_TYPE] = TYPES_PATIENCE_MS,
		[UNMEASURED_NOBODY] = 0,
	};
	const enum unmeasured who =
		deployment->services.unmeasured(deployment->services.context, model);
	const bool waits = deployment->waited_ms < patience_ms[who];
	deployment->waited_ms = waits ? deployment->waited_ms + LOOK_MS : 0;
	return waits;
}

static void look_again(struct deployment *deployment, uint64_t wait_ms);

static void plan_now(struct deployment *deployment)
{
	struct fail why;
	const struct want *next = wants_next(&deployment->wants, clock_ms());
	if (!next || !deployment_plans(deployment) || deployment->stopping) {
		hold(deployment, false);
		return;
	}
	const struct model_id model = next->model;
	if (deployment_serves(deployment, &model) && deployment->trouble.n_spared == 0) {
		wants_drop(&deployment->wants, &model);
		look_again(deployment, 0);
		return;
	}
	if (commit_proposing(deployment->commit) || keeps_its_place(deployment, next) ||
	    waits_for_profiles(deployment, &model)) {
		look_again(deployment, LOOK_MS);
		return;
	}
	wants_drop(&deployment->wants, &model); /* it goes to the end of the queue, if it fails */
	if (make_plan(deployment, &model, &why) != 0) {
		if (trouble_is_news(&deployment->trouble, &model, &why))
			log_warn("deployment", "no plan reason=\"%s\"", why.text);
		/* without the device that was short of room there is none: its own reason says more
		 */
		if (deployment->trouble.n_spared > 0 && deployment->trouble.why.code != FAIL_NONE)
			why = deployment->trouble.why;
		refuse_want(deployment, &model, &why);
	}
	deployment->trouble.n_spared = 0;
	look_again(deployment, LOOK_MS);
}

static void on_replan(uv_timer_t *timer)
{
	plan_now(timer->data);
}

/* Not later than what is set already. */
static void look_again(struct deployment *deployment, uint64_t wait_ms)
{
	if (!uv_is_active((const uv_handle_t *)deployment->replan) ||
	    uv_timer_get_due_in(deployment->replan) > wait_ms)
		uv_timer_start(deployment->replan, on_replan, wait_ms, 0);
}

void deployment_plan_soon(struct deployment *deployment, const struct model_id *model,
			  uint64_t wait_ms)
{
	wants_note(&deployment->wants, model, clock_ms());
	look_again(deployment, wait_ms);
}

/* ---- wanting ---- */

void deployment_wanted(struct deployment *deployment, const struct model_id *model)
{
	/* what was just refused is wanted again at once by everybody who waits for it */
	deployment_plan_soon(deployment, model,
			     deployment->trouble.why.code == FAIL_NONE ? 0 : REPLAN_PAUSE_MS);
}

static void ask_planner(struct deployment *deployment, const struct model_id *model)
{
	if (deployment_serves(deployment, model))
		return;
	if (deployment_plans(deployment)) {
		deployment_wanted(deployment, model);
		return;
	}
	deployment->message.type = MESSAGE_DEPLOY;
	deployment->message.deploy =
		(struct message_deploy){ .model = *model,
					 .context = deployment->config.context_positions };
	peers_send(deployment->config.peers, deployment_planner(deployment), &deployment->message);
}

void deployment_want(struct deployment *deployment, const struct model_id *model)
{
	if (wants_note(&deployment->own, model, clock_ms()) &&
	    model_id_equal(&deployment->trouble.model, model))
		trouble_forget(&deployment->trouble);
	ask_planner(deployment, model);
}

void deployment_want_again(struct deployment *deployment)
{
	wants_expire(&deployment->own, clock_ms());
	for (uint32_t i = 0; i < deployment->own.n; i++)
		ask_planner(deployment, &deployment->own.list[i].model);
}
