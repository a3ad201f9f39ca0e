#include "base/clock.h"
#include "daemon/ring_inside.h"

/* Where a hop is computed. Letters to the leader and back cost two changes of threads, which is
 * more than a short row takes; and what this thread would do meanwhile it does as well some
 * milliseconds later. So a single row that took little the last time is computed here, one for each
 * turn of the loop, when the leader has nothing; all else goes to the leader. The order of hops is
 * kept: as soon as the leader has one, those behind it follow it there. */

#define SHORT_US 20000

static void take_result(struct hop *hop, const struct work *work)
{
	pulse_move(&hop->ring->pulse, clock_ms());
	hop->n_done++;
	hop->busy_us += work->busy_us;
	if (work->code && !hop->code)
		hop->code = work->code;
}

static void end_works(struct hop *hop)
{
	if (hop->after_works && !hop->code)
		hop->after_works(hop);
}

/* This thread has the hop back. */
static void computed(struct hop *hop)
{
	struct ring *ring = hop->ring;
	pulse_end(&ring->pulse);
	if (hop->flight.n_rows == 1 && !hop->code)
		ring->line.row_us[hop->phase] = hop->busy_us;
	ring_hop_computed(hop);
}

/* ---- on the leader ---- */

static void on_work_done(struct work *work)
{
	struct hop *hop = work->context;
	take_result(hop, work);
	if (hop->n_done < hop->n_works)
		return;
	end_works(hop);
	mailbox_post(hop->ring->inbox, &hop->letter);
}

static void lead(struct ring *ring, struct hop *hop)
{
	ring->line.led++;
	const uint32_t n = hop->n_works; /* once submitted, the hop's counts are the leader's */
	for (uint32_t i = hop->n_done; i < n; i++)
		slice_submit(ring->epoch->slice, &hop->works[i]);
}

void ring_line_letter(struct letter *letter)
{
	struct hop *hop = LIST_ITEM(letter, struct hop, letter);
	hop->ring->line.led--;
	computed(hop);
}

/* ---- here ---- */

static bool is_for_here(const struct ring *ring, const struct hop *hop)
{
	const int64_t expected_us = ring->line.row_us[hop->phase];
	return ring->line.led == 0 && hop->flight.n_rows <= 1 && expected_us >= 0 &&
	       expected_us <= SHORT_US;
}

/* False: the leader has to go on with it. */
static bool compute_here(struct ring *ring, struct hop *hop)
{
	bool taken = true;
	pulse_stand_in(&ring->pulse, true);
	while (taken && hop->n_done < hop->n_works) {
		struct work *work = &hop->works[hop->n_done];
		taken = slice_run_here(ring->epoch->slice, work);
		if (taken)
			take_result(hop, work);
	}
	if (taken)
		end_works(hop);
	pulse_stand_in(&ring->pulse, false);
	return taken;
}

/* ---- the line ---- */

static struct hop *pop(struct ring_line *line)
{
	struct hop *hop = line->first;
	line->first = hop->next;
	return hop;
}

static void append(struct ring_line *line, struct hop *hop)
{
	hop->next = NULL;
	if (line->first)
		line->last->next = hop;
	else
		line->first = hop;
	line->last = hop;
}

static void on_turn(uv_idle_t *turn);

/* Gives the leader what is not for here; what is waits for the next turn. */
static void settle(struct ring *ring)
{
	struct ring_line *line = &ring->line;
	while (line->first && !is_for_here(ring, line->first))
		lead(ring, pop(line));
	if (line->first)
		uv_idle_start(&line->turn, on_turn);
	else
		uv_idle_stop(&line->turn);
}

static void on_turn(uv_idle_t *turn)
{
	struct ring *ring = turn->data;
	struct hop *hop = pop(&ring->line);
	if (compute_here(ring, hop))
		computed(hop);
	else
		lead(ring, hop);
	settle(ring);
}

static void prepare(struct ring *ring, struct hop *hop)
{
	hop->code = FAIL_NONE;
	hop->n_done = 0;
	hop->busy_us = 0;
	for (uint32_t i = 0; i < hop->n_works; i++) {
		hop->works[i].cancel = &ring->epoch->cancel;
		hop->works[i].done = on_work_done;
		hop->works[i].context = hop;
	}
	pulse_begin(&ring->pulse, clock_ms());
}

void ring_hop_compute(struct ring *ring, struct hop *hop)
{
	prepare(ring, hop);
	/* next to nothing, and a flight leaves before anybody is told of the token in it */
	if (hop->phase == HOP_EMBED && !ring->line.first && is_for_here(ring, hop) &&
	    compute_here(ring, hop)) {
		computed(hop);
		return;
	}
	append(&ring->line, hop);
	settle(ring);
}

void ring_line_forget(struct ring *ring)
{
	for (uint32_t i = 0; i < HOP_PHASES; i++)
		ring->line.row_us[i] = -1;
}

void ring_line_init(struct ring *ring)
{
	uv_idle_init(&ring->loop, &ring->line.turn);
	ring->line.turn.data = ring;
	ring_line_forget(ring);
}

void ring_line_close(struct ring *ring)
{
	uv_close((uv_handle_t *)&ring->line.turn, NULL);
}
