#include "daemon/wants.h"

#include <stddef.h>

static struct want *find(struct wants *wants, const struct model_id *model)
{
	for (uint32_t i = 0; i < wants->n; i++)
		if (model_id_equal(&wants->list[i].model, model))
			return &wants->list[i];
	return NULL;
}

static bool lasts(const struct want *want, int64_t now_ms)
{
	return now_ms - want->last_ms < WANTS_LAST_MS;
}

bool wants_note(struct wants *wants, const struct model_id *model, int64_t now_ms)
{
	wants_expire(wants, now_ms);
	struct want *want = find(wants, model);
	const bool is_new = !want && wants->n < WANTS_MAX;
	if (is_new) {
		want = &wants->list[wants->n++];
		*want = (struct want){ .model = *model, .first_ms = now_ms };
	}
	if (want)
		want->last_ms = now_ms;
	return is_new;
}

void wants_drop(struct wants *wants, const struct model_id *model)
{
	struct want *want = find(wants, model);
	if (want)
		*want = wants->list[--wants->n];
}

void wants_expire(struct wants *wants, int64_t now_ms)
{
	for (uint32_t i = wants->n; i-- > 0;)
		if (!lasts(&wants->list[i], now_ms))
			wants->list[i] = wants->list[--wants->n];
}

bool wants_has(const struct wants *wants, const struct model_id *model, int64_t now_ms)
{
	for (uint32_t i = 0; i < wants->n; i++)
		if (model_id_equal(&wants->list[i].model, model))
			return lasts(&wants->list[i], now_ms);
	return false;
}

const struct want *wants_next(const struct wants *wants, int64_t now_ms)
{
	const struct want *next = NULL;
	for (uint32_t i = 0; i < wants->n; i++) {
		const struct want *want = &wants->list[i];
		if (lasts(want, now_ms) && (!next || want->first_ms < next->first_ms))
			next = want;
	}
	return next;
}

enum turn wants_turn(const struct want *next, const struct tenure *tenure, int64_t now_ms)
{
	if (tenure->running > 0)
		return now_ms - next->first_ms >= WANTS_TURN_MS ? TURN_HOLD : TURN_WAIT;
	if (tenure->used)
		return TURN_NOW;
	if (!tenure->ready_ms)
		return now_ms - tenure->since_ms >= WANTS_LOAD_MS ? TURN_NOW : TURN_WAIT;
	return now_ms - tenure->ready_ms >= WANTS_TURN_MS ? TURN_NOW : TURN_WAIT;
}
