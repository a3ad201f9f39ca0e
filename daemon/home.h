/* home.h: what this device keeps of its home across restarts: who it is, who belongs, and the
 * numbers that must never fall. Files in the state folder (mode 0700): identity.key, roster.bin,
 * numbers.bin, addresses.bin. Loop thread only; writes block for an fsync and happen only when something changed. */
#ifndef DAEMON_HOME_H
#define DAEMON_HOME_H

#include "base/fail.h"
#include "discovery/discovery.h"
#include "planner/planner.h"
#include "proto/identity.h"
#include "proto/pairing.h"

#include <limits.h>
#include <stdint.h>

#define HOME_ADDRESSES_MAX 64

/* Where a member answered last; an id of zeros: some member did. */
struct known_address {
	struct device_id id;
	struct address address;
};

struct home {
	struct identity *identity;
	struct roster *roster;
	char label[HOME_LABEL_BYTES]; /* how people call it: the founder's name */
	char name[DEVICE_NAME_BYTES]; /* this device's */
	char folder[PATH_MAX];
	/* numbers.bin: the ends of blocks reserved, see gossip.h; used from memory below them */
	uint64_t incarnation_end, version_end;
	uint16_t port; /* remembered when the default one was taken; 0: none */
	bool has_record;
	struct commit_record record; /* promises, see commit.h */
	/* addresses.bin: for networks without multicast; a hint like any other */
	struct known_address known[HOME_ADDRESSES_MAX];
	uint32_t n_known;
};

/* Opens or, at the first start, founds a home of one. Gives. */
struct home *home_open(const char *folder, const char *name, struct fail *fail);
void home_close(struct home *home); /* takes; wipes; accepts NULL */

int home_save_roster(struct home *home, struct fail *fail);
int home_save_numbers(struct home *home, struct fail *fail);
/* Becomes a member of another home: its statements replace ours. */
int home_adopt(struct home *home, const struct pairing_welcome *welcome, struct fail *fail);
/* Leaves: a new identity and a home of one. What others know of the old one is theirs. */
int home_reset(struct home *home, struct fail *fail);

/* Remembers where `id` (NULL: some member) answered; stored when it is new. */
void home_remember(struct home *home, const struct device_id *id, const struct address *address);

const struct device_id *home_self(const struct home *home);
bool home_is_alone(const struct home *home);

#endif
