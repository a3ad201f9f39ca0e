#include "daemon/deployment.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/deployment_inside.h"
#include "daemon/seat.h"
#include "daemon/timer.h"
#include "proto/deadlines.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct device_id *self_id(const struct deployment *deployment)
{
	return home_self(deployment->config.home);
}

bool deployment_plans(const struct deployment *deployment)
{
	return election_is_self(&deployment->election);
}

bool deployment_serves(const struct deployment *deployment, const struct model_id *model)
{
	return deployment->has_plan && deployment->healthy &&
	       model_id_equal(&deployment->plan.model, model);
}

void deployment_changed(struct deployment *deployment)
{
	deployment->services.changed(deployment->services.context);
}

static void arm_timer(struct deployment *deployment);

/* ---- the plan known here ---- */

static void mark_busy(struct deployment *deployment, bool busy)
{
	if (!deployment->has_plan)
		return;
	for (uint16_t i = 0; i < deployment->plan.n_devices; i++)
		if (commit_participates(&deployment->plan, &deployment->plan.devices[i].id))
			peers_busy(deployment->config.peers, &deployment->plan.devices[i].id, busy);
}

static void adopt_plan(struct deployment *deployment, const struct plan *plan)
{
	if (deployment->has_plan && epoch_compare(&plan->epoch, &deployment->plan.epoch) == 0)
		return;
	mark_busy(deployment, false);
	deployment->plan = *plan;
	deployment->has_plan = true;
	deployment->healthy = true;
	deployment->tenure = (struct tenure){ .since_ms = clock_ms() };
	deployment->holding = false;
	wants_drop(&deployment->wants, &plan->model);
	trouble_forget(&deployment->trouble);
	memset(&deployment->progress, 0, sizeof(deployment->progress));
	log_info("deployment", "plan epoch=%llu devices=%u rounds=%u token_ms=%.2f",
		 (unsigned long long)plan->epoch.counter, plan->n_devices, plan->rounds,
		 plan->token_s * 1e3);
	deployment_changed(deployment);
}

static void tell_part(struct deployment *deployment, enum part_state state, uint64_t done,
		      uint64_t total)
{
	struct message *message = &deployment->message;
	message->type = MESSAGE_PART_STATE;
	message->part_state = (struct message_part_state){ .epoch = deployment->plan.epoch,
							   .state = (uint8_t)state,
							   .done_bytes = done,
							   .total_bytes = total };
	peers_broadcast(deployment->config.peers, message);
}

void deployment_tell_failed(struct deployment *deployment, const struct epoch *epoch,
			const struct model_id *model, const struct fail *why)
{
	struct message *message = &deployment->message;
	message->type = MESSAGE_PART_STATE;
	message->part_state = (struct message_part_state){
		.epoch = *epoch, .state = PART_FAILED, .code = (uint8_t)why->code, .model = *model
	};
	snprintf(message->part_state.reason, sizeof(message->part_state.reason), "%.*s",
		 (int)sizeof(message->part_state.reason) - 1, why->text);
	peers_broadcast(deployment->config.peers, message);
}

/* ---- losing a plan ---- */

/* The plan cannot go on. Everybody frees what belongs to it; the planner makes a new one, where
 * that can help. */
static void lose_plan(struct deployment *deployment, const struct device_id *device,
		      const struct fail *why)
{
	if (!deployment->has_plan || !deployment->healthy)
		return;
	const bool takes_part = commit_participates(&deployment->plan, self_id(deployment));
	log_warn("deployment", "plan lost epoch=%llu reason=\"%s\"",
		 (unsigned long long)deployment->plan.epoch.counter, why->text);
	deployment->healthy = false;
	trouble_failed(&deployment->trouble, &deployment->plan.model, why, device, clock_ms());
	deployment->tenure.running = 0;
	mark_busy(deployment, false);
	if (takes_part) {
		deployment_tell_failed(deployment, &deployment->plan.epoch, &deployment->plan.model, why);
		part_end(deployment->part, why, device, NULL, NULL);
	}
	const struct commit_event event = { .kind = COMMIT_DROP };
	const struct epoch promised = commit_promised(deployment->commit);
	if (epoch_compare(&promised, &deployment->plan.epoch) <= 0) /* else the next one is at hand */
		deployment_step(deployment, &event);
	if (deployment_plans(deployment) && trouble_is_mendable(why->code))
		deployment_plan_soon(deployment, &deployment->plan.model, REPLAN_PAUSE_MS);
	deployment_changed(deployment);
}

/* ---- commit ---- */

static void send_plan(struct deployment *deployment, const struct device_id *to,
		      const struct plan *plan)
{
	deployment->message.type = MESSAGE_PREPARE;
	deployment->message.prepare.plan = *plan;
	peers_send(deployment->config.peers, to, &deployment->message);
}

static void send_commit(struct deployment *deployment, const struct device_id *to,
			const struct epoch *epoch)
{
	deployment->message.type = MESSAGE_COMMIT;
	deployment->message.commit.epoch = *epoch;
	peers_send(deployment->config.peers, to, &deployment->message);
}

static void inform_spectators(struct deployment *deployment, const struct plan *plan)
{
	const struct roster *roster = deployment->config.home->roster;
	for (uint32_t i = 0; i < roster_count(roster); i++) {
		const struct device_id *id = &roster_at(roster, i)->keys.id;
		if (device_id_equal(id, self_id(deployment)) || commit_participates(plan, id))
			continue;
		send_plan(deployment, id, plan);
		send_commit(deployment, id, &plan->epoch);
	}
}

static void persist(struct deployment *deployment, const struct commit_action *action)
{
	struct fail why;
	struct home *home = deployment->config.home;
	home->has_record = true;
	home->record = action->record;
	if (home_save_numbers(home, &why) != 0) {
		log_error("deployment", "a promise could not be stored reason=\"%s\"", why.text);
		return; /* nothing is promised that was not stored */
	}
	const struct commit_event event = { .kind = COMMIT_PERSISTED, .ticket = action->ticket };
	deployment_step(deployment, &event);
}

static void enter(struct deployment *deployment, const struct plan *plan)
{
	adopt_plan(deployment, plan);
	const int self = plan_index_of(plan, self_id(deployment));
	part_begin(deployment->part, &deployment->plan, (uint16_t)self);
}

static void leave(struct deployment *deployment)
{
	struct fail why;
	fail_set(&why, FAIL_LOST, "the plan was replaced while this request ran; ask again");
	part_end(deployment->part, &why, NULL, NULL, NULL);
}

static void carry_out(struct deployment *deployment, const struct commit_action *action,
		      const struct commit_actions *actions)
{
	switch (action->kind) {
	case COMMIT_DO_PERSIST:
		persist(deployment, action);
		break;
	case COMMIT_DO_SEND_PREPARE:
		send_plan(deployment, &action->to, action->plan);
		break;
	case COMMIT_DO_SEND_PROMISE:
		deployment->message.type = MESSAGE_PROMISE;
		deployment->message.promise = action->promise;
		peers_send(deployment->config.peers, &action->to, &deployment->message);
		break;
	case COMMIT_DO_SEND_COMMIT:
		send_commit(deployment, &action->to, &action->epoch);
		break;
	case COMMIT_DO_ENTER:
		enter(deployment, action->plan);
		break;
	case COMMIT_DO_LEAVE:
		leave(deployment);
		break;
	case COMMIT_DO_DECIDED:
		adopt_plan(deployment, action->plan);
		inform_spectators(deployment, &deployment->plan);
		break;
	case COMMIT_DO_REPLAN:
		for (uint32_t i = 0; i < actions->n_silent; i++)
			trouble_spare(&deployment->trouble, &actions->silent[i],
				      "it did not answer when the plan was agreed");
		deployment_plan_soon(deployment, &deployment->proposed, 0);
		break;
	case COMMIT_DO_OUTBID:
		deployment_plan_soon(deployment, &deployment->proposed, 200 + randombytes_uniform(800));
		break;
	case COMMIT_DO_ASK:
		deployment_want_again(deployment);
		break;
	}
}

/* Actions may bring about further events (persisted at once): each step works on a copy. */
void deployment_step(struct deployment *deployment, const struct commit_event *event)
{
	struct commit_actions actions; /* some kilobytes, and never more than three deep */
	commit_step(deployment->commit, event, clock_ms(), &actions);
	for (uint32_t i = 0; i < actions.n; i++)
		carry_out(deployment, &actions.items[i], &actions);
	const struct plan *known = commit_known(deployment->commit);
	if (known && (!deployment->has_plan ||
		      epoch_compare(&known->epoch, &deployment->plan.epoch) > 0))
		adopt_plan(deployment, known);
	arm_timer(deployment);
}

/* ---- election ---- */

static void planner_changed(struct deployment *deployment)
{
	const struct device_id *planner = election_planner(&deployment->election);
	char text[ID_TEXT_BYTES];
	log_info("deployment", "planner=%s%s", id_text(planner->bytes, text),
		 deployment_plans(deployment) ? " (this device)" : "");
	peers_tell(deployment->config.peers, FACT_PLANNER, 0, planner->bytes, ID_BYTES);
	deployment_want_again(deployment);
	deployment_changed(deployment);
}

static void follow_seat(struct deployment *deployment, bool seat_changed)
{
	if (seat_changed)
		planner_changed(deployment);
	arm_timer(deployment);
}

static void on_timer(uv_timer_t *timer)
{
	struct deployment *deployment = timer->data;
	const struct commit_event commit_tick = { .kind = COMMIT_TICK };
	if (clock_ms() >= election_deadline_ms(&deployment->election))
		follow_seat(deployment, seat_tick(&deployment->election));
	if (clock_ms() >= commit_deadline_ms(deployment->commit))
		deployment_step(deployment, &commit_tick);
	arm_timer(deployment);
}

static void arm_timer(struct deployment *deployment)
{
	const int64_t a = election_deadline_ms(&deployment->election);
	const int64_t b = commit_deadline_ms(deployment->commit);
	const int64_t next = a < b ? a : b;
	if (deployment->stopping)
		return;
	if (next == INT64_MAX) {
		uv_timer_stop(deployment->timer);
		return;
	}
	const int64_t wait = next - clock_ms();
	uv_timer_start(deployment->timer, on_timer, wait > 0 ? (uint64_t)wait : 0, 0);
}

const struct device_id *deployment_planner(const struct deployment *deployment)
{
	return election_planner(&deployment->election);
}

void deployment_members(struct deployment *deployment)
{
	struct device_id gone[PLAN_DEVICES_MAX];
	struct plan_candidate candidates[PLAN_DEVICES_MAX];
	uint32_t n_gone;
	const uint32_t n = deployment_gather(deployment, candidates);
	follow_seat(deployment,
		    seat_members(&deployment->election, deployment->config.home->roster,
				 *deployment->config.power, candidates, n, gone, &n_gone));
	for (uint32_t i = 0; i < n_gone; i++)
		deployment_liveness(deployment, &gone[i], LIVENESS_LEFT);
}

void deployment_stated(struct deployment *deployment, const struct device_id *from,
		       const struct device_id *planner)
{
	follow_seat(deployment, seat_stated(&deployment->election, from, planner));
}

/* ---- devices come and go ---- */

static const char *name_in_plan(const struct deployment *deployment, const struct device_id *id)
{
	return deployment->plan.devices[plan_index_of(&deployment->plan, id)].name;
}

static void lose_device(struct deployment *deployment, const struct device_id *id,
			const char *what)
{
	struct fail why;
	const struct commit_event gone = { .kind = COMMIT_GONE, .from = *id };
	deployment_step(deployment, &gone);
	if (!deployment->has_plan || !commit_participates(&deployment->plan, id))
		return;
	fail_set(&why, FAIL_LOST, "the device %s %s while it held a part of the model; ask again",
		 name_in_plan(deployment, id), what);
	lose_plan(deployment, id, &why);
}

static void tell_newcomer(struct deployment *deployment, const struct device_id *id)
{
	const int self = plan_index_of(&deployment->plan, self_id(deployment));
	if (!deployment->has_plan || !deployment->healthy || self < 0 ||
	    !commit_participates(&deployment->plan, self_id(deployment)))
		return;
	struct message *message = &deployment->message;
	message->type = MESSAGE_PART_STATE;
	message->part_state = (struct message_part_state){
		deployment->plan.epoch, (uint8_t)deployment->progress.parts[self].state
	};
	peers_send(deployment->config.peers, id, message);
}

void deployment_liveness(struct deployment *deployment, const struct device_id *id,
			 enum liveness to)
{
	follow_seat(deployment, seat_liveness(&deployment->election, id, to));
	if (to == LIVENESS_LOST)
		lose_device(deployment, id, "was lost");
	else if (to == LIVENESS_LEFT)
		lose_device(deployment, id, "left");
	else if (to == LIVENESS_ALIVE)
		tell_newcomer(deployment, id);
}

void deployment_returned(struct deployment *deployment, const struct device_id *id)
{
	lose_device(deployment, id, "restarted");
}

void deployment_broken(struct deployment *deployment, const struct epoch *epoch,
		       const struct device_id *device, const struct fail *why)
{
	const struct epoch promised = commit_promised(deployment->commit);
	if (!deployment->has_plan || epoch_compare(&deployment->plan.epoch, epoch) != 0)
		return;
	if (epoch_compare(&promised, epoch) > 0)
		return; /* a newer plan takes its place: the old ring is being taken down */
	lose_plan(deployment, device, why);
}

int deployment_withdraw(struct deployment *deployment, const struct model_id *model,
			const struct fail *why, struct fail *fail)
{
	if (!deployment_serves(deployment, model))
		return fail_set(fail, FAIL_NOT_FOUND, "no plan uses this model");
	if (deployment->tenure.running > 0)
		return fail_set(fail, FAIL_BUSY,
				"requests run on this model: remove it when they have ended");
	lose_plan(deployment, NULL, why);
	return 0;
}

void deployment_connected(struct deployment *deployment, const struct epoch *epoch)
{
	part_connected(deployment->part, epoch);
}

void deployment_load(struct deployment *deployment, uint32_t running)
{
	if ((deployment->tenure.running > 0) != (running > 0))
		mark_busy(deployment, running > 0);
	deployment->tenure.used |= running > 0;
	deployment->tenure.running = running;
}

/* ---- parts ---- */

static void note_ready(struct deployment *deployment)
{
	if (!deployment->tenure.ready_ms &&
	    progress_state(&deployment->progress, &deployment->plan, NULL, NULL) == DEPLOYMENT_READY)
		deployment->tenure.ready_ms = clock_ms();
}

static void on_part_state(void *context, enum part_state state, uint64_t done, uint64_t total,
			  const struct fail *why)
{
	struct deployment *deployment = context;
	const int self = plan_index_of(&deployment->plan, self_id(deployment));
	if (self < 0)
		return;
	deployment->progress.parts[self] = (struct part_view){ state, done, total };
	note_ready(deployment);
	if (state == PART_FAILED) {
		struct fail named;
		fail_set(&named, why->code, "%s: %.300s", deployment->plan.devices[self].name,
			 why->text);
		lose_plan(deployment, self_id(deployment), &named);
		return;
	}
	tell_part(deployment, state, done, total);
	deployment_changed(deployment);
}

static void take_part_state(struct deployment *deployment, const struct device_id *from,
			    const struct message_part_state *state)
{
	struct fail why;
	fail_set(&why, state->code && state->code < FAIL_CODES ? state->code : FAIL_LOST, "%s",
		 state->reason);
	if (state->epoch.counter == 0 && state->state == PART_FAILED) {
		trouble_set(&deployment->trouble, &state->model, &why, clock_ms());
		deployment_changed(deployment);
		return;
	}
	if (!deployment->has_plan || epoch_compare(&state->epoch, &deployment->plan.epoch) != 0)
		return;
	const int index = plan_index_of(&deployment->plan, from);
	if (index < 0)
		return;
	deployment->progress.parts[index] = (struct part_view){ (enum part_state)state->state,
						       state->done_bytes, state->total_bytes };
	note_ready(deployment);
	if (state->state == PART_FAILED)
		lose_plan(deployment, from, &why);
	deployment_changed(deployment);
}

enum part_state deployment_part(const struct deployment *deployment, uint16_t device,
				uint64_t *done, uint64_t *total)
{
	const struct part_view *view = &deployment->progress.parts[device];
	if (done)
		*done = view->done;
	if (total)
		*total = view->total;
	return view->state;
}

/* ---- asked by sessions ---- */

static void take_deploy(struct deployment *deployment, const struct device_id *from,
			const struct message_deploy *deploy)
{
	if (deploy->hold) {
		if (device_id_equal(from, deployment_planner(deployment)))
			ring_hold(deployment->config.ring, deploy->hold == DEPLOY_HOLD);
	} else if (!deployment_plans(deployment)) {
		return;
	} else if (deployment_serves(deployment, &deploy->model)) {
		send_plan(deployment, from, &deployment->plan); /* it has not heard of it yet */
		send_commit(deployment, from, &deployment->plan.epoch);
		tell_newcomer(deployment, from);
	} else {
		deployment_wanted(deployment, &deploy->model);
	}
}

enum deployment_state deployment_state(const struct deployment *deployment,
				       const struct model_id *model, uint64_t *done,
				       uint64_t *total)
{
	if (done && total)
		*done = *total = 0;
	if (deployment_serves(deployment, model))
		return progress_state(&deployment->progress, &deployment->plan, done, total);
	return wants_has(&deployment->own, model, clock_ms()) ? DEPLOYMENT_PLANNING
							       : DEPLOYMENT_NONE;
}

const struct trouble *deployment_trouble(const struct deployment *deployment)
{
	return &deployment->trouble;
}

const struct plan *deployment_plan(const struct deployment *deployment)
{
	return deployment->has_plan && deployment->healthy ? &deployment->plan : NULL;
}

struct epoch deployment_served(const struct deployment *deployment)
{
	return part_epoch(deployment->part);
}

struct epoch deployment_epoch(const struct deployment *deployment)
{
	const struct plan *live = commit_live(deployment->commit);
	return live ? live->epoch : (struct epoch){ 0 };
}

/* ---- messages ---- */

static void take_commit_message(struct deployment *deployment, const struct device_id *from,
				const struct message *message)
{
	struct commit_event event = { .from = *from };
	struct fail why;
	if (message->type == MESSAGE_PREPARE) {
		const struct model_facts *facts = deployment->services.facts(
			deployment->services.context, &message->prepare.plan.model);
		if (plan_check(&message->prepare.plan, facts ? facts->n_layers : 0, &why) != 0) {
			log_warn("deployment", "a plan was refused reason=\"%s\"", why.text);
			return;
		}
		event.kind = COMMIT_PREPARED;
		event.plan = &message->prepare.plan;
	} else if (message->type == MESSAGE_PROMISE) {
		event.kind = COMMIT_PROMISED;
		event.promise = &message->promise;
	} else {
		event.kind = COMMIT_COMMITTED;
		event.epoch = message->commit.epoch;
	}
	deployment_step(deployment, &event);
}

bool deployment_message(struct deployment *deployment, const struct device_id *from,
			const struct message *message)
{
	const struct member *member = roster_find(deployment->config.home->roster, from);
	switch (message->type) {
	case MESSAGE_DEPLOY:
		take_deploy(deployment, from, &message->deploy);
		return true;
	case MESSAGE_PREPARE:
	case MESSAGE_PROMISE:
	case MESSAGE_COMMIT:
		if (member && member->role != ROLE_CLIENT)
			take_commit_message(deployment, from, message);
		return true;
	case MESSAGE_PART_STATE:
		take_part_state(deployment, from, &message->part_state);
		return true;
	default:
		return false;
	}
}

void deployment_accept(struct deployment *deployment, uv_os_sock_t socket,
		       const uint8_t preamble[PREAMBLE_BYTES])
{
	part_accept(deployment->part, socket, preamble);
}

/* ---- beginning and end ---- */

struct deployment *deployment_create(const struct deployment_config *config,
				     const struct deployment_services *services, struct fail *fail)
{
	const struct part_events events = { .state = on_part_state };
	struct deployment *deployment = calloc(1, sizeof(*deployment));
	if (!deployment)
		goto fail;
	deployment->config = *config;
	deployment->services = *services;
	deployment->timer = timer_make(config->host->loop, deployment);
	deployment->replan = timer_make(config->host->loop, deployment);
	deployment->commit = commit_create(home_self(config->home),
					   config->home->has_record ? &config->home->record : NULL);
	deployment->part = part_create(config, services, &events, deployment);
	if (!deployment->timer || !deployment->replan ||
	    !deployment->commit || !deployment->part)
		goto fail;
	election_init(&deployment->election, home_self(config->home), clock_ms());
	return deployment;
fail:
	fail_set(fail, FAIL_MEMORY, "no memory to begin");
	deployment_destroy(deployment);
	return NULL;
}

void deployment_stop(struct deployment *deployment, void (*stopped)(void *context), void *context)
{
	struct fail why;
	fail_set(&why, FAIL_CANCELLED, "primad is stopping on the device that answers");
	deployment->stopping = true;
	uv_timer_stop(deployment->timer);
	uv_timer_stop(deployment->replan);
	part_end(deployment->part, &why, NULL, stopped, context);
}

void deployment_destroy(struct deployment *deployment)
{
	if (!deployment)
		return;
	timer_free(deployment->timer);
	timer_free(deployment->replan);
	part_destroy(deployment->part);
	commit_destroy(deployment->commit);
	free(deployment);
}
