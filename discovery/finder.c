#include "discovery/finder.h"

#include "base/list.h"
#include "discovery/mdns.h"
#include "discovery/statics.h"
#include "discovery/txt.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETTLE_MS  50   /* interfaces and families report one by one: tell of them together */
#define SEEN_MAX   16   /* sightings of one instance */
#define PORT_LEAST 1024 /* an announcement must not aim us at a system service */

struct entry {
	struct list link;
	struct finding finding; /* as told last */
	bool told;
	bool dirty;
	struct txt txt;
	uint32_t n_seen;
	struct {
		uint32_t interface;
		struct address address;
	} seen[SEEN_MAX];
};

struct finder {
	struct finder_events events;
	void *context;
	struct mdns *mdns;       /* NULL: not wanted */
	struct statics *statics; /* NULL: none */
	uv_timer_t settle;
	struct list entries;
	uint32_t n_entries;

	enum finder_state state;
	char sentence[200];

	bool announced;
	struct device_id self;
	uint16_t port;
	uint8_t key[TXT_KEY_BYTES];
	struct txt txt;
	uint32_t n_members;
	struct device_id members[FINDER_MEMBERS_MAX];

	uint32_t closing; /* parts still on the loop */
	void (*closed)(void *context);
	void *closed_context;
};

/* ---- telling ---- */

static bool is_empty(const struct entry *entry)
{
	return !entry->finding.is_static && entry->n_seen == 0;
}

static int rank(const struct address *address)
{
	if (address_is_loopback(address))
		return 4;
	return 2 * address_is_link_local(address) + (address->family == 6);
}

/* Best first; equal ones in the order in which they came. */
static void put_address(struct finding *finding, const struct address *address)
{
	uint32_t place = finding->n_addresses;
	for (uint32_t i = 0; i < finding->n_addresses; i++)
		if (address_equal(&finding->addresses[i], address))
			return;
	if (finding->n_addresses == ADDRESSES_MAX)
		return;
	while (place > 0 && rank(&finding->addresses[place - 1]) > rank(address))
		place--;
	struct address *at = &finding->addresses[place];
	memmove(at + 1, at, (finding->n_addresses - place) * sizeof(*at));
	*at = *address;
	finding->n_addresses++;
}

static bool is_tag_of(const struct finder *finder, const struct txt *txt,
		      const struct device_id *id)
{
	uint8_t tag[TXT_TAG_BYTES];
	txt_tag(finder->key, txt->nonce, id, tag);
	return memcmp(tag, txt->tag, TXT_TAG_BYTES) == 0;
}

static void recognise(const struct finder *finder, const struct txt *txt, struct finding *finding)
{
	for (uint32_t i = 0; finder->announced && i < finder->n_members; i++)
		if (is_tag_of(finder, txt, &finder->members[i])) {
			finding->is_member = true;
			finding->id = finder->members[i];
			return;
		}
}

static void describe(const struct finder *finder, const struct entry *entry,
		     struct finding *finding)
{
	memset(finding, 0, sizeof(*finding)); /* padding too: findings are compared as bytes */
	memcpy(finding->key, entry->finding.key, sizeof(finding->key));
	finding->pairing = entry->txt.pairing;
	memcpy(finding->label, entry->txt.label, sizeof(finding->label));
	recognise(finder, &entry->txt, finding);
	for (uint32_t i = 0; i < entry->n_seen; i++)
		put_address(finding, &entry->seen[i].address);
}

/* What we announced ourselves, perhaps before a restart, is not news. */
static bool is_self(const struct finder *finder, const struct entry *entry)
{
	return !entry->finding.is_static && finder->announced &&
	       is_tag_of(finder, &entry->txt, &finder->self);
}

static void tell_mdns(struct finder *finder, struct entry *entry)
{
	struct finding now;
	describe(finder, entry, &now);
	if (is_self(finder, entry) ||
	    (entry->told && memcmp(&now, &entry->finding, sizeof(now)) == 0))
		return;
	entry->finding = now;
	entry->told = true;
	finder->events.found(finder->context, &entry->finding);
}

static void entry_destroy(struct finder *finder, struct entry *entry)
{
	list_remove(&entry->link);
	finder->n_entries--;
	free(entry);
}

static void on_settled(uv_timer_t *timer)
{
	struct finder *finder = timer->data;
	LIST_EACH(at, &finder->entries)
	{
		struct entry *entry = LIST_ITEM(at, struct entry, link);
		if (!entry->dirty)
			continue;
		entry->dirty = false;
		if (!is_empty(entry)) {
			tell_mdns(finder, entry);
			continue;
		}
		if (entry->told)
			finder->events.gone(finder->context, entry->finding.key);
		entry_destroy(finder, entry);
	}
}

static void mark(struct finder *finder, struct entry *entry)
{
	entry->dirty = true;
	if (!uv_is_active((uv_handle_t *)&finder->settle))
		uv_timer_start(&finder->settle, on_settled, SETTLE_MS, 0);
}

static void mark_all(struct finder *finder)
{
	LIST_EACH(at, &finder->entries)
	{
		struct entry *entry = LIST_ITEM(at, struct entry, link);
		if (!entry->finding.is_static)
			mark(finder, entry);
	}
}

static void set_state(struct finder *finder, enum finder_state state, const char *sentence)
{
	finder->state = state;
	snprintf(finder->sentence, sizeof(finder->sentence), "%s", sentence);
}

/* ---- entries ---- */

static struct entry *entry_find(struct finder *finder, const char *key)
{
	LIST_EACH(at, &finder->entries)
	{
		struct entry *entry = LIST_ITEM(at, struct entry, link);
		if (strcmp(entry->finding.key, key) == 0)
			return entry;
	}
	return NULL;
}

static struct entry *entry_get(struct finder *finder, const char *key)
{
	struct entry *entry = entry_find(finder, key);
	if (entry || finder->n_entries == FINDER_FINDINGS_MAX)
		return entry;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return NULL;
	snprintf(entry->finding.key, sizeof(entry->finding.key), "%s", key);
	list_append(&finder->entries, &entry->link);
	finder->n_entries++;
	return entry;
}

/* Index of the sighting through this interface and family, or n_seen. */
static uint32_t seen_place(const struct entry *entry, uint32_t interface, uint8_t family)
{
	uint32_t i = 0;
	while (i < entry->n_seen &&
	       (entry->seen[i].interface != interface || entry->seen[i].address.family != family))
		i++;
	return i;
}

static void on_unseen(void *context, const char *name, uint32_t interface, uint8_t family)
{
	struct finder *finder = context;
	struct entry *entry = entry_find(finder, name);
	const uint32_t place = entry ? seen_place(entry, interface, family) : 0;
	if (!entry || place == entry->n_seen)
		return;
	memmove(&entry->seen[place], &entry->seen[place + 1],
		(--entry->n_seen - place) * sizeof(entry->seen[0]));
	mark(finder, entry);
}

static void on_seen(void *context, const struct mdns_sighting *sighting)
{
	struct finder *finder = context;
	struct txt txt;
	if (strcmp(sighting->name, mdns_name(finder->mdns)) == 0)
		return;
	if (!txt_parse(&txt, sighting->txt, sighting->txt_size) ||
	    !address_is_near(&sighting->address) || sighting->address.port < PORT_LEAST) {
		on_unseen(finder, sighting->name, sighting->interface, sighting->address.family);
		return;
	}
	struct entry *entry = entry_get(finder, sighting->name);
	if (!entry)
		return;
	const uint32_t place = seen_place(entry, sighting->interface, sighting->address.family);
	if (place == SEEN_MAX)
		return;
	entry->n_seen += place == entry->n_seen;
	entry->seen[place].interface = sighting->interface;
	entry->seen[place].address = sighting->address;
	entry->txt = txt;
	mark(finder, entry);
}

static void on_unseen_all(void *context)
{
	struct finder *finder = context;
	LIST_EACH(at, &finder->entries)
	{
		struct entry *entry = LIST_ITEM(at, struct entry, link);
		if (entry->finding.is_static)
			continue;
		entry->n_seen = 0;
		mark(finder, entry);
	}
}

static void on_mdns_state(void *context, enum mdns_state state, const char *why)
{
	struct finder *finder = context;
	char sentence[sizeof(finder->sentence)];
	switch (state) {
	case MDNS_STATE_ABSENT:
		snprintf(
			sentence, sizeof(sentence),
			"no Avahi (%s): start avahi-daemon, or name the other devices with --peers",
			why);
		set_state(finder, FINDER_STATE_NO_AVAHI, sentence);
		break;
	case MDNS_STATE_STARTING:
		snprintf(sentence, sizeof(sentence), "Avahi is there, not announced yet (%s)", why);
		set_state(finder, FINDER_STATE_STARTING, sentence);
		break;
	case MDNS_STATE_PUBLISHED:
		snprintf(sentence, sizeof(sentence), "announced as %s, port %u",
			 mdns_name(finder->mdns), finder->port);
		set_state(finder, FINDER_STATE_ANNOUNCED, sentence);
		break;
	}
	finder->events.state(finder->context, finder->state, finder->sentence);
}

static void on_static(void *context, const char *text, const struct address *addresses,
		      uint32_t count)
{
	struct finder *finder = context;
	struct entry *entry = entry_get(finder, text);
	if (!entry)
		return;
	entry->finding.is_static = true;
	entry->finding.n_addresses = 0;
	for (uint32_t i = 0; i < count; i++)
		put_address(&entry->finding, &addresses[i]);
	finder->events.found(finder->context, &entry->finding);
}

/* ---- announcing ---- */

static void publish(struct finder *finder)
{
	if (!finder->mdns || !finder->announced)
		return;
	uint8_t record[TXT_RECORD_BYTES];
	const size_t size = txt_build(&finder->txt, record);
	mdns_publish(finder->mdns, finder->port, record, size);
}

void finder_announce(struct finder *finder, const uint8_t home_id[HOME_ID_BYTES],
		     const struct device_id *self, uint16_t port)
{
	uint8_t key[TXT_KEY_BYTES];
	txt_key(home_id, key);
	const bool same_tag = finder->announced && device_id_equal(&finder->self, self) &&
			      memcmp(key, finder->key, sizeof(key)) == 0;
	if (same_tag && port == finder->port)
		return;
	memcpy(finder->key, key, sizeof(key));
	finder->self = *self;
	finder->port = port;
	finder->announced = true;
	if (!same_tag) {
		randombytes_buf(finder->txt.nonce, sizeof(finder->txt.nonce));
		txt_tag(key, finder->txt.nonce, self, finder->txt.tag);
	}
	publish(finder);
	mark_all(finder);
}

void finder_members(struct finder *finder, const struct device_id *ids, uint32_t count)
{
	finder->n_members = count < FINDER_MEMBERS_MAX ? count : FINDER_MEMBERS_MAX;
	memcpy(finder->members, ids, finder->n_members * sizeof(ids[0]));
	mark_all(finder);
}

void finder_pairing(struct finder *finder, const char *label)
{
	finder->txt.pairing = label != NULL;
	snprintf(finder->txt.label, sizeof(finder->txt.label), "%s", label ? label : "");
	publish(finder);
}

/* ---- life ---- */

static void part_closed(void *context)
{
	struct finder *finder = context;
	if (--finder->closing > 0)
		return;
	void (*closed)(void *) = finder->closed;
	void *closed_context = finder->closed_context;
	while (!list_empty(&finder->entries))
		entry_destroy(finder, LIST_ITEM(finder->entries.next, struct entry, link));
	free(finder);
	if (closed)
		closed(closed_context);
}

static void on_settle_closed(uv_handle_t *handle)
{
	part_closed(handle->data);
}

void finder_destroy(struct finder *finder, void (*closed)(void *context), void *context)
{
	if (!finder)
		return;
	finder->closed = closed;
	finder->closed_context = context;
	finder->closing = 1 + (finder->mdns != NULL) + (finder->statics != NULL);
	if (finder->mdns)
		mdns_destroy(finder->mdns, part_closed, finder);
	if (finder->statics)
		statics_destroy(finder->statics, part_closed, finder);
	uv_close((uv_handle_t *)&finder->settle, on_settle_closed);
}

static bool start_mdns(struct finder *finder, uv_loop_t *loop, struct fail *fail)
{
	static const struct mdns_events events = { .seen = on_seen,
						   .unseen = on_unseen,
						   .unseen_all = on_unseen_all,
						   .state = on_mdns_state };
	finder->mdns = mdns_create(loop, &events, finder);
	if (!finder->mdns)
		fail_set(fail, FAIL_MEMORY, "no memory to look for other devices");
	set_state(finder, FINDER_STATE_STARTING, "looking for Avahi");
	return finder->mdns != NULL;
}

static bool start(struct finder *finder, uv_loop_t *loop, const struct finder_settings *settings,
		  struct fail *fail)
{
	if (settings->n_statics > 0) {
		finder->statics = statics_create(loop, settings->statics, settings->n_statics,
						 settings->port_default, on_static, finder, fail);
		if (!finder->statics)
			return false;
	}
	set_state(finder, FINDER_STATE_OFF, "mDNS is switched off; only static peers are found");
	return !settings->mdns || start_mdns(finder, loop, fail);
}

struct finder *finder_create(uv_loop_t *loop, const struct finder_settings *settings,
			     const struct finder_events *events, void *context, struct fail *fail)
{
	struct finder *finder = calloc(1, sizeof(*finder));
	if (!finder) {
		fail_set(fail, FAIL_MEMORY, "no memory to look for other devices");
		return NULL;
	}
	finder->events = *events;
	finder->context = context;
	list_init(&finder->entries);
	uv_timer_init(loop, &finder->settle);
	finder->settle.data = finder;
	if (start(finder, loop, settings, fail))
		return finder;
	finder_destroy(finder, NULL, NULL);
	return NULL;
}

enum finder_state finder_state(const struct finder *finder)
{
	return finder->state;
}

const char *finder_sentence(const struct finder *finder)
{
	return finder->sentence;
}

const char *finder_state_name(enum finder_state state)
{
	switch (state) {
	case FINDER_STATE_OFF:
		return "off";
	case FINDER_STATE_NO_AVAHI:
		return "no_avahi";
	case FINDER_STATE_STARTING:
		return "starting";
	case FINDER_STATE_ANNOUNCED:
		return "announced";
	}
	return "unknown";
}

void finder_each(const struct finder *finder,
		 void (*found)(void *context, const struct finding *finding), void *context)
{
	LIST_EACH(at, &finder->entries)
	{
		const struct entry *entry = LIST_ITEM(at, struct entry, link);
		if (entry->told || entry->finding.is_static)
			found(context, &entry->finding);
	}
}
