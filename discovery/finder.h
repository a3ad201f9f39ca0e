/* finder.h: announces this device and finds others, by mDNS and from a list of static peers.
 *
 * Publishes `_primad._tcp` under a random instance name that changes at each start; the TXT record
 * lets members of the same home recognise each other and tells a stranger nothing (txt.h). All that
 * is found is a hint: it says where to dial, the handshake says who is there. A vanished record is
 * no sign that a device died, and a present one none that it lives.
 *
 * mDNS needs a running Avahi; it may start, stop or restart at any time and is taken up again by
 * itself. Loop thread only. */
#ifndef DISCOVERY_FINDER_H
#define DISCOVERY_FINDER_H

#include "base/fail.h"
#include "discovery/address.h"
#include "proto/id.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define FINDER_KEY_BYTES    160 /* what a finding is called: instance, or host:port of a peer */
#define FINDER_LABEL_BYTES  64  /* name of a home with an open pairing window, with terminator */
#define FINDER_MEMBERS_MAX  64  /* ids tested against a tag */
#define FINDER_FINDINGS_MAX 128 /* more announcements than that are not looked at */
#define FINDER_STATICS_MAX  32

enum finder_state {
	FINDER_STATE_OFF,       /* mDNS is not wanted */
	FINDER_STATE_NO_AVAHI,  /* no Avahi answers on this machine; retried */
	FINDER_STATE_STARTING,  /* Avahi is there, our record is not established yet */
	FINDER_STATE_ANNOUNCED, /* others can find us */
};

struct finding {
	char key[FINDER_KEY_BYTES];
	bool is_static;
	bool is_member;                 /* its tag fits `id`, a member of our home; unproven */
	struct device_id id;            /* all zero when unknown */
	bool pairing;                   /* a member there invites at this moment */
	char label[FINDER_LABEL_BYTES]; /* as announced: printable, and not to be believed */
	uint32_t n_addresses;
	struct address addresses[ADDRESSES_MAX]; /* private IPv4 first, link-local last */
};

struct finder_events {
	/* New, or changed: addresses, member, pairing. Borrowed for the call. */
	void (*found)(void *context, const struct finding *finding);
	void (*gone)(void *context, const char *key);
	/* `sentence` says what the state means and what a person can do; borrowed. */
	void (*state)(void *context, enum finder_state state, const char *sentence);
};

struct finder_settings {
	bool mdns;
	const char *const *statics; /* "host:port"; copied */
	uint32_t n_statics;
	uint16_t port_default; /* for statics without a port */
};

struct finder;

/* Gives a finder, or NULL with a sentence (a malformed static peer, no memory). Having no Avahi is
 * not a failure. Events are called from the loop, never from within these functions. */
struct finder *finder_create(uv_loop_t *loop, const struct finder_settings *settings,
			     const struct finder_events *events, void *context, struct fail *fail);
/* Withdraws the announcement and closes everything; `closed` (may be NULL) is called from the loop
 * when nothing of the finder is left on it. Takes the finder, which is gone on return; no other
 * event is called. Not from within an event. Accepts NULL: then `closed` is not called. */
void finder_destroy(struct finder *finder, void (*closed)(void *context), void *context);

/* Who we are: announced from now on, on this port; also after joining or leaving a home. */
void finder_announce(struct finder *finder, const uint8_t home_id[HOME_ID_BYTES],
		     const struct device_id *self, uint16_t port);
/* Whom to recognise. Copied, at most FINDER_MEMBERS_MAX. Known findings are looked at again. */
void finder_members(struct finder *finder, const struct device_id *ids, uint32_t count);
/* Opens or closes (label NULL) the pairing window in the announcement. */
void finder_pairing(struct finder *finder, const char *label);

enum finder_state finder_state(const struct finder *finder);
const char *finder_sentence(const struct finder *finder);
const char *finder_state_name(enum finder_state state);
/* Calls `found` for all that is known at this moment. */
void finder_each(const struct finder *finder,
		 void (*found)(void *context, const struct finding *finding), void *context);

#endif
