/* wants.h: which models are wanted, since when, and whose turn it is. Pure: time comes in.
 *
 * A home serves one plan at a time. When several models are wanted they take turns: one that is
 * served keeps its place until its parts were ready once and its requests have ended; when another
 * has waited WANTS_TURN_MS its head starts no more of those that wait, so that this happens. */
#ifndef DAEMON_WANTS_H
#define DAEMON_WANTS_H

#include "proto/id.h"

#include <stdbool.h>
#include <stdint.h>

#define WANTS_MAX     16
#define WANTS_LAST_MS 5000  /* who waits says so again and again */
#define WANTS_TURN_MS 3000  /* another waits at least so long before requests are held back */
#define WANTS_LOAD_MS 60000 /* a plan whose parts are not ready keeps its place so long */

struct want {
	struct model_id model;
	int64_t first_ms, last_ms;
};

struct wants {
	struct want list[WANTS_MAX];
	uint32_t n;
};

/* Notes a want, or that it lasts. True when it is a new one. More than WANTS_MAX are not noted. */
bool wants_note(struct wants *wants, const struct model_id *model, int64_t now_ms);
/* It is served now, or cannot be. */
void wants_drop(struct wants *wants, const struct model_id *model);
/* Forgets those that nobody has repeated for WANTS_LAST_MS. */
void wants_expire(struct wants *wants, int64_t now_ms);
bool wants_has(const struct wants *wants, const struct model_id *model, int64_t now_ms);
/* Of those that last, the one that has waited longest; NULL: none. */
const struct want *wants_next(const struct wants *wants, int64_t now_ms);

/* How far the plan in force is. */
struct tenure {
	int64_t since_ms; /* when it was agreed */
	int64_t ready_ms; /* when all parts were ready; 0: not yet */
	bool used;        /* requests have run on it */
	uint32_t running; /* run on it now */
};

enum turn {
	TURN_WAIT, /* not yet */
	TURN_HOLD, /* nor yet, but the head starts no more requests */
	TURN_NOW   /* the plan in force may be replaced */
};

enum turn wants_turn(const struct want *next, const struct tenure *tenure, int64_t now_ms);

#endif
