/* news.h: what the ring thread tells the loop thread: each item one letter to its mailbox.
 *
 * What an epoch cannot do without has its place here and always gets through. Tokens and ends of
 * requests may come in any number and are allocated: those that find no memory are dropped, and the
 * owner, who misses them, asks again (sessions.c). */
#ifndef DAEMON_NEWS_H
#define DAEMON_NEWS_H

#include "base/mailbox.h"
#include "daemon/ring.h"

#include <stdatomic.h>

enum news_kind { NEWS_LOAD, NEWS_CONNECTED, NEWS_CLOSED, NEWS_BROKEN, NEWS_STOPPED, NEWS_KINDS };

/* Something that can be told once until it was heard. */
struct news_place {
	struct letter letter;
	struct news *news;
	atomic_bool posted;
	struct epoch epoch;
	struct device_id device;
	bool has_device;
	struct fail why;
	void (*stopped)(void *context);
	void *context;
};

struct news {
	struct mailbox *home;
	struct ring_events events;
	void *context;
	struct news_place places[NEWS_KINDS];
};

void news_init(struct news *news, struct mailbox *home, const struct ring_events *events,
	       void *context);

void news_tokens(struct news *news, const struct message_tokens *tokens);
void news_end(struct news *news, const struct message_request_end *end);
/* FAIL_CANCELLED: a neighbour closed its connection in good order; a failure may still follow. Of
 * each of the two the first is told until it was heard. */
void news_broken(struct news *news, const struct epoch *epoch, const struct device_id *device,
		 const struct fail *why);
void news_connected(struct news *news, const struct epoch *epoch);
void news_load(struct news *news);
void news_stopped(struct news *news, void (*stopped)(void *context), void *context);

#endif
