/* tally.h: what the ring thread counts and everybody may read, and the word to the loop thread when
 * the head gets or loses its last request: after the counters say so, since who is told reads them. */
#ifndef DAEMON_TALLY_H
#define DAEMON_TALLY_H

#include "daemon/head.h"
#include "daemon/news.h"

#include <pthread.h>

struct tally {
	pthread_mutex_t lock; /* of the counters: written by the ring thread alone */
	struct ring_counters counters;
	struct news *news;
	bool busy_told;
};

void tally_init(struct tally *tally, struct news *news);
void tally_finish(struct tally *tally);
/* Ring thread. Bytes of flights, and what the head counts (NULL: this device is none). */
void tally_add(struct tally *tally, uint64_t sent, uint64_t received, const struct head *head);
void tally_rest(struct tally *tally); /* ring thread: the epoch is over, nothing runs */
void tally_read(struct tally *tally, struct ring_counters *counters); /* any thread */

#endif
