/* glue.h: how a simulated device joins its parts, after the fashion of the daemon: what discovery
 * says goes to the election and the commit, what they want goes out as parcels. Inside of device.c. */
#ifndef SIM_GLUE_H
#define SIM_GLUE_H

#include "device.h"

/* Events for the three machines; their actions are carried out. */
void glue_membership(struct device *device, const struct membership_event *event);
void glue_election(struct device *device, const struct election_event *event);
void glue_commit(struct device *device, const struct commit_event *event);

void glue_follow_roster(struct device *device);  /* tells the machines who is a member */
void glue_roster_changed(struct device *device); /* saves, follows, tells the others */

void glue_parcel(struct device *device, struct event *event); /* takes the parcel */
void glue_dialled(struct device *device, uint32_t from, uint64_t process);
void glue_connected(struct device *device, uint32_t with, uint64_t connection);
/* Forgets the connection; the other end hears of it when nothing is cut. `told`: it closed first. */
void glue_close(struct device *device, uint32_t with, bool told);

void glue_timer(struct device *device); /* something is due, perhaps */
void glue_arm(struct device *device);   /* after every step */

#endif
