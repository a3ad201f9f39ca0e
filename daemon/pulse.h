/* pulse.h: signs of life of two threads, for the one that feeds the watchdog: the asker sends the first
 * a letter from time to time, which it answers; the second moves while it has work. A long silence
 * is a stand-still. Any thread; times are clock_ms. */
#ifndef DAEMON_PULSE_H
#define DAEMON_PULSE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define PULSE_ANSWER_MS 10000 /* from a letter to its answer */
#define PULSE_WORK_MS   90000 /* one piece of work: a long prompt's chunk on a slow device */

struct pulse {
	atomic_int_fast64_t asked_ms; /* -1: no letter is under way */
	atomic_int_fast64_t moved_ms;
	atomic_uint busy; /* groups of work given and not done */
	atomic_bool stands_in;
};

void pulse_init(struct pulse *pulse);
bool pulse_ask(struct pulse *pulse, int64_t now_ms); /* true: send the letter */
void pulse_answer(struct pulse *pulse);
void pulse_begin(struct pulse *pulse, int64_t now_ms); /* before a group of work is given */
void pulse_move(struct pulse *pulse, int64_t now_ms);  /* a piece of it is done */
void pulse_end(struct pulse *pulse);
/* The first does the second's work itself for a while: then it is not expected to answer. */
void pulse_stand_in(struct pulse *pulse, bool on);
bool pulse_stuck(const struct pulse *pulse, int64_t now_ms);

#endif
