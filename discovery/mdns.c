#include "discovery/mdns.h"

#include "base/list.h"
#include "base/log.h"
#include "base/mailbox.h"
#include "discovery/mdns_service.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TXT_MAX     512  /* of a record, either way: ours are far shorter */
#define PATIENCE_MS 2000 /* at the end, for a service that hangs */

/* The owner's thread and the service's send each other letters. When the service hangs at the end,
 * the owner leaves: the thread then finds `home` gone, and frees what is left itself. */
struct mdns {
	struct mdns_events events;
	void *context;
	char name[MDNS_NAME_BYTES]; /* as told last */
	uv_timer_t *patience;
	bool closing;
	void (*closed)(void *context);
	void *closed_context;

	pthread_mutex_t lock; /* of `home` */
	struct mailbox *home; /* NULL: the owner has left */
	struct letter end, ended;

	/* the service's thread */
	uv_loop_t loop;
	pthread_t thread;
	struct mailbox *inbox;
	struct mdns_service *service;
};

/* ---- from the service's thread to the owner ---- */

enum word_kind { WORD_SEEN, WORD_UNSEEN, WORD_UNSEEN_ALL, WORD_STATE };

struct word {
	struct letter letter;
	struct mdns *mdns;
	enum word_kind kind;
	struct mdns_sighting sighting; /* SEEN, UNSEEN */
	uint8_t family;                /* UNSEEN */
	uint8_t txt[TXT_MAX];
	enum mdns_state state;
	char why[160];
	char own_name[MDNS_NAME_BYTES];
};

static void tell(struct mdns *mdns, const struct word *word)
{
	switch (word->kind) {
	case WORD_SEEN:
		mdns->events.seen(mdns->context, &word->sighting);
		break;
	case WORD_UNSEEN:
		mdns->events.unseen(mdns->context, word->sighting.name, word->sighting.interface,
				    word->family);
		break;
	case WORD_UNSEEN_ALL:
		mdns->events.unseen_all(mdns->context);
		break;
	case WORD_STATE:
		mdns->events.state(mdns->context, word->state, word->why);
		break;
	}
}

static void hear_word(struct letter *letter)
{
	struct word *word = (struct word *)letter;
	struct mdns *mdns = word->mdns;
	memcpy(mdns->name, word->own_name, sizeof(mdns->name));
	if (!mdns->closing)
		tell(mdns, word);
	free(word);
}

/* False when the owner has left. */
static bool post_home(struct mdns *mdns, struct letter *letter)
{
	pthread_mutex_lock(&mdns->lock);
	const bool there = mdns->home != NULL;
	if (there)
		mailbox_post(mdns->home, letter);
	pthread_mutex_unlock(&mdns->lock);
	return there;
}

static struct word *word_create(struct mdns *mdns, enum word_kind kind)
{
	struct word *word = calloc(1, sizeof(*word));
	if (!word) {
		log_warn("mdns", "no memory to tell what was found");
		return NULL;
	}
	word->letter.handle = hear_word;
	word->mdns = mdns;
	word->kind = kind;
	return word;
}

static void word_send(struct word *word)
{
	struct mdns *mdns = word->mdns;
	if (mdns->service) /* not while it is made */
		snprintf(word->own_name, sizeof(word->own_name), "%s",
			 mdns_service_name(mdns->service));
	if (!post_home(mdns, &word->letter))
		free(word);
}

static void on_seen(void *context, const struct mdns_sighting *sighting)
{
	struct word *word = sighting->txt_size <= TXT_MAX ? word_create(context, WORD_SEEN) : NULL;
	if (!word)
		return;
	word->sighting = *sighting;
	if (sighting->txt_size)
		memcpy(word->txt, sighting->txt, sighting->txt_size);
	word->sighting.txt = word->txt;
	word_send(word);
}

static void on_unseen(void *context, const char *name, uint32_t interface, uint8_t family)
{
	struct word *word = word_create(context, WORD_UNSEEN);
	if (!word)
		return;
	snprintf(word->sighting.name, sizeof(word->sighting.name), "%s", name);
	word->sighting.interface = interface;
	word->family = family;
	word_send(word);
}

static void on_unseen_all(void *context)
{
	struct word *word = word_create(context, WORD_UNSEEN_ALL);
	if (word)
		word_send(word);
}

static void on_state(void *context, enum mdns_state state, const char *why)
{
	struct word *word = word_create(context, WORD_STATE);
	if (!word)
		return;
	word->state = state;
	snprintf(word->why, sizeof(word->why), "%s", why);
	word_send(word);
}

/* ---- from the owner to the service's thread ---- */

struct publication {
	struct letter letter;
	struct mdns *mdns;
	uint16_t port;
	size_t size;
	uint8_t txt[TXT_MAX];
};

static void do_publish(struct letter *letter)
{
	struct publication *publication = (struct publication *)letter;
	struct mdns *mdns = publication->mdns;
	if (mdns->service)
		mdns_service_publish(mdns->service, publication->port, publication->txt,
				     publication->size);
	free(publication);
}

void mdns_publish(struct mdns *mdns, uint16_t port, const void *txt, size_t txt_size)
{
	struct publication *publication =
		txt_size <= TXT_MAX ? calloc(1, sizeof(*publication)) : NULL;
	if (!publication) {
		log_warn("mdns", "no memory to publish this device");
		return;
	}
	publication->letter.handle = do_publish;
	publication->mdns = mdns;
	publication->port = port;
	publication->size = txt_size;
	memcpy(publication->txt, txt, txt_size);
	mailbox_post(mdns->inbox, &publication->letter);
}

const char *mdns_name(const struct mdns *mdns)
{
	return mdns->name;
}

/* ---- the thread ---- */

static void mdns_free(struct mdns *mdns)
{
	uv_loop_close(&mdns->loop);
	pthread_mutex_destroy(&mdns->lock);
	free(mdns);
}

static void *run_thread(void *argument)
{
	static const struct mdns_events events = { on_seen, on_unseen, on_unseen_all, on_state };
	struct mdns *mdns = argument;
	mdns->service = mdns_service_create(&mdns->loop, &events, mdns);
	if (!mdns->service)
		on_state(mdns, MDNS_STATE_ABSENT, "no memory to look for other devices");
	uv_run(&mdns->loop, UV_RUN_DEFAULT);
	if (!post_home(mdns, &mdns->ended))
		mdns_free(mdns);
	return NULL;
}

static void on_service_closed(void *context)
{
	struct mdns *mdns = context;
	mdns->service = NULL;
}

static void do_end(struct letter *letter)
{
	struct mdns *mdns = LIST_ITEM(letter, struct mdns, end);
	mailbox_close(mdns->inbox);
	if (mdns->service)
		mdns_service_destroy(mdns->service, on_service_closed, mdns);
}

/* ---- life ---- */

static void free_timer(uv_handle_t *handle)
{
	free(handle);
}

static void leave(struct mdns *mdns)
{
	void (*closed)(void *) = mdns->closed;
	void *context = mdns->closed_context;
	pthread_mutex_lock(&mdns->lock);
	struct mailbox *home = mdns->home;
	mdns->home = NULL;
	pthread_mutex_unlock(&mdns->lock);
	uv_close((uv_handle_t *)mdns->patience, free_timer);
	mailbox_close(home);
	if (closed)
		closed(context);
}

static void on_ended(struct letter *letter)
{
	struct mdns *mdns = LIST_ITEM(letter, struct mdns, ended);
	pthread_join(mdns->thread, NULL);
	leave(mdns);
	mdns_free(mdns);
}

static void on_patience_over(uv_timer_t *timer)
{
	struct mdns *mdns = timer->data;
	log_warn("mdns", "the mDNS service does not answer: it is left as it is");
	pthread_detach(mdns->thread);
	leave(mdns);
}

void mdns_destroy(struct mdns *mdns, void (*closed)(void *context), void *context)
{
	mdns->closing = true;
	mdns->closed = closed;
	mdns->closed_context = context;
	mailbox_post(mdns->inbox, &mdns->end);
	uv_timer_start(mdns->patience, on_patience_over, PATIENCE_MS, 0);
}

static bool start(struct mdns *mdns, uv_loop_t *loop)
{
	mdns->home = mailbox_create(loop);
	mdns->inbox = mdns->home ? mailbox_create(&mdns->loop) : NULL;
	mdns->patience = mdns->inbox ? malloc(sizeof(*mdns->patience)) : NULL;
	if (!mdns->patience)
		return false;
	uv_timer_init(loop, mdns->patience);
	mdns->patience->data = mdns;
	if (pthread_create(&mdns->thread, NULL, run_thread, mdns) == 0)
		return true;
	uv_close((uv_handle_t *)mdns->patience, free_timer);
	return false;
}

struct mdns *mdns_create(uv_loop_t *loop, const struct mdns_events *events, void *context)
{
	struct mdns *mdns = calloc(1, sizeof(*mdns));
	if (!mdns || uv_loop_init(&mdns->loop) != 0) {
		free(mdns);
		return NULL;
	}
	mdns->events = *events;
	mdns->context = context;
	mdns->end.handle = do_end;
	mdns->ended.handle = on_ended;
	pthread_mutex_init(&mdns->lock, NULL);
	if (start(mdns, loop))
		return mdns;
	if (mdns->inbox)
		mailbox_close(mdns->inbox);
	if (mdns->home)
		mailbox_close(mdns->home);
	uv_run(&mdns->loop, UV_RUN_DEFAULT);
	mdns_free(mdns);
	return NULL;
}
