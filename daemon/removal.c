/* Forgetting a model on this device, also one that a plan uses: then the plan ends first, if no
 * request runs on it (node.h). */
#include "daemon/node_inside.h"

#include "base/clock.h"
#include "daemon/timer.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_MS     30    /* is it free now */
#define PATIENCE_MS 10000 /* for the ring and a loading worker to let go of it */

struct removal {
	struct node *node;
	uv_timer_t *timer;
	char *model;
	int64_t until_ms;
	node_answer *answer;
	void *context;
};

static void removal_end(struct removal *removal, json_t *result, const struct fail *fail)
{
	removal->node->removal = NULL;
	timer_free(removal->timer);
	removal->answer(removal->context, result, fail);
	free(removal->model);
	free(removal);
}

static void on_look(uv_timer_t *timer)
{
	struct removal *removal = timer->data;
	struct node *node = removal->node;
	json_t *result = NULL;
	struct fail why;
	const int error = node_settled(node, &why)
				  ? models_remove(node->models, removal->model, &result, &why)
				  : -(int)why.code;
	if (error == -FAIL_BUSY && clock_ms() < removal->until_ms)
		return;
	removal_end(removal, result, error ? &why : NULL);
}

/* The plan is being taken down: looks again and again until the model is free. */
static int wait_for_end(struct node *node, const char *model, node_answer *answer, void *context,
			struct fail *fail)
{
	struct removal *removal = calloc(1, sizeof(*removal));
	if (removal) {
		removal->timer = timer_make(node->loop, removal);
		removal->model = strdup(model);
	}
	if (!removal || !removal->timer || !removal->model) {
		if (removal) {
			timer_free(removal->timer);
			free(removal->model);
		}
		free(removal);
		return fail_set(fail, FAIL_MEMORY, "no memory to remove a model");
	}
	removal->node = node;
	removal->until_ms = clock_ms() + PATIENCE_MS;
	removal->answer = answer;
	removal->context = context;
	node->removal = removal;
	uv_timer_start(removal->timer, on_look, 0, LOOK_MS);
	return 0;
}

static int undeploy(struct node *node, const char *model, struct fail *fail)
{
	struct model_id id;
	struct fail why;
	const struct model_facts *facts;
	if (node->removal)
		return fail_set(fail, FAIL_BUSY, "another model is being removed; try again");
	if (!models_resolve(node->models, model, &id, fail))
		return -(int)fail->code;
	facts = models_facts(node->models, &id);
	fail_set(&why, FAIL_NOT_FOUND, "the model %s was removed on %s",
		 facts ? facts->name : model, node->home->name);
	return deployment_withdraw(node->deployment, &id, &why, fail);
}

void node_model_remove(struct node *node, const char *model, node_answer *answer, void *context)
{
	json_t *result = NULL;
	struct fail why;
	int error = node_settled(node, &why) ? models_remove(node->models, model, &result, &why)
					     : -(int)why.code;
	if (error == -FAIL_BUSY) {
		error = undeploy(node, model, &why);
		if (error == 0)
			error = wait_for_end(node, model, answer, context, &why);
		if (error == 0)
			return;
	}
	answer(context, result, error ? &why : NULL);
}

void node_removal_abandon(struct node *node)
{
	struct fail why;
	fail_set(&why, FAIL_CANCELLED, "primad is stopping on this device");
	if (node->removal)
		removal_end(node->removal, NULL, &why);
}
