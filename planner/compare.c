#include "planner/compare.h"

#include "planner/forecast.h"
#include "planner/halda.h"
#include "planner/paper.h"

#include <stdio.h>
#include <string.h>

#define CELL_BYTES 40 /* of a column of the text, its end included */

/* By our forecast, or where that cannot hold the plan, by the figures that the plan has. */
static double turn_of(const struct plan *plan, const struct plan_candidate *candidates,
		      uint32_t n_candidates, const struct model_facts *facts,
		      const struct plan_options *options)
{
	struct plan_forecast forecast;
	struct fail ignored;
	if (plan_forecast(&forecast, plan, candidates, n_candidates, facts, options, &ignored) == 0)
		return forecast.turn_s;
	return plan->first_token_s + (options->turn.tokens_out - 1) * plan->token_s;
}

int plan_compare(struct plan_comparison *comparison, const struct plan_candidate *candidates,
		 uint32_t n_candidates, const struct model_facts *facts,
		 const struct plan_options *options, struct fail *fail)
{
	struct plan_options both = *options;
	both.streaming = true;
	comparison->turn = options->turn;
	int rc = plan_make_paper(&comparison->paper, candidates, n_candidates, facts, &both,
				 &comparison->why_no_paper);
	comparison->has_paper = rc == 0;
	if (rc == -FAIL_INVALID) {
		*fail = comparison->why_no_paper;
		return rc;
	}
	if (comparison->has_paper)
		comparison->paper_turn_s =
			turn_of(&comparison->paper, candidates, n_candidates, facts, &both);
	rc = plan_make(&comparison->ours, candidates, n_candidates, facts, &both, fail);
	if (rc == 0)
		comparison->ours_turn_s =
			turn_of(&comparison->ours, candidates, n_candidates, facts, &both);
	return rc;
}

/* ---- in words ---- */

typedef void cell_text(const struct plan *plan, char text[CELL_BYTES]);

static void first_token(const struct plan *plan, char text[CELL_BYTES])
{
	snprintf(text, CELL_BYTES, "%.3g s", plan->first_token_s);
}

static void token(const struct plan *plan, char text[CELL_BYTES])
{
	snprintf(text, CELL_BYTES, "%.3g ms", 1e3 * plan->token_s);
}

static void speed(const struct plan *plan, char text[CELL_BYTES])
{
	snprintf(text, CELL_BYTES, "%.3g", plan->token_s > 0 ? 1 / plan->token_s : 0.0);
}

static void head(const struct plan *plan, char text[CELL_BYTES])
{
	snprintf(text, CELL_BYTES, "%.*s", CELL_BYTES - 1, plan->devices[plan->head].name);
}

static void rounds(const struct plan *plan, char text[CELL_BYTES])
{
	snprintf(text, CELL_BYTES, "%u", plan->rounds);
}

/* The layers of one device by count, and where its first window begins. */
static void layers(const struct plan *plan, const struct plan_device *device, char text[CELL_BYTES])
{
	const uint32_t index = (uint32_t)(device - plan->devices);
	snprintf(text, CELL_BYTES, "-");
	for (uint32_t i = plan->n_stages; i-- > 0;)
		if (plan->stages[i].group[0].device == index)
			snprintf(text, CELL_BYTES, "%u, from %u on", device->n_layers,
				 plan->stages[i].first_layer);
}

static void line(struct buf *out, const char *name, const char *ours, const char *paper)
{
	buf_printf(out, "%-24.24s %-24s %s\n", name, ours, paper);
}

static bool holds(const struct plan *plan, uint32_t device)
{
	return plan->devices[device].n_layers > 0;
}

static void text_layers(const struct plan_comparison *comparison, struct buf *out)
{
	const struct plan *ours = &comparison->ours, *paper = &comparison->paper;
	for (uint32_t i = 0; i < ours->n_devices; i++) {
		char left[CELL_BYTES], right[CELL_BYTES] = "";
		if (!holds(ours, i) && !(comparison->has_paper && holds(paper, i)))
			continue;
		layers(ours, &ours->devices[i], left);
		if (comparison->has_paper)
			layers(paper, &paper->devices[i], right);
		line(out, ours->devices[i].name, left, right);
	}
}

static void text_turns(const struct plan_comparison *comparison, struct buf *out)
{
	char name[CELL_BYTES], left[CELL_BYTES], right[CELL_BYTES] = "none";
	snprintf(name, sizeof(name), "turn of %u in, %u out", comparison->turn.tokens_in,
		 comparison->turn.tokens_out);
	snprintf(left, sizeof(left), "%.4g s", comparison->ours_turn_s);
	if (comparison->has_paper)
		snprintf(right, sizeof(right), "%.4g s", comparison->paper_turn_s);
	line(out, name, left, right);
}

void plan_comparison_text(const struct plan_comparison *comparison, const char *model_name,
			  struct buf *out)
{
	static const struct {
		const char *name;
		cell_text *text;
	} rows[] = {
		{ "first token after", first_token },
		{ "then a token in", token },
		{ "tokens a second", speed },
		{ "head", head },
		{ "rounds", rounds },
	};
	line(out, model_name ? model_name : "", "primad", "the paper's method");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char left[CELL_BYTES], right[CELL_BYTES] = "none";
		rows[i].text(&comparison->ours, left);
		if (comparison->has_paper)
			rows[i].text(&comparison->paper, right);
		line(out, rows[i].name, left, right);
	}
	text_turns(comparison, out);
	buf_printf(out, "layers\n");
	text_layers(comparison, out);
	buf_printf(out, "limit of primad's plan: %s\n", comparison->ours.limit);
	buf_printf(out, "limit of the paper's plan: %s\n",
		   comparison->has_paper ? comparison->paper.limit : comparison->why_no_paper.text);
}
