/* planning.h: when a simulated device makes a plan, and which. Inside of device.c. */
#ifndef SIM_PLANNING_H
#define SIM_PLANNING_H

#include "device.h"

void planning_now(struct device *device);     /* plan_at_ms has come */
void planning_usurp(struct device *device);   /* plans, whether it is the planner or not */
void planning_elected(struct device *device); /* the planner is another one now */
void planning_follow(struct device *device);  /* after a step of the commit: a newer plan, perhaps */
void planning_lost(struct device *device, const struct device_id *id); /* or removed, or restarted */
void planning_paused(struct device *device); /* this device did not run for a while */
void planning_found(struct device *device);   /* a device is back */
void planning_failed(struct device *device, const struct epoch *epoch); /* somebody left the plan */
void planning_asked(struct device *device, uint32_t from);
void planning_silent(struct device *device, const struct commit_actions *actions);
void planning_outbid(struct device *device);
/* What a ping says: the newest plan that `from` knows, and the one it serves. */
void planning_heard(struct device *device, uint32_t from, const struct epoch *known,
		    const struct epoch *live);

/* In glue.c. */
void glue_tell_spectators(struct device *device, const struct plan *plan);
void glue_tell_failed(struct device *device, const struct epoch *epoch);

#endif
