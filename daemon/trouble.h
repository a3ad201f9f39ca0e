/* trouble.h: why the last attempt to bring a model up failed, and what that means for who waits for
 * it and for the next plan. Pure: time comes in. Loop thread only.
 *
 * Some failures are mended by another plan: a device was lost, or one that has too little memory or
 * disk is left out. All others would come again, attempt after attempt: they end the wait. */
#ifndef DAEMON_TROUBLE_H
#define DAEMON_TROUBLE_H

#include "base/fail.h"
#include "proto/id.h"
#include "proto/plan.h"

#include <stdbool.h>
#include <stdint.h>

#define TROUBLE_ATTEMPTS_MAX 3 /* plans that failed while somebody waited: no fourth is awaited */

/* A device that the next plan does without. */
struct trouble_spared {
	struct device_id id;
	const char *reason; /* a constant; completes "NAME is not used: " */
};

struct trouble {
	struct fail why; /* FAIL_NONE: nothing stands in the way */
	struct model_id model;
	int64_t since_ms;
	uint32_t failed; /* attempts that failed, ever: who waits remembers where it stood */
	struct trouble_spared spared[PLAN_DEVICES_MAX];
	uint32_t n_spared;
};

/* True when a plan made anew, perhaps without the device that failed, may do better. */
bool trouble_is_mendable(enum fail_code code);

/* True when this was not the reason before: what is tried again four times a second is logged once. */
bool trouble_is_news(const struct trouble *trouble, const struct model_id *model,
		     const struct fail *why);

/* No plan can be made for `model`, or nothing is known yet of how it will go. */
void trouble_set(struct trouble *trouble, const struct model_id *model, const struct fail *why,
		 int64_t now_ms);
/* A plan of `model` failed. `device`, which may be NULL, is spared where it was short of room. */
void trouble_failed(struct trouble *trouble, const struct model_id *model, const struct fail *why,
		    const struct device_id *device, int64_t now_ms);
/* A plan was agreed, or a wish is a new one: nothing is held against it. */
void trouble_forget(struct trouble *trouble);

void trouble_spare(struct trouble *trouble, const struct device_id *device, const char *reason);
/* Why this device is spared, or NULL. */
const char *trouble_spares(const struct trouble *trouble, const struct device_id *device);

/* True when somebody who has waited for `model` since `since_ms`, when `failed` stood at
 * `failed_before`, should wait no longer, because of trouble->why. */
bool trouble_ends(const struct trouble *trouble, const struct model_id *model,
		  uint32_t failed_before, int64_t since_ms, int64_t now_ms);

#endif
