/* news.h: what the ring thread tells the loop thread: each item one letter to its mailbox. */
#ifndef DAEMON_NEWS_H
#define DAEMON_NEWS_H

#include "daemon/mailbox.h"
#include "daemon/ring.h"

struct news {
	struct mailbox *home;
	struct ring_events events;
	void *context;
};

void news_tokens(struct news *news, const struct message_tokens *tokens);
void news_end(struct news *news, const struct message_request_end *end);
void news_broken(struct news *news, const struct epoch *epoch, const struct device_id *device,
		 const struct fail *why);
void news_connected(struct news *news, const struct epoch *epoch);
void news_load(struct news *news);
void news_stopped(struct news *news, void (*stopped)(void *context), void *context);

#endif
