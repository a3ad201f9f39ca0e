/* mdns.h: the mDNS service of the system, reduced to what the finder needs: one published service,
 * and sightings of those of others. Loop thread only; the service itself is talked to on a thread
 * of its own (mdns_service.h), so that one that hangs blocks nobody: Avahi's client waits up to 25 s
 * for an answer over D-Bus.
 *
 * The service may appear, vanish and restart at any time; what was published is published again.
 * A name is at most MDNS_NAME_BYTES - 1 bytes, of lower-case letters and digits: services with
 * other names are none of ours and not reported. */
#ifndef DISCOVERY_MDNS_H
#define DISCOVERY_MDNS_H

#include "base/fail.h"
#include "discovery/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define MDNS_TYPE          "_primad._tcp"
#define MDNS_NAME_BYTES    16
#define MDNS_SIGHTINGS_MAX 512 /* more are not looked at */

enum mdns_state {
	MDNS_STATE_ABSENT,   /* the service does not answer; retried */
	MDNS_STATE_STARTING, /* it is there, but has not said yet that we are published */
	MDNS_STATE_PUBLISHED,
};

/* One instance as seen through one interface by one family. */
struct mdns_sighting {
	char name[MDNS_NAME_BYTES];
	uint32_t interface;
	struct address address; /* with port, and scope where it is link-local */
	const void *txt;        /* as on the wire; borrowed */
	size_t txt_size;
};

struct mdns_events {
	void (*seen)(void *context, const struct mdns_sighting *sighting);
	void (*unseen)(void *context, const char *name, uint32_t interface, uint8_t family);
	void (*unseen_all)(void *context); /* the service went away: its sightings are void */
	void (*state)(void *context, enum mdns_state state, const char *why);
};

struct mdns;

struct mdns *mdns_create(uv_loop_t *loop, const struct mdns_events *events,
			 void *context); /* gives */
/* Takes; nothing more is reported; `closed` comes from the loop when nothing is left on it, soon also
 * when the service hangs. */
void mdns_destroy(struct mdns *mdns, void (*closed)(void *context), void *context);

/* Publishes, or changes what is published: copied. After a collision of names another is tried. */
void mdns_publish(struct mdns *mdns, uint16_t port, const void *txt, size_t txt_size);
/* The name under which we were published when an event was told last; "" before the first. */
const char *mdns_name(const struct mdns *mdns);

#endif
