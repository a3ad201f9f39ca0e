/* The Avahi client is made when its bus answers, and made anew when Avahi or the bus went away.
 * With AVAHI_CLIENT_NO_FAIL it waits by itself for an Avahi that is not there yet; without a bus we
 * try again by timer. Nothing is freed inside a callback of what is being freed: callbacks only
 * note what is to be done and the timer does it.
 *
 * Browsing tells of an instance once for each interface and family. Each such sighting owns a
 * resolver for its address, and a browser for its TXT record: Avahi's resolver passes over a TXT
 * record that changes, and the change is how a pairing window shows. */
#include "discovery/mdns_service.h"

#include "base/list.h"
#include "base/log.h"
#include "discovery/avahi_poll.h"

#include <avahi-client/client.h>
#include <avahi-client/lookup.h>
#include <avahi-client/publish.h>
#include <avahi-common/defs.h>
#include <avahi-common/error.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_CHARACTERS  10
#define RETRY_FIRST_MS   1000  /* without a bus, doubled... */
#define RETRY_MOST_MS    30000 /* ...to at most this */
#define RESOLVE_AGAIN_MS 10000 /* answers get lost on a bad network */
#define TXT_MAX          256   /* ours is far shorter: a longer one is not ours */
#define RECORDS_MAX      3     /* TXT records of one instance: an old one lives on for a second */

struct sighting {
	struct list link;
	struct mdns_service *mdns;
	AvahiServiceResolver *resolver; /* owned; NULL: to be made by the timer */
	AvahiRecordBrowser *browser;    /* owned; of the TXT record; NULL: as above */
	char name[MDNS_NAME_BYTES];
	char domain[64];
	AvahiIfIndex interface;
	AvahiProtocol protocol;
	struct address address; /* port 0: not known yet */
	uint32_t n_records;
	struct record {
		size_t size;
		uint8_t bytes[TXT_MAX];
	} records[RECORDS_MAX]; /* the newest last */
	bool reported;
};

struct mdns_service {
	struct avahi_poll *poll;
	AvahiClient *client;
	AvahiEntryGroup *group;       /* freed with the client */
	AvahiServiceBrowser *browser; /* freed with the client */
	struct list sightings;
	uint32_t n_sightings;
	struct mdns_events events;
	void *context;

	uv_timer_t timer; /* does what callbacks noted, and tries again */
	uint64_t retry_ms;
	bool restart;    /* the client is to be freed and made anew */
	bool registered; /* our service is in the group */

	char name[MDNS_NAME_BYTES];
	enum mdns_state state;
	bool wanted; /* mdns_service_publish was called */
	uint16_t port;
	AvahiStringList *txt;

	void (*closed)(void *context); /* of mdns_service_destroy */
	void *closed_context;
};

static void set_state(struct mdns_service *mdns, enum mdns_state state, const char *why)
{
	mdns->state = state;
	mdns->events.state(mdns->context, state, why);
}

static void pick_name(struct mdns_service *mdns)
{
	static const char base32[] = "abcdefghijklmnopqrstuvwxyz234567";
	for (int i = 0; i < NAME_CHARACTERS; i++)
		mdns->name[i] = base32[randombytes_uniform(32)];
	mdns->name[NAME_CHARACTERS] = '\0';
}

static bool name_is_ours(const char *name)
{
	const size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789");
	return size > 0 && size < MDNS_NAME_BYTES && name[size] == '\0';
}

static void on_timer(uv_timer_t *timer);

/* Sooner than what is set already; a callback asks with 0 for work it may not do itself. */
static void wake_in(struct mdns_service *mdns, uint64_t ms)
{
	if (!uv_is_active((uv_handle_t *)&mdns->timer) || uv_timer_get_due_in(&mdns->timer) > ms)
		uv_timer_start(&mdns->timer, on_timer, ms, 0);
}

static void ask_for_restart(struct mdns_service *mdns)
{
	mdns->restart = true;
	wake_in(mdns, 0);
}

/* ---- what others publish ---- */

static struct sighting *sighting_find(struct mdns_service *mdns, AvahiIfIndex interface,
				      AvahiProtocol protocol, const char *name)
{
	LIST_EACH(at, &mdns->sightings)
	{
		struct sighting *sighting = LIST_ITEM(at, struct sighting, link);
		if (sighting->interface == interface && sighting->protocol == protocol &&
		    strcmp(sighting->name, name) == 0)
			return sighting;
	}
	return NULL;
}

static uint8_t family_of(AvahiProtocol protocol)
{
	return protocol == AVAHI_PROTO_INET ? 4 : 6;
}

static void sighting_destroy(struct sighting *sighting)
{
	struct mdns_service *mdns = sighting->mdns;
	if (sighting->resolver)
		avahi_service_resolver_free(sighting->resolver);
	if (sighting->browser)
		avahi_record_browser_free(sighting->browser);
	list_remove(&sighting->link);
	mdns->n_sightings--;
	free(sighting);
}

static struct address address_of(const AvahiAddress *from, AvahiIfIndex interface, uint16_t port)
{
	struct address address = { .family = family_of(from->proto), .port = port };
	if (address.family == 4)
		memcpy(address.bytes, &from->data.ipv4.address, 4);
	else
		memcpy(address.bytes, from->data.ipv6.address, 16);
	if (address.family == 6 && address_is_link_local(&address))
		address.scope = (uint32_t)interface;
	return address;
}

static void report(struct sighting *sighting)
{
	struct mdns_service *mdns = sighting->mdns;
	struct mdns_sighting seen = { .interface = (uint32_t)sighting->interface,
				      .address = sighting->address };
	if (sighting->address.port == 0 || sighting->n_records == 0)
		return;
	const struct record *newest = &sighting->records[sighting->n_records - 1];
	seen.txt = newest->bytes;
	seen.txt_size = newest->size;
	memcpy(seen.name, sighting->name, sizeof(seen.name));
	sighting->reported = true;
	mdns->events.seen(mdns->context, &seen);
}

static void on_resolved(AvahiServiceResolver *resolver, AvahiIfIndex interface,
			AvahiProtocol protocol, AvahiResolverEvent event, const char *name,
			const char *type, const char *domain, const char *host_name,
			const AvahiAddress *address, uint16_t port, AvahiStringList *txt,
			AvahiLookupResultFlags flags, void *userdata)
{
	struct sighting *sighting = userdata;
	struct mdns_service *mdns = sighting->mdns;
	if (event == AVAHI_RESOLVER_FOUND && address && port != 0) {
		const struct address found = address_of(address, interface, port);
		/* a stranger must not aim us at ourselves */
		if (address_is_loopback(&found) && !(flags & AVAHI_LOOKUP_RESULT_LOCAL))
			return;
		sighting->address = found;
		report(sighting);
		return;
	}
	avahi_service_resolver_free(resolver);
	sighting->resolver = NULL;
	wake_in(mdns, RESOLVE_AGAIN_MS);
}

static void record_drop(struct sighting *sighting, uint32_t place)
{
	struct record *at = &sighting->records[place];
	memmove(at, at + 1, (--sighting->n_records - place) * sizeof(*at));
}

static uint32_t record_place(const struct sighting *sighting, const void *bytes, size_t size)
{
	uint32_t i = 0;
	while (i < sighting->n_records && (sighting->records[i].size != size ||
					   memcmp(sighting->records[i].bytes, bytes, size) != 0))
		i++;
	return i;
}

/* A changed record comes as a new one beside the old, whose end is told later; one that changes
 * back meanwhile is not told again, only the end of the other. */
static void on_record(AvahiRecordBrowser *browser, AvahiIfIndex interface, AvahiProtocol protocol,
		      AvahiBrowserEvent event, const char *name, uint16_t class, uint16_t type,
		      const void *rdata, size_t size, AvahiLookupResultFlags flags, void *userdata)
{
	struct sighting *sighting = userdata;
	if (event == AVAHI_BROWSER_FAILURE) {
		avahi_record_browser_free(browser);
		sighting->browser = NULL;
		wake_in(sighting->mdns, RESOLVE_AGAIN_MS);
		return;
	}
	if ((event != AVAHI_BROWSER_NEW && event != AVAHI_BROWSER_REMOVE) || size > TXT_MAX)
		return;
	const uint32_t place = record_place(sighting, rdata, size);
	if (place < sighting->n_records)
		record_drop(sighting, place);
	if (event == AVAHI_BROWSER_NEW) {
		if (sighting->n_records == RECORDS_MAX)
			record_drop(sighting, 0);
		struct record *newest = &sighting->records[sighting->n_records++];
		newest->size = size;
		memcpy(newest->bytes, rdata, size);
	}
	report(sighting);
}

static void resolve(struct sighting *sighting)
{
	AvahiClient *client = sighting->mdns->client;
	char full[MDNS_NAME_BYTES + sizeof(MDNS_TYPE) + sizeof(sighting->domain) + 2];
	snprintf(full, sizeof(full), "%s.%s.%s", sighting->name, MDNS_TYPE, sighting->domain);
	if (!sighting->resolver)
		sighting->resolver = avahi_service_resolver_new(
			client, sighting->interface, sighting->protocol, sighting->name, MDNS_TYPE,
			sighting->domain, sighting->protocol, AVAHI_LOOKUP_NO_TXT, on_resolved,
			sighting);
	if (!sighting->browser)
		sighting->browser = avahi_record_browser_new(
			client, sighting->interface, sighting->protocol, full, AVAHI_DNS_CLASS_IN,
			AVAHI_DNS_TYPE_TXT, 0, on_record, sighting);
	if (!sighting->resolver || !sighting->browser)
		wake_in(sighting->mdns, RESOLVE_AGAIN_MS);
}

static void sighting_add(struct mdns_service *mdns, AvahiIfIndex interface, AvahiProtocol protocol,
			 const char *name, const char *domain)
{
	struct sighting *sighting;
	if (!name_is_ours(name) || strlen(domain) >= sizeof(sighting->domain) ||
	    mdns->n_sightings == MDNS_SIGHTINGS_MAX ||
	    sighting_find(mdns, interface, protocol, name))
		return;
	sighting = calloc(1, sizeof(*sighting));
	if (!sighting)
		return;
	sighting->mdns = mdns;
	sighting->interface = interface;
	sighting->protocol = protocol;
	snprintf(sighting->name, sizeof(sighting->name), "%s", name);
	snprintf(sighting->domain, sizeof(sighting->domain), "%s", domain);
	list_append(&mdns->sightings, &sighting->link);
	mdns->n_sightings++;
	resolve(sighting);
}

static void sighting_drop(struct mdns_service *mdns, AvahiIfIndex interface, AvahiProtocol protocol,
			  const char *name)
{
	struct sighting *sighting = sighting_find(mdns, interface, protocol, name);
	if (!sighting)
		return;
	if (sighting->reported)
		mdns->events.unseen(mdns->context, name, (uint32_t)interface, family_of(protocol));
	sighting_destroy(sighting);
}

static void on_browsed(AvahiServiceBrowser *browser, AvahiIfIndex interface, AvahiProtocol protocol,
		       AvahiBrowserEvent event, const char *name, const char *type,
		       const char *domain, AvahiLookupResultFlags flags, void *userdata)
{
	struct mdns_service *mdns = userdata;
	switch (event) {
	case AVAHI_BROWSER_NEW:
		sighting_add(mdns, interface, protocol, name, domain);
		break;
	case AVAHI_BROWSER_REMOVE:
		sighting_drop(mdns, interface, protocol, name);
		break;
	case AVAHI_BROWSER_FAILURE:
		ask_for_restart(mdns);
		break;
	case AVAHI_BROWSER_CACHE_EXHAUSTED:
	case AVAHI_BROWSER_ALL_FOR_NOW:
		break;
	}
}

/* ---- what we publish ---- */

static void on_group(AvahiEntryGroup *group, AvahiEntryGroupState state, void *userdata)
{
	struct mdns_service *mdns = userdata;
	mdns->group = group;
	switch (state) {
	case AVAHI_ENTRY_GROUP_ESTABLISHED:
		set_state(mdns, MDNS_STATE_PUBLISHED, "established");
		break;
	case AVAHI_ENTRY_GROUP_COLLISION:
		pick_name(mdns);
		mdns->registered = false;
		wake_in(mdns, 0);
		break;
	case AVAHI_ENTRY_GROUP_FAILURE:
		ask_for_restart(mdns);
		break;
	case AVAHI_ENTRY_GROUP_UNCOMMITED:
	case AVAHI_ENTRY_GROUP_REGISTERING:
		break;
	}
}

static int add_service(struct mdns_service *mdns)
{
	avahi_entry_group_reset(mdns->group);
	const int error = avahi_entry_group_add_service_strlst(
		mdns->group, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC, 0, mdns->name, MDNS_TYPE, NULL,
		NULL, mdns->port, mdns->txt);
	return error < 0 ? error : avahi_entry_group_commit(mdns->group);
}

static void register_service(struct mdns_service *mdns)
{
	if (!mdns->wanted || avahi_client_get_state(mdns->client) != AVAHI_CLIENT_S_RUNNING)
		return;
	if (!mdns->group)
		mdns->group = avahi_entry_group_new(mdns->client, on_group, mdns);
	const int error = mdns->group ? add_service(mdns) : avahi_client_errno(mdns->client);
	if (error == AVAHI_ERR_COLLISION) {
		pick_name(mdns);
		wake_in(mdns, 0);
	} else if (error < 0) {
		log_warn("mdns", "publishing failed reason=\"%s\"", avahi_strerror(error));
		ask_for_restart(mdns);
	} else {
		mdns->registered = true;
	}
}

void mdns_service_publish(struct mdns_service *mdns, uint16_t port, const void *txt, size_t txt_size)
{
	const bool same_port = mdns->wanted && mdns->port == port;
	AvahiStringList *list = NULL;
	if (avahi_string_list_parse(txt, txt_size, &list) < 0)
		return;
	avahi_string_list_free(mdns->txt);
	mdns->txt = list;
	mdns->port = port;
	mdns->wanted = true;
	if (!mdns->client || avahi_client_get_state(mdns->client) != AVAHI_CLIENT_S_RUNNING)
		return;
	if (mdns->registered && same_port &&
	    avahi_entry_group_update_service_txt_strlst(mdns->group, AVAHI_IF_UNSPEC,
							AVAHI_PROTO_UNSPEC, 0, mdns->name,
							MDNS_TYPE, NULL, mdns->txt) == 0)
		return;
	register_service(mdns);
}

const char *mdns_service_name(const struct mdns_service *mdns)
{
	return mdns->name;
}

/* ---- the client ---- */

static void start_browsing(struct mdns_service *mdns)
{
	if (mdns->browser)
		return;
	mdns->browser = avahi_service_browser_new(mdns->client, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC,
						  MDNS_TYPE, NULL, 0, on_browsed, mdns);
	if (!mdns->browser)
		ask_for_restart(mdns);
}

static void on_client(AvahiClient *client, AvahiClientState state, void *userdata)
{
	struct mdns_service *mdns = userdata;
	mdns->client = client; /* the first call comes before avahi_client_new returns */
	switch (state) {
	case AVAHI_CLIENT_S_RUNNING:
		mdns->retry_ms = RETRY_FIRST_MS;
		set_state(mdns, MDNS_STATE_STARTING, "registering");
		start_browsing(mdns);
		register_service(mdns);
		break;
	case AVAHI_CLIENT_S_REGISTERING:
	case AVAHI_CLIENT_S_COLLISION: /* the host's own name changes: Avahi drops and we add again
					*/
		mdns->registered = false;
		if (mdns->group)
			avahi_entry_group_reset(mdns->group);
		set_state(mdns, MDNS_STATE_STARTING, "Avahi is registering the host's name");
		break;
	case AVAHI_CLIENT_CONNECTING:
		set_state(mdns, MDNS_STATE_ABSENT, "avahi-daemon is not running");
		break;
	case AVAHI_CLIENT_FAILURE:
		set_state(mdns, MDNS_STATE_ABSENT, avahi_strerror(avahi_client_errno(client)));
		ask_for_restart(mdns);
		break;
	}
}

static void client_free(struct mdns_service *mdns)
{
	while (!list_empty(&mdns->sightings))
		sighting_destroy(LIST_ITEM(mdns->sightings.next, struct sighting, link));
	if (mdns->client)
		avahi_client_free(mdns->client);
	mdns->client = NULL;
	mdns->group = NULL;
	mdns->browser = NULL;
	mdns->registered = false;
}

static void client_new(struct mdns_service *mdns)
{
	int error = 0;
	mdns->client = avahi_client_new(avahi_poll_api(mdns->poll), AVAHI_CLIENT_NO_FAIL, on_client,
					mdns, &error);
	if (mdns->client)
		return;
	mdns->group = NULL; /* a callback may have come before the failure */
	mdns->browser = NULL;
	set_state(mdns, MDNS_STATE_ABSENT, avahi_strerror(error));
	wake_in(mdns, mdns->retry_ms);
	mdns->retry_ms = 2 * mdns->retry_ms < RETRY_MOST_MS ? 2 * mdns->retry_ms : RETRY_MOST_MS;
}

static void on_timer(uv_timer_t *timer)
{
	struct mdns_service *mdns = timer->data;
	if (mdns->restart) {
		mdns->restart = false;
		client_free(mdns);
		mdns->events.unseen_all(mdns->context);
		wake_in(mdns, mdns->retry_ms);
		return;
	}
	if (!mdns->client) {
		client_new(mdns);
		return;
	}
	if (mdns->wanted && !mdns->registered)
		register_service(mdns);
	LIST_EACH(at, &mdns->sightings)
	{
		struct sighting *sighting = LIST_ITEM(at, struct sighting, link);
		if (!sighting->resolver || !sighting->browser)
			resolve(sighting);
	}
}

struct mdns_service *mdns_service_create(uv_loop_t *loop, const struct mdns_events *events, void *context)
{
	struct mdns_service *mdns = calloc(1, sizeof(*mdns));
	if (!mdns)
		return NULL;
	list_init(&mdns->sightings);
	mdns->events = *events;
	mdns->context = context;
	mdns->retry_ms = RETRY_FIRST_MS;
	mdns->poll = avahi_poll_create(loop);
	if (!mdns->poll) {
		free(mdns);
		return NULL;
	}
	uv_timer_init(loop, &mdns->timer);
	mdns->timer.data = mdns;
	pick_name(mdns);
	wake_in(mdns, 0);
	return mdns;
}

/* ---- the end ---- */

static void on_poll_closed(void *context)
{
	struct mdns_service *mdns = context;
	void (*closed)(void *) = mdns->closed;
	void *closed_context = mdns->closed_context;
	free(mdns);
	if (closed)
		closed(closed_context);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct mdns_service *mdns = handle->data;
	avahi_poll_destroy(mdns->poll, on_poll_closed, mdns);
}

void mdns_service_destroy(struct mdns_service *mdns, void (*closed)(void *context), void *context)
{
	client_free(mdns);
	avahi_string_list_free(mdns->txt);
	mdns->closed = closed;
	mdns->closed_context = context;
	uv_close((uv_handle_t *)&mdns->timer, on_timer_closed);
}
