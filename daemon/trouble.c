#include "daemon/trouble.h"

#include "proto/deadlines.h"

#include <string.h>

#define PATIENCE_MS (10 * REPLAN_PAUSE_MS) /* without any plan: the home may still come together   \
					    */

bool trouble_is_mendable(enum fail_code code)
{
	static const bool mendable[FAIL_CODES] = {
		[FAIL_NONE] = true,   [FAIL_LOST] = true,  [FAIL_CANCELLED] = true,
		[FAIL_MEMORY] = true, [FAIL_SPACE] = true,
	};
	return (unsigned)code < FAIL_CODES && mendable[code];
}

bool trouble_is_news(const struct trouble *trouble, const struct model_id *model,
		     const struct fail *why)
{
	return trouble->why.code == FAIL_NONE || !model_id_equal(&trouble->model, model) ||
	       strcmp(trouble->why.text, why->text) != 0;
}

void trouble_set(struct trouble *trouble, const struct model_id *model, const struct fail *why,
		 int64_t now_ms)
{
	if (trouble->why.code == FAIL_NONE || !model_id_equal(&trouble->model, model))
		trouble->since_ms = now_ms;
	trouble->model = *model;
	trouble->why = *why;
}

void trouble_failed(struct trouble *trouble, const struct model_id *model, const struct fail *why,
		    const struct device_id *device, int64_t now_ms)
{
	trouble_set(trouble, model, why, now_ms);
	trouble->failed++;
	if (device && why->code == FAIL_MEMORY)
		trouble_spare(trouble, device, "it had no memory for its part");
	if (device && why->code == FAIL_SPACE)
		trouble_spare(trouble, device, "it had no room on its disk for its part");
}

void trouble_forget(struct trouble *trouble)
{
	trouble->why.code = FAIL_NONE;
}

void trouble_spare(struct trouble *trouble, const struct device_id *device, const char *reason)
{
	if (trouble->n_spared == PLAN_DEVICES_MAX || trouble_spares(trouble, device))
		return;
	trouble->spared[trouble->n_spared++] = (struct trouble_spared){ *device, reason };
}

const char *trouble_spares(const struct trouble *trouble, const struct device_id *device)
{
	for (uint32_t i = 0; i < trouble->n_spared; i++)
		if (device_id_equal(&trouble->spared[i].id, device))
			return trouble->spared[i].reason;
	return NULL;
}

bool trouble_ends(const struct trouble *trouble, const struct model_id *model,
		  uint32_t failed_before, int64_t since_ms, int64_t now_ms)
{
	if (trouble->why.code == FAIL_NONE || !model_id_equal(&trouble->model, model))
		return false;
	const uint32_t failed = trouble->failed - failed_before;
	if (failed >= TROUBLE_ATTEMPTS_MAX ||
	    (failed > 0 && !trouble_is_mendable(trouble->why.code)))
		return true;
	const int64_t from_ms = since_ms > trouble->since_ms ? since_ms : trouble->since_ms;
	return now_ms - from_ms > PATIENCE_MS;
}
