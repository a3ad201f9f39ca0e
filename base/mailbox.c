#include "base/mailbox.h"

#include <pthread.h>
#include <stdlib.h>

struct mailbox {
	uv_async_t wake;
	pthread_mutex_t lock; /* guards first and last */
	struct letter *first;
	struct letter **last;
};

static struct letter *take_all(struct mailbox *mailbox)
{
	pthread_mutex_lock(&mailbox->lock);
	struct letter *first = mailbox->first;
	mailbox->first = NULL;
	mailbox->last = &mailbox->first;
	pthread_mutex_unlock(&mailbox->lock);
	return first;
}

static void handle_all(struct mailbox *mailbox)
{
	struct letter *letter = take_all(mailbox);
	while (letter) {
		struct letter *next = letter->next;
		letter->handle(letter);
		letter = next;
	}
}

static void on_wake(uv_async_t *wake)
{
	handle_all(wake->data);
}

struct mailbox *mailbox_create(uv_loop_t *loop)
{
	struct mailbox *mailbox = calloc(1, sizeof(*mailbox));
	if (!mailbox)
		return NULL;
	mailbox->last = &mailbox->first;
	mailbox->wake.data = mailbox;
	pthread_mutex_init(&mailbox->lock, NULL);
	if (uv_async_init(loop, &mailbox->wake, on_wake) != 0) {
		pthread_mutex_destroy(&mailbox->lock);
		free(mailbox);
		return NULL;
	}
	return mailbox;
}

void mailbox_post(struct mailbox *mailbox, struct letter *letter)
{
	letter->next = NULL;
	pthread_mutex_lock(&mailbox->lock);
	*mailbox->last = letter;
	mailbox->last = &letter->next;
	/* inside the lock: after it the owner may already have closed the mailbox */
	uv_async_send(&mailbox->wake);
	pthread_mutex_unlock(&mailbox->lock);
}

static void on_closed(uv_handle_t *handle)
{
	struct mailbox *mailbox = handle->data;
	pthread_mutex_destroy(&mailbox->lock);
	free(mailbox);
}

void mailbox_close(struct mailbox *mailbox)
{
	handle_all(mailbox);
	uv_close((uv_handle_t *)&mailbox->wake, on_closed);
}
