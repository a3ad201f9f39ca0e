/* fetch.h: getting from members what this device needs of a model: manifest, metadata, units; chunk
 * by chunk, each verified before it counts, from one holder after another. A holder that gave bytes
 * which are not the model's is not asked again. What came is kept, so a fetch that is broken off goes
 * on where it was. Loop thread; writing and hashing run on a worker. */
#ifndef DAEMON_FETCH_H
#define DAEMON_FETCH_H

#include "daemon/link.h"
#include "daemon/store.h"

struct fetch;

/* A device that has the whole model. */
struct fetch_holder {
	struct device_keys keys;
	struct sockaddr_storage address;
	char name[DEVICE_NAME_BYTES];
};

struct fetch_config {
	const struct link_host *host;
	struct store *store;
	struct model_id model;
	struct store_want want; /* ranges are copied; all zero: metadata only */
	/* The n-th holder that is connected. False: no such. The order may change between calls. */
	bool (*holder)(void *context, uint32_t n, struct fetch_holder *holder);
	void (*progress)(void *context, uint64_t done, uint64_t total);
	/* So many bytes came from this device in one go of so long; or NULL. */
	void (*came)(void *context, const struct device_id *from, uint64_t bytes, int64_t us);
	/* Once: NULL when all is here and flushed. FAIL_CORRUPT: every holder's copy is damaged.
	 * The fetch is gone after it. */
	void (*done)(void *context, const struct fail *fail);
	void *context;
};

struct fetch *fetch_start(const struct fetch_config *config, struct fail *fail);
/* No event follows. Frees itself when its worker has ended. */
void fetch_abandon(struct fetch *fetch);
/* A holder was lost or came: look again. */
void fetch_poke(struct fetch *fetch);

#endif
