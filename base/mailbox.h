/* mailbox.h: the one way between threads: letters posted from any thread, handled in order on the
 * loop that owns the mailbox. A letter is embedded in what it is about; nobody allocates. */
#ifndef DAEMON_MAILBOX_H
#define DAEMON_MAILBOX_H

#include <uv.h>

struct letter {
	struct letter *next;
	void (*handle)(struct letter *letter); /* on the owner's thread; may post or free it */
};

struct mailbox;

struct mailbox *mailbox_create(uv_loop_t *loop); /* gives; NULL when memory is short */
void mailbox_post(struct mailbox *mailbox, struct letter *letter); /* any thread */
/* Owner's thread. Handles what was posted before, then frees itself on a later turn of the loop.
 * Nobody may post any more. */
void mailbox_close(struct mailbox *mailbox);

#endif
