#include "daemon/news.h"

#include "base/list.h"
#include "base/log.h"

#include <stdlib.h>

/* ---- in any number ---- */

struct item {
	struct letter letter;
	const struct news *news;
	bool is_end;
	union {
		struct message_tokens tokens;
		struct message_request_end end;
	};
};

static void deliver_item(struct letter *letter)
{
	struct item *item = (struct item *)letter;
	const struct news *news = item->news;
	if (item->is_end)
		news->events.request_end(news->context, &item->end);
	else
		news->events.tokens(news->context, &item->tokens);
	free(item);
}

static struct item *item_create(const struct news *news)
{
	struct item *item = calloc(1, sizeof(*item));
	if (!item) {
		log_warn("ring", "no memory to tell how a request goes on: its owner will ask");
		return NULL;
	}
	item->letter.handle = deliver_item;
	item->news = news;
	return item;
}

void news_tokens(struct news *news, const struct message_tokens *tokens)
{
	struct item *item = item_create(news);
	if (!item)
		return;
	item->tokens = *tokens;
	mailbox_post(news->home, &item->letter);
}

void news_end(struct news *news, const struct message_request_end *end)
{
	struct item *item = item_create(news);
	if (!item)
		return;
	item->is_end = true;
	item->end = *end;
	mailbox_post(news->home, &item->letter);
}

/* ---- one of a kind ---- */

static void deliver_load(struct letter *letter)
{
	struct news_place *place = (struct news_place *)letter;
	const struct news *news = place->news;
	atomic_store(&place->posted, false);
	news->events.load(news->context);
}

static void deliver_connected(struct letter *letter)
{
	struct news_place *place = (struct news_place *)letter;
	const struct news *news = place->news;
	const struct epoch epoch = place->epoch;
	atomic_store(&place->posted, false);
	news->events.connected(news->context, &epoch);
}

static void deliver_broken(struct letter *letter)
{
	struct news_place *place = (struct news_place *)letter;
	const struct news *news = place->news;
	const struct epoch epoch = place->epoch;
	const struct device_id device = place->device;
	const bool has_device = place->has_device;
	const struct fail why = place->why;
	atomic_store(&place->posted, false);
	news->events.broken(news->context, &epoch, has_device ? &device : NULL, &why);
}

static void deliver_stopped(struct letter *letter)
{
	struct news_place *place = (struct news_place *)letter;
	void (*stopped)(void *) = place->stopped;
	void *context = place->context;
	atomic_store(&place->posted, false);
	stopped(context);
}

void news_init(struct news *news, struct mailbox *home, const struct ring_events *events,
	       void *context)
{
	static void (*const deliver[NEWS_KINDS])(struct letter *) = {
		[NEWS_LOAD] = deliver_load,       [NEWS_CONNECTED] = deliver_connected,
		[NEWS_CLOSED] = deliver_broken,   [NEWS_BROKEN] = deliver_broken,
		[NEWS_STOPPED] = deliver_stopped,
	};
	news->home = home;
	news->events = *events;
	news->context = context;
	for (int i = 0; i < NEWS_KINDS; i++) {
		news->places[i].letter.handle = deliver[i];
		news->places[i].news = news;
		atomic_init(&news->places[i].posted, false);
	}
}

/* NULL: it was told and not heard yet, which is as good. */
static struct news_place *take(struct news *news, enum news_kind kind)
{
	struct news_place *place = &news->places[kind];
	return atomic_exchange(&place->posted, true) ? NULL : place;
}

void news_broken(struct news *news, const struct epoch *epoch, const struct device_id *device,
		 const struct fail *why)
{
	struct news_place *place =
		take(news, why->code == FAIL_CANCELLED ? NEWS_CLOSED : NEWS_BROKEN);
	if (!place)
		return;
	place->epoch = *epoch;
	place->has_device = device != NULL;
	if (device)
		place->device = *device;
	place->why = *why;
	mailbox_post(news->home, &place->letter);
}

void news_connected(struct news *news, const struct epoch *epoch)
{
	struct news_place *place = take(news, NEWS_CONNECTED);
	if (!place)
		return;
	place->epoch = *epoch;
	mailbox_post(news->home, &place->letter);
}

void news_load(struct news *news)
{
	struct news_place *place = take(news, NEWS_LOAD);
	if (place)
		mailbox_post(news->home, &place->letter);
}

void news_stopped(struct news *news, void (*stopped)(void *context), void *context)
{
	struct news_place *place = take(news, NEWS_STOPPED);
	if (!place)
		return; /* ring_stop is not called again before it was heard */
	place->stopped = stopped;
	place->context = context;
	mailbox_post(news->home, &place->letter);
}
