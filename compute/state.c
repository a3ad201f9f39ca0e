#include "compute/state.h"

#include "compute/pages.h"
#include "compute/recurrent.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define NO_SLOT UINT32_MAX
/* Distinct windows of a model's layers, no window counted too; layers of further ones keep all. */
#define GROUPS_MAX 4u
/* Sequences that recurrent layers have room for, where the configuration does not say. */
#define RECURRENT_SEQUENCES 4u

enum slot_kind { SLOT_FREE, SLOT_SEQUENCE, SLOT_CHECKPOINT };

struct slot {
	enum slot_kind kind;
	uint32_t sequence;
	uint32_t number;  /* of a checkpoint */
	uint32_t pending; /* rows prepared, not yet committed */
};

/* Layers with the same window. */
struct group {
	uint32_t window;
	size_t page_bytes;
	struct pages *pages; /* a table for each slot */
};

struct part {
	struct state_layer shape;
	uint32_t group;
	size_t at;          /* bytes from the start of a page of its group */
	uint32_t recurrent; /* its number among the recurrent layers */
};

struct state {
	struct account *account; /* borrowed; NULL until charged */
	uint64_t bytes;
	enum kv_kind kind;
	uint32_t n_layers, pages_total;
	struct part *parts; /* [n_layers] */
	uint32_t n_groups;
	struct group groups[GROUPS_MAX];
	struct recurrent *recurrent; /* NULL: no layer is */
	uint32_t *lengths;           /* [STATE_SEQUENCES_MAX, n_layers] */
	struct slot slots[STATE_SEQUENCES_MAX];
	atomic_uint n_sequences; /* for state_counts */
};

/* ---- memory ---- */

static uint32_t pages_for(uint32_t positions)
{
	return positions / STATE_PAGE + (positions % STATE_PAGE != 0);
}

/* The first position that the row at `position` and those up to KV_TRIM_BACK before it see. */
static uint32_t oldest_seen(uint32_t window, uint32_t position)
{
	const uint64_t back = (uint64_t)window - 1 + KV_TRIM_BACK;
	return window == 0 || position < back ? 0 : (uint32_t)(position - back);
}

/* Pages of all sequences together. */
static uint32_t count_pages(const struct state_config *config, uint32_t window)
{
	const uint32_t all = pages_for(config->positions);
	if (window == 0 || config->sequences == 0)
		return all;
	/* so many positions in a row lie in at most one page more than they fill */
	const uint64_t kept = (uint64_t)window - 1 + KV_TRIM_BACK + config->rows_max;
	const uint64_t pages = ((kept + STATE_PAGE - 2) / STATE_PAGE + 1) * config->sequences;
	return pages < all ? (uint32_t)pages : all;
}

static uint32_t find_group(struct group *groups, uint32_t *n_groups, uint32_t window)
{
	for (uint32_t i = 0; i < *n_groups; i++)
		if (groups[i].window == window)
			return i;
	if (*n_groups == GROUPS_MAX)
		return 0;
	groups[*n_groups] = (struct group){ .window = window };
	return (*n_groups)++;
}

static size_t head_bytes(enum kv_kind kind, const struct state_layer *layer)
{
	return kv_head_bytes(kind, layer->head_k) + kv_head_bytes(kind, layer->head_v);
}

/* Groups the layers, and places each in its group's pages (`parts` may be NULL). Group 0 has no
 * window. */
static uint32_t group_layers(const struct state_config *config, struct group *groups,
			     struct part *parts)
{
	uint32_t n_groups = 1, n_recurrent = 0;
	groups[0] = (struct group){ .window = 0 };
	for (uint32_t i = 0; i < config->n_layers; i++) {
		const struct state_layer *layer = &config->layers[i];
		const uint32_t at = find_group(groups, &n_groups, layer->window);
		if (layer->recurrent) {
			if (parts)
				parts[i] =
					(struct part){ .shape = *layer, .recurrent = n_recurrent };
			n_recurrent++;
			continue;
		}
		if (layer->back) {
			if (parts) {
				parts[i] = parts[i - layer->back];
				parts[i].shape = *layer;
			}
			continue;
		}
		if (parts)
			parts[i] = (struct part){ *layer, at, groups[at].page_bytes, 0 };
		groups[at].page_bytes += layer->n_head_kv * head_bytes(config->kind, layer);
	}
	return n_groups;
}

static struct pages_config pages_config_of(const struct state_config *config,
					   const struct group *group)
{
	return (struct pages_config){
		.n_pages = count_pages(config, group->window),
		.page_bytes = group->page_bytes,
		.n_tables = STATE_SEQUENCES_MAX,
		.n_entries = pages_for(config->positions),
	};
}

/* Of each sequence a block in every recurrent layer, and another that is being written. */
static struct recurrent_config recurrent_config_of(const struct state_config *config)
{
	struct recurrent_config recurrent = { .n_slots = STATE_SEQUENCES_MAX };
	for (uint32_t i = 0; i < config->n_layers; i++) {
		const size_t bytes = config->layers[i].recurrent * sizeof(float);
		recurrent.n_layers += bytes > 0;
		recurrent.block_bytes =
			bytes > recurrent.block_bytes ? bytes : recurrent.block_bytes;
	}
	const uint32_t sequences = config->sequences ? config->sequences : RECURRENT_SEQUENCES;
	recurrent.n_blocks = 2 * sequences * recurrent.n_layers;
	return recurrent;
}

uint64_t state_bytes(const struct state_config *config)
{
	struct group groups[GROUPS_MAX];
	const uint32_t n_groups = group_layers(config, groups, NULL);
	const uint64_t per_layer = sizeof(uint32_t) * STATE_SEQUENCES_MAX + sizeof(struct part);
	uint64_t bytes = sizeof(struct state) + config->n_layers * per_layer;
	for (uint32_t i = 0; i < n_groups; i++) {
		const struct pages_config pages = pages_config_of(config, &groups[i]);
		bytes += groups[i].page_bytes > 0 ? pages_bytes(&pages) : 0;
	}
	const struct recurrent_config recurrent = recurrent_config_of(config);
	if (recurrent.n_layers)
		bytes += recurrent_bytes(&recurrent);
	return bytes;
}

static bool allocate(struct state *state, const struct state_config *config)
{
	state->parts = calloc(config->n_layers, sizeof(*state->parts));
	state->lengths = calloc((size_t)config->n_layers * STATE_SEQUENCES_MAX, sizeof(uint32_t));
	if (!state->parts || !state->lengths)
		return false;
	state->n_groups = group_layers(config, state->groups, state->parts);
	for (uint32_t i = 0; i < state->n_groups; i++) {
		struct group *group = &state->groups[i];
		const struct pages_config pages = pages_config_of(config, group);
		if (group->page_bytes == 0)
			continue;
		group->pages = pages_create(&pages);
		if (!group->pages)
			return false;
		if (pages.n_pages > state->pages_total)
			state->pages_total = pages.n_pages;
	}
	const struct recurrent_config recurrent = recurrent_config_of(config);
	if (recurrent.n_layers == 0)
		return true;
	state->recurrent = recurrent_create(&recurrent);
	return state->recurrent != NULL;
}

static int check_config(const struct state_config *config, struct fail *fail)
{
	if (config->n_layers == 0 || config->positions == 0)
		return fail_set(fail, FAIL_INVALID,
				"a KV cache needs at least one layer and one position");
	for (uint32_t i = 0; i < config->n_layers; i++) {
		const struct state_layer *layer = &config->layers[i];
		if (layer->recurrent || (kv_kind_fits(config->kind, layer->head_k) &&
					 kv_kind_fits(config->kind, layer->head_v)))
			continue;
		return fail_set(fail, FAIL_UNSUPPORTED,
				"heads of width %" PRIu32 " and %" PRIu32
				" do not fit a KV cache of kind %s; choose the kind f16",
				layer->head_k, layer->head_v, kv_kind_name(config->kind));
	}
	return 0;
}

static int charge(const struct state_config *config, struct account *account, uint64_t bytes,
		  struct fail *fail)
{
	if (account_charge(account, ACCOUNT_KV, bytes))
		return 0;
	return fail_set(
		fail, FAIL_MEMORY,
		"the KV cache of %" PRIu32 " positions over %" PRIu32 " layers needs %" PRIu64
		" MiB, and %" PRIu64 " MiB of this device's limit are left; use a smaller "
		"context or a higher limit",
		config->positions, config->n_layers, bytes >> 20, account_left(account) >> 20);
}

struct state *state_create(const struct state_config *config, struct account *account,
			   struct fail *fail)
{
	if (check_config(config, fail))
		return NULL;
	const uint64_t bytes = state_bytes(config);
	if (charge(config, account, bytes, fail))
		return NULL;
	struct state *state = calloc(1, sizeof(*state));
	if (!state) {
		account_release(account, ACCOUNT_KV, bytes);
		fail_set(fail, FAIL_MEMORY, "no memory for a KV cache");
		return NULL;
	}
	state->account = account;
	state->bytes = bytes;
	state->kind = config->kind;
	state->n_layers = config->n_layers;
	if (!allocate(state, config)) {
		fail_set(fail, FAIL_MEMORY, "the system has no %" PRIu64 " MiB for a KV cache",
			 bytes >> 20);
		state_destroy(state);
		return NULL;
	}
	return state;
}

void state_destroy(struct state *state)
{
	if (!state)
		return;
	for (uint32_t i = 0; i < state->n_groups; i++)
		pages_destroy(state->groups[i].pages);
	recurrent_destroy(state->recurrent);
	free(state->parts);
	free(state->lengths);
	account_release(state->account, ACCOUNT_KV, state->bytes);
	free(state);
}

/* ---- lengths ---- */

static uint32_t *lengths_of(const struct state *state, uint32_t slot)
{
	return state->lengths + (size_t)slot * state->n_layers;
}

/* Positions of the group's layers in a slot. */
struct extent {
	uint32_t shortest, longest;
};

static struct extent extent_of(const struct state *state, uint32_t slot, uint32_t group)
{
	struct extent extent = { UINT32_MAX, 0 };
	const uint32_t *lengths = lengths_of(state, slot);
	for (uint32_t i = 0; i < state->n_layers; i++) {
		if (state->parts[i].group != group)
			continue;
		extent.shortest = lengths[i] < extent.shortest ? lengths[i] : extent.shortest;
		extent.longest = lengths[i] > extent.longest ? lengths[i] : extent.longest;
	}
	return extent;
}

/* Gives pages behind the ends of all layers back, and those before what any layer's next row (or a
 * trim by KV_TRIM_BACK) sees when `old` says so. */
static void keep_needed(struct state *state, uint32_t slot, bool old)
{
	for (uint32_t i = 0; i < state->n_groups; i++) {
		struct group *group = &state->groups[i];
		if (!group->pages)
			continue;
		const struct extent extent = extent_of(state, slot, i);
		const uint32_t first = old ? oldest_seen(group->window, extent.shortest) : 0;
		pages_keep(group->pages, slot, first / STATE_PAGE, pages_for(extent.longest));
	}
}

/* ---- slots ---- */

static uint32_t find(const struct state *state, enum slot_kind kind, uint32_t sequence,
		     uint32_t number)
{
	for (uint32_t i = 0; i < STATE_SEQUENCES_MAX; i++) {
		const struct slot *slot = &state->slots[i];
		if (slot->kind == kind && slot->sequence == sequence &&
		    (kind == SLOT_SEQUENCE || slot->number == number))
			return i;
	}
	return NO_SLOT;
}

static uint32_t find_sequence(const struct state *state, uint32_t sequence)
{
	return find(state, SLOT_SEQUENCE, sequence, 0);
}

static uint32_t find_free(const struct state *state)
{
	for (uint32_t i = 0; i < STATE_SEQUENCES_MAX; i++)
		if (state->slots[i].kind == SLOT_FREE)
			return i;
	return NO_SLOT;
}

static uint32_t take_slot(struct state *state, enum slot_kind kind, uint32_t sequence,
			  uint32_t number)
{
	const uint32_t slot = find_free(state);
	assert(slot != NO_SLOT); /* state_check has looked */
	state->slots[slot] = (struct slot){ .kind = kind, .sequence = sequence, .number = number };
	memset(lengths_of(state, slot), 0, state->n_layers * sizeof(uint32_t));
	if (kind == SLOT_SEQUENCE)
		atomic_fetch_add(&state->n_sequences, 1);
	return slot;
}

static void release_slot(struct state *state, uint32_t slot)
{
	for (uint32_t i = 0; i < state->n_groups; i++)
		if (state->groups[i].pages)
			pages_keep(state->groups[i].pages, slot, 0, 0);
	if (state->recurrent)
		recurrent_clear(state->recurrent, slot);
	if (state->slots[slot].kind == SLOT_SEQUENCE)
		atomic_fetch_sub(&state->n_sequences, 1);
	state->slots[slot].kind = SLOT_FREE;
}

/* Makes `to` hold what `from` holds, sharing the pages. */
static void share(struct state *state, uint32_t from, uint32_t to)
{
	for (uint32_t i = 0; i < state->n_groups; i++)
		if (state->groups[i].pages)
			pages_share(state->groups[i].pages, from, to);
	if (state->recurrent)
		recurrent_share(state->recurrent, from, to);
	memcpy(lengths_of(state, to), lengths_of(state, from), state->n_layers * sizeof(uint32_t));
}

/* An idle device gives the memory of its pages back to the system. */
static void rest(struct state *state)
{
	for (uint32_t i = 0; i < state->n_groups; i++)
		if (state->groups[i].pages)
			pages_rest(state->groups[i].pages);
}

/* ---- sequences ---- */

/* True when sliding layers still have what the row at `position` sees. */
static bool can_trim(const struct state *state, uint32_t slot, uint32_t position)
{
	for (uint32_t i = 0; i < state->n_layers && position > 0; i++)
		if (state->parts[i].shape.recurrent && lengths_of(state, slot)[i] > position)
			return false;
	for (uint32_t i = 0; i < state->n_groups; i++) {
		const struct group *group = &state->groups[i];
		const uint32_t seen = position < group->window ? 0 : position - group->window + 1;
		if (group->window == 0 || position == 0 || !group->pages ||
		    extent_of(state, slot, i).longest <= position)
			continue;
		if (seen < pages_first(group->pages, slot) * STATE_PAGE)
			return false;
	}
	return true;
}

enum fail_code state_check(const struct state *state, const struct work *work)
{
	const uint32_t slot = find_sequence(state, work->sequence_a);
	const bool known = slot != NO_SLOT;
	const bool marked =
		find(state, SLOT_CHECKPOINT, work->sequence_a, work->sequence_b) != NO_SLOT;
	const enum fail_code room = find_free(state) == NO_SLOT ? FAIL_MEMORY : FAIL_NONE;
	switch (work->kind) {
	case WORK_OPEN:
		return known ? FAIL_INVALID : room;
	case WORK_FORK:
		if (!known || find_sequence(state, work->sequence_b) != NO_SLOT)
			return FAIL_INVALID;
		return room;
	case WORK_CHECKPOINT:
		return !known ? FAIL_INVALID : marked ? FAIL_NONE : room;
	case WORK_RESTORE:
		return marked ? FAIL_NONE : FAIL_INVALID;
	case WORK_TRIM:
		if (!known)
			return FAIL_INVALID;
		return can_trim(state, slot, work->position) ? FAIL_NONE : FAIL_NOT_FOUND;
	case WORK_DROP:
		return known ? FAIL_NONE : FAIL_INVALID;
	case WORK_EMBED:
	case WORK_LAYERS:
	case WORK_OUTPUT:
		break;
	}
	return FAIL_INVALID;
}

static void trim(struct state *state, uint32_t slot, uint32_t position)
{
	uint32_t *lengths = lengths_of(state, slot);
	for (uint32_t i = 0; i < state->n_layers; i++)
		if (lengths[i] > position)
			lengths[i] = position;
	if (state->recurrent && position == 0)
		recurrent_clear(state->recurrent, slot);
	keep_needed(state, slot, false);
}

static void checkpoint(struct state *state, uint32_t slot, uint32_t number)
{
	const uint32_t sequence = state->slots[slot].sequence;
	uint32_t copy = find(state, SLOT_CHECKPOINT, sequence, number);
	if (copy == NO_SLOT)
		copy = take_slot(state, SLOT_CHECKPOINT, sequence, number);
	share(state, slot, copy);
}

static void drop(struct state *state, uint32_t slot)
{
	const uint32_t sequence = state->slots[slot].sequence;
	for (uint32_t i = 0; i < STATE_SEQUENCES_MAX; i++)
		if (state->slots[i].kind == SLOT_CHECKPOINT && state->slots[i].sequence == sequence)
			release_slot(state, i);
	release_slot(state, slot);
}

enum fail_code state_apply(struct state *state, const struct work *work)
{
	const enum fail_code code = state_check(state, work);
	if (code)
		return code;
	const uint32_t slot = find_sequence(state, work->sequence_a);
	switch (work->kind) {
	case WORK_OPEN:
		take_slot(state, SLOT_SEQUENCE, work->sequence_a, 0);
		break;
	case WORK_FORK:
		share(state, slot, take_slot(state, SLOT_SEQUENCE, work->sequence_b, 0));
		break;
	case WORK_TRIM:
		trim(state, slot, work->position);
		break;
	case WORK_CHECKPOINT:
		checkpoint(state, slot, work->sequence_b);
		break;
	case WORK_RESTORE:
		share(state, find(state, SLOT_CHECKPOINT, work->sequence_a, work->sequence_b),
		      slot);
		break;
	case WORK_DROP:
		drop(state, slot);
		break;
	case WORK_EMBED:
	case WORK_LAYERS:
	case WORK_OUTPUT:
		break;
	}
	rest(state);
	return FAIL_NONE;
}

/* ---- rows ---- */

/* The common length of layers [first, end), or false when they differ: then no position is the
 * next one for all of them. */
static bool common_length(const struct state *state, uint32_t slot, uint32_t first, uint32_t end,
			  uint32_t *length)
{
	const uint32_t *lengths = lengths_of(state, slot);
	*length = lengths[first];
	for (uint32_t i = first + 1; i < end; i++)
		if (lengths[i] != *length)
			return false;
	return true;
}

/* Makes the pages of `position` for layers [first, end) the slot's own and writable. */
static bool own_pages(struct state *state, uint32_t slot, uint32_t first, uint32_t end,
		      uint32_t position)
{
	uint32_t done = 0; /* a bit per group */
	for (uint32_t i = first; i < end; i++) {
		const struct part *part = &state->parts[i];
		const uint32_t group = part->group;
		if (part->shape.recurrent) {
			if (!recurrent_prepare(state->recurrent, part->recurrent, slot))
				return false;
			continue;
		}
		if (!(done >> group & 1) &&
		    !pages_own(state->groups[group].pages, slot, position / STATE_PAGE))
			return false;
		done |= 1u << group;
	}
	return true;
}

static enum fail_code prepare_row(struct state *state, const struct work_row *row, uint32_t first,
				  uint32_t end, uint32_t slot)
{
	uint32_t length;
	struct slot *at = &state->slots[slot];
	if (!common_length(state, slot, first, end, &length) ||
	    row->position != (uint64_t)length + at->pending)
		return FAIL_INVALID;
	if (at->pending == 0)
		keep_needed(state, slot, true);
	if (!own_pages(state, slot, first, end, row->position))
		return FAIL_MEMORY;
	at->pending++;
	return FAIL_NONE;
}

enum fail_code state_prepare(struct state *state, const struct work_row *rows, uint32_t n_rows,
			     uint32_t first, uint32_t end, uint32_t *slots)
{
	assert(first < end && end <= state->n_layers);
	for (uint32_t i = 0; i < n_rows; i++) {
		const bool same = i > 0 && rows[i].sequence == rows[i - 1].sequence;
		slots[i] = same ? slots[i - 1] : find_sequence(state, rows[i].sequence);
		const enum fail_code code =
			slots[i] == NO_SLOT ? FAIL_INVALID
					    : prepare_row(state, &rows[i], first, end, slots[i]);
		if (code) {
			state_abandon(state, slots, slots[i] == NO_SLOT ? i : i + 1);
			return code;
		}
	}
	return FAIL_NONE;
}

void state_commit(struct state *state, const uint32_t *slots, uint32_t n_rows, uint32_t first,
		  uint32_t end)
{
	for (uint32_t i = 0; i < n_rows; i++) {
		struct slot *slot = &state->slots[slots[i]];
		for (uint32_t j = first; j < end; j++) {
			lengths_of(state, slots[i])[j] += slot->pending;
			if (state->parts[j].shape.recurrent)
				recurrent_commit(state->recurrent, state->parts[j].recurrent,
						 slots[i]);
		}
		slot->pending = 0;
	}
}

void state_abandon(struct state *state, const uint32_t *slots, uint32_t n_rows)
{
	for (uint32_t i = 0; i < n_rows; i++) {
		state->slots[slots[i]].pending = 0;
		if (state->recurrent)
			recurrent_abandon(state->recurrent, slots[i]);
		keep_needed(state, slots[i], false);
	}
}

static const struct pages *pages_of(const struct state *state, uint32_t layer)
{
	return state->groups[state->parts[layer].group].pages;
}

const uint8_t *const *state_pages(const struct state *state, uint32_t layer, uint32_t slot)
{
	return (const uint8_t *const *)pages_table(pages_of(state, layer), slot);
}

size_t state_head_bytes(const struct state *state, uint32_t layer)
{
	return head_bytes(state->kind, &state->parts[layer].shape);
}

size_t state_key_offset(const struct state *state, uint32_t layer, uint32_t head)
{
	return state->parts[layer].at + head * state_head_bytes(state, layer);
}

size_t state_value_offset(const struct state *state, uint32_t layer, uint32_t head)
{
	return state_key_offset(state, layer, head) +
	       kv_head_bytes(state->kind, state->parts[layer].shape.head_k);
}

uint8_t *state_page(const struct state *state, uint32_t layer, uint32_t slot, uint32_t position)
{
	return pages_table(pages_of(state, layer), slot)[position / STATE_PAGE];
}

const float *state_now(const struct state *state, uint32_t layer, uint32_t slot)
{
	return recurrent_now(state->recurrent, state->parts[layer].recurrent, slot);
}

float *state_next(const struct state *state, uint32_t layer, uint32_t slot)
{
	return recurrent_next(state->recurrent, state->parts[layer].recurrent, slot);
}

bool state_writes(const struct state *state, uint32_t layer)
{
	return state->parts[layer].shape.back == 0;
}

enum kv_kind state_kind(const struct state *state)
{
	return state->kind;
}

void state_counts(const struct state *state, struct state_counts *counts)
{
	counts->sequences = atomic_load(&state->n_sequences);
	counts->pages_used = 0;
	counts->pages_total = state->pages_total;
	for (uint32_t i = 0; i < state->n_groups; i++) {
		const uint32_t used =
			state->groups[i].pages ? pages_used(state->groups[i].pages) : 0;
		counts->pages_used = used > counts->pages_used ? used : counts->pages_used;
	}
}
