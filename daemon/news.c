#include "daemon/news.h"

#include <stdlib.h>

enum item_kind { ITEM_TOKENS, ITEM_END, ITEM_BROKEN, ITEM_CONNECTED, ITEM_LOAD, ITEM_STOPPED };

struct item {
	struct letter letter;
	const struct news *news;
	enum item_kind kind;
	union {
		struct message_tokens tokens;
		struct message_request_end end;
		struct {
			struct device_id device;
			bool has_device;
			struct fail why;
		} broken;
		struct {
			void (*call)(void *context);
			void *context;
		} stopped;
	};
	struct epoch epoch;
};

static void deliver(struct letter *letter)
{
	struct item *item = (struct item *)letter;
	const struct ring_events *events = &item->news->events;
	void *context = item->news->context;
	switch (item->kind) {
	case ITEM_TOKENS:
		events->tokens(context, &item->tokens);
		break;
	case ITEM_END:
		events->request_end(context, &item->end);
		break;
	case ITEM_BROKEN:
		events->broken(context, &item->epoch,
			       item->broken.has_device ? &item->broken.device : NULL,
			       &item->broken.why);
		break;
	case ITEM_CONNECTED:
		events->connected(context, &item->epoch);
		break;
	case ITEM_LOAD:
		events->load(context);
		break;
	case ITEM_STOPPED:
		item->stopped.call(item->stopped.context);
		break;
	}
	free(item);
}

static struct item *item_create(const struct news *news, enum item_kind kind)
{
	struct item *item = calloc(1, sizeof(*item));
	if (!item)
		abort(); /* a few hundred bytes: there is nobody left to tell */
	item->letter.handle = deliver;
	item->news = news;
	item->kind = kind;
	return item;
}

void news_tokens(struct news *news, const struct message_tokens *tokens)
{
	struct item *item = item_create(news, ITEM_TOKENS);
	item->tokens = *tokens;
	mailbox_post(news->home, &item->letter);
}

void news_end(struct news *news, const struct message_request_end *end)
{
	struct item *item = item_create(news, ITEM_END);
	item->end = *end;
	mailbox_post(news->home, &item->letter);
}

void news_broken(struct news *news, const struct epoch *epoch, const struct device_id *device,
		 const struct fail *why)
{
	struct item *item = item_create(news, ITEM_BROKEN);
	item->epoch = *epoch;
	item->broken.has_device = device != NULL;
	if (device)
		item->broken.device = *device;
	item->broken.why = *why;
	mailbox_post(news->home, &item->letter);
}

void news_connected(struct news *news, const struct epoch *epoch)
{
	struct item *item = item_create(news, ITEM_CONNECTED);
	item->epoch = *epoch;
	mailbox_post(news->home, &item->letter);
}

void news_load(struct news *news)
{
	struct item *item = item_create(news, ITEM_LOAD);
	mailbox_post(news->home, &item->letter);
}

void news_stopped(struct news *news, void (*stopped)(void *context), void *context)
{
	struct item *item = item_create(news, ITEM_STOPPED);
	item->stopped.call = stopped;
	item->stopped.context = context;
	mailbox_post(news->home, &item->letter);
}
