#include "daemon/candidates.h"

#include <stdlib.h>

struct candidates {
	struct profile profiles[PLAN_DEVICES_MAX];
};

struct candidates *candidates_create(void)
{
	return calloc(1, sizeof(struct candidates));
}

void candidates_destroy(struct candidates *candidates)
{
	free(candidates);
}

static bool read_profile(struct profile *profile, const struct peers *peers,
			 const struct device_id *id)
{
	const struct fact *fact = gossip_get(peers_gossip(peers), id, FACT_PROFILE, 0);
	return fact && profile_decode(profile, fact->bytes, fact->size, NULL) == 0 &&
	       device_id_equal(&profile->device, id);
}

static const char *barred(const struct peers *peers, const struct member *member)
{
	const enum liveness liveness =
		membership_liveness(peers_membership(peers), &member->keys.id);
	if (liveness != LIVENESS_ALIVE)
		return "it does not answer at the moment";
	if (member->role == ROLE_CLIENT)
		return "it only asks (role client)";
	return NULL;
}

uint32_t candidates_gather(struct candidates *candidates, const struct home *home,
			   const struct peers *peers, const struct profile *own,
			   struct plan_candidate out[PLAN_DEVICES_MAX])
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < roster_count(home->roster) && n < PLAN_DEVICES_MAX; i++) {
		const struct member *member = roster_at(home->roster, i);
		if (device_id_equal(&member->keys.id, home_self(home))) {
			if (own)
				out[n++] = (struct plan_candidate){ .profile = own };
			continue;
		}
		struct profile *profile = &candidates->profiles[n];
		if (!read_profile(profile, peers, &member->keys.id))
			continue; /* nothing is known of it yet */
		out[n++] = (struct plan_candidate){ .profile = profile,
						    .barred = barred(peers, member) };
	}
	return n;
}

bool candidates_known(const struct home *home, const struct peers *peers)
{
	for (uint32_t i = 0; i < roster_count(home->roster); i++) {
		const struct device_id *id = &roster_at(home->roster, i)->keys.id;
		if (membership_liveness(peers_membership(peers), id) == LIVENESS_ALIVE &&
		    !gossip_get(peers_gossip(peers), id, FACT_PROFILE, 0))
			return false;
	}
	return true;
}

static uint64_t types_of(const struct profile *profile)
{
	uint64_t types = 0;
	for (uint32_t i = 0; i < profile->n_backends; i++)
		for (uint32_t j = 0; j < profile->backends[i].n_rates; j++)
			if (profile->backends[i].rates[j].type < 64)
				types |= 1ull << profile->backends[i].rates[j].type;
	return types;
}

bool candidates_lack(const struct plan_candidate *candidates, uint32_t n, uint64_t types)
{
	for (uint32_t i = 0; i < n; i++)
		if (!candidates[i].barred && types & ~types_of(candidates[i].profile))
			return true;
	return false;
}
