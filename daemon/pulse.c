#include "daemon/pulse.h"

#define NOT_ASKED (-1)

void pulse_init(struct pulse *pulse)
{
	atomic_init(&pulse->asked_ms, NOT_ASKED);
	atomic_init(&pulse->moved_ms, 0);
	atomic_init(&pulse->busy, 0);
	atomic_init(&pulse->stands_in, false);
}

bool pulse_ask(struct pulse *pulse, int64_t now_ms)
{
	int_fast64_t none = NOT_ASKED;
	return atomic_compare_exchange_strong(&pulse->asked_ms, &none, now_ms);
}

void pulse_answer(struct pulse *pulse)
{
	atomic_store(&pulse->asked_ms, NOT_ASKED);
}

void pulse_begin(struct pulse *pulse, int64_t now_ms)
{
	if (atomic_load(&pulse->busy) == 0)
		atomic_store(&pulse->moved_ms, now_ms); /* before it counts as busy */
	atomic_fetch_add(&pulse->busy, 1);
}

void pulse_move(struct pulse *pulse, int64_t now_ms)
{
	atomic_store(&pulse->moved_ms, now_ms);
}

void pulse_end(struct pulse *pulse)
{
	atomic_fetch_sub(&pulse->busy, 1);
}

void pulse_stand_in(struct pulse *pulse, bool on)
{
	atomic_store(&pulse->stands_in, on);
}

bool pulse_stuck(const struct pulse *pulse, int64_t now_ms)
{
	const int64_t asked_ms = atomic_load(&pulse->asked_ms);
	if (asked_ms != NOT_ASKED && !atomic_load(&pulse->stands_in) &&
	    now_ms - asked_ms > PULSE_ANSWER_MS)
		return true;
	return atomic_load(&pulse->busy) > 0 && now_ms - atomic_load(&pulse->moved_ms) > PULSE_WORK_MS;
}
