/* deployment_inside.h: what a deployment consists of. Inside of deployment.c, which follows plans
 * and devices, and of deployment_planner.c, which makes plans; nobody else includes it. */
#ifndef DAEMON_DEPLOYMENT_INSIDE_H
#define DAEMON_DEPLOYMENT_INSIDE_H

#include "daemon/deployment.h"
#include "daemon/part.h"
#include "daemon/wants.h"

struct deployment {
	struct deployment_config config;
	struct deployment_services services;
	struct election election;
	struct commit *commit;
	struct part *part;
	uv_timer_t *timer;  /* election, commit */
	uv_timer_t *replan; /* planner: a plan is to be made soon */
	/* the newest plan known here, and how its parts are */
	struct plan plan;
	bool has_plan, healthy;
	struct progress progress;
	struct trouble trouble; /* of the last attempt, for those who want */
	struct tenure tenure;   /* of the plan; running: requests at its head */
	struct wants own;       /* what our sessions want */
	struct wants wants;     /* planner: what anybody wants */
	bool holding;           /* planner: the head starts no more requests */
	uint32_t waited_ms;     /* for profiles */
	bool pinned;            /* by a person: kept in new plans of this model while it can be */
	struct plan_pin pin;
	struct model_id pinned_model;
	struct plan_wish pinned_wish; /* without the pin itself */
	struct message message;   /* sending */
	struct plan made;         /* planning */
	struct model_id proposed; /* of the last plan put to the others, whoever made it */
	bool stopping;
};

/* ---- what deployment.c gives ---- */

bool deployment_plans(const struct deployment *deployment); /* this device is the planner */
bool deployment_serves(const struct deployment *deployment, const struct model_id *model);
void deployment_changed(struct deployment *deployment);
void deployment_step(struct deployment *deployment, const struct commit_event *event);
void deployment_tell_failed(struct deployment *deployment, const struct epoch *epoch,
			    const struct model_id *model, const struct fail *why);

/* ---- what deployment_planner.c gives ---- */

/* Planner: this model is wanted; a plan is made in `wait_ms`, or when its turn comes. */
void deployment_plan_soon(struct deployment *deployment, const struct model_id *model,
			  uint64_t wait_ms);
/* Asks for all that our sessions want once more: another device plans now, or it forgot. */
void deployment_want_again(struct deployment *deployment);
/* Another device wants this model. */
void deployment_wanted(struct deployment *deployment, const struct model_id *model);

#endif
