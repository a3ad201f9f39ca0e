#include "compute/state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define NO_SLOT UINT32_MAX

enum slot_kind { SLOT_FREE, SLOT_SEQUENCE, SLOT_CHECKPOINT };

struct slot {
	enum slot_kind kind;
	uint32_t sequence;
	uint32_t number;  /* of a checkpoint */
	uint32_t n_pages; /* entries in use in its page table */
	uint32_t pending; /* rows prepared, not yet committed */
};

struct state {
	struct account *account; /* borrowed; NULL until charged */
	uint64_t bytes;
	uint32_t n_layers;
	struct part {
		struct state_layer shape;
		size_t keys, values; /* elements from the start of a page */
	} * parts;                   /* [n_layers] */
	size_t page_elements;
	uint32_t pages_total;
	uint16_t *pages; /* [pages_total, page_elements], mapped: untouched ones cost nothing */
	uint32_t *references; /* [pages_total] */
	uint32_t *free_pages; /* stack */
	uint32_t n_free;
	uint16_t **tables; /* [STATE_SEQUENCES_MAX, pages_total] */
	uint32_t *lengths; /* [STATE_SEQUENCES_MAX, n_layers] */
	struct slot slots[STATE_SEQUENCES_MAX];
	atomic_uint n_sequences, n_used; /* for state_counts */
};

/* ---- memory ---- */

static uint32_t count_pages(const struct state_config *config)
{
	return (uint32_t)(((uint64_t)config->positions + STATE_PAGE - 1) / STATE_PAGE);
}

static size_t layer_elements(const struct state_layer *layer)
{
	return (size_t)STATE_PAGE * layer->n_head_kv * ((size_t)layer->head_k + layer->head_v);
}

static size_t page_elements(const struct state_config *config)
{
	size_t total = 0;
	for (uint32_t i = 0; i < config->n_layers; i++)
		total += layer_elements(&config->layers[i]);
	return total;
}

static uint64_t pages_bytes(const struct state_config *config)
{
	return (uint64_t)count_pages(config) * page_elements(config) * sizeof(uint16_t);
}

static uint64_t tables_bytes(const struct state_config *config)
{
	const uint64_t per_page = sizeof(uint16_t *) * STATE_SEQUENCES_MAX + 2 * sizeof(uint32_t);
	const uint64_t per_layer = sizeof(uint32_t) * STATE_SEQUENCES_MAX + sizeof(struct part);
	return count_pages(config) * per_page + config->n_layers * per_layer;
}

uint64_t state_bytes(const struct state_config *config)
{
	return sizeof(struct state) + pages_bytes(config) + tables_bytes(config);
}

static bool allocate(struct state *state, const struct state_config *config)
{
	const size_t n_pages = state->pages_total;
	state->parts = calloc(config->n_layers, sizeof(*state->parts));
	state->references = calloc(n_pages, sizeof(uint32_t));
	state->free_pages = calloc(n_pages, sizeof(uint32_t));
	state->tables = calloc(n_pages * STATE_SEQUENCES_MAX, sizeof(uint16_t *));
	state->lengths = calloc((size_t)config->n_layers * STATE_SEQUENCES_MAX, sizeof(uint32_t));
	void *pages = mmap(NULL, pages_bytes(config), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	state->pages = pages == MAP_FAILED ? NULL : pages;
	return state->parts && state->references && state->free_pages && state->tables &&
	       state->lengths && state->pages;
}

static void lay_out(struct state *state, const struct state_config *config)
{
	size_t offset = 0;
	for (uint32_t i = 0; i < config->n_layers; i++) {
		const struct state_layer *layer = &config->layers[i];
		state->parts[i].shape = *layer;
		state->parts[i].keys = offset;
		state->parts[i].values =
			offset + (size_t)STATE_PAGE * layer->n_head_kv * layer->head_k;
		offset += layer_elements(layer);
	}
	for (uint32_t i = 0; i < state->pages_total; i++) /* lowest on top of the stack */
		state->free_pages[i] = state->pages_total - 1 - i;
	state->n_free = state->pages_total;
}

struct state *state_create(const struct state_config *config, struct account *account,
			   struct fail *fail)
{
	if (config->n_layers == 0 || config->positions == 0) {
		fail_set(fail, FAIL_INVALID,
			 "a KV cache needs at least one layer and one position");
		return NULL;
	}
	const uint64_t bytes = state_bytes(config);
	if (!account_charge(account, ACCOUNT_KV, bytes)) {
		fail_set(fail, FAIL_MEMORY,
			 "the KV cache of %" PRIu32 " positions over %" PRIu32
			 " layers needs %" PRIu64 " MiB, and %" PRIu64
			 " MiB of this device's limit are left; use a smaller "
			 "context or a higher limit",
			 config->positions, config->n_layers, bytes >> 20,
			 account_left(account) >> 20);
		return NULL;
	}
	struct state *state = calloc(1, sizeof(*state));
	if (!state) {
		account_release(account, ACCOUNT_KV, bytes);
		fail_set(fail, FAIL_MEMORY, "no memory for a KV cache");
		return NULL;
	}
	state->account = account;
	state->bytes = bytes;
	state->n_layers = config->n_layers;
	state->page_elements = page_elements(config);
	state->pages_total = count_pages(config);
	if (!allocate(state, config)) {
		fail_set(fail, FAIL_MEMORY, "the system has no %" PRIu64 " MiB for a KV cache",
			 bytes >> 20);
		goto fail;
	}
	lay_out(state, config);
	return state;
fail:
	state_destroy(state);
	return NULL;
}

void state_destroy(struct state *state)
{
	if (!state)
		return;
	if (state->pages)
		munmap(state->pages, state->pages_total * state->page_elements * sizeof(uint16_t));
	free(state->parts);
	free(state->references);
	free(state->free_pages);
	free(state->tables);
	free(state->lengths);
	account_release(state->account, ACCOUNT_KV, state->bytes);
	free(state);
}

/* ---- pages ---- */

static uint16_t **table_of(const struct state *state, uint32_t slot)
{
	return state->tables + (size_t)slot * state->pages_total;
}

static uint32_t *lengths_of(const struct state *state, uint32_t slot)
{
	return state->lengths + (size_t)slot * state->n_layers;
}

static uint32_t *references_of(const struct state *state, const uint16_t *page)
{
	return &state->references[(size_t)(page - state->pages) / state->page_elements];
}

static uint16_t *take_page(struct state *state)
{
	if (state->n_free == 0)
		return NULL;
	const uint32_t index = state->free_pages[--state->n_free];
	state->references[index] = 1;
	atomic_store(&state->n_used, state->pages_total - state->n_free);
	return state->pages + index * state->page_elements;
}

static void release_page(struct state *state, uint16_t *page)
{
	uint32_t *references = references_of(state, page);
	assert(*references > 0);
	if (--*references > 0)
		return;
	state->free_pages[state->n_free++] = (uint32_t)(references - state->references);
	atomic_store(&state->n_used, state->pages_total - state->n_free);
}

static void shorten_table(struct state *state, uint32_t slot, uint32_t n_pages)
{
	struct slot *at = &state->slots[slot];
	while (at->n_pages > n_pages)
		release_page(state, table_of(state, slot)[--at->n_pages]);
}

static uint32_t longest(const struct state *state, uint32_t slot)
{
	uint32_t length = 0;
	for (uint32_t i = 0; i < state->n_layers; i++)
		if (lengths_of(state, slot)[i] > length)
			length = lengths_of(state, slot)[i];
	return length;
}

static uint32_t pages_for(uint32_t positions)
{
	return positions / STATE_PAGE + (positions % STATE_PAGE != 0);
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
	shorten_table(state, slot, 0);
	if (state->slots[slot].kind == SLOT_SEQUENCE)
		atomic_fetch_sub(&state->n_sequences, 1);
	state->slots[slot].kind = SLOT_FREE;
}

/* Makes `to` hold what `from` holds, sharing the pages. */
static void share(struct state *state, uint32_t from, uint32_t to)
{
	const uint32_t n_pages = state->slots[from].n_pages;
	uint16_t *const *source = table_of(state, from);
	for (uint32_t i = 0; i < n_pages; i++)
		++*references_of(state, source[i]);
	shorten_table(state, to, 0);
	memcpy(table_of(state, to), source, n_pages * sizeof(uint16_t *));
	state->slots[to].n_pages = n_pages;
	memcpy(lengths_of(state, to), lengths_of(state, from), state->n_layers * sizeof(uint32_t));
}

/* An idle device gives the memory of its pages back to the system. */
static void rest(struct state *state)
{
	if (state->n_free == state->pages_total)
		madvise(state->pages, state->pages_total * state->page_elements * sizeof(uint16_t),
			MADV_DONTNEED);
}

/* ---- sequences ---- */

enum fail_code state_check(const struct state *state, const struct work *work)
{
	const bool known = find_sequence(state, work->sequence_a) != NO_SLOT;
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
	shorten_table(state, slot, pages_for(longest(state, slot)));
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

/* Makes the page of `position` the slot's own and writable. */
static bool own_page(struct state *state, uint32_t slot, uint32_t position)
{
	struct slot *at = &state->slots[slot];
	uint16_t **entry = table_of(state, slot) + position / STATE_PAGE;
	const bool fresh = position / STATE_PAGE >= at->n_pages;
	if (!fresh && *references_of(state, *entry) == 1)
		return true;
	uint16_t *page = take_page(state);
	if (!page)
		return false;
	if (fresh) {
		at->n_pages++;
	} else {
		memcpy(page, *entry, state->page_elements * sizeof(uint16_t));
		release_page(state, *entry);
	}
	*entry = page;
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
	if (!own_page(state, slot, row->position))
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
			state_abandon(state, slots, i);
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
		for (uint32_t j = first; j < end; j++)
			lengths_of(state, slots[i])[j] += slot->pending;
		slot->pending = 0;
	}
}

void state_abandon(struct state *state, const uint32_t *slots, uint32_t n_rows)
{
	for (uint32_t i = 0; i < n_rows; i++) {
		state->slots[slots[i]].pending = 0;
		shorten_table(state, slots[i], pages_for(longest(state, slots[i])));
	}
}

const uint16_t *const *state_pages(const struct state *state, uint32_t slot)
{
	return (const uint16_t *const *)table_of(state, slot);
}

size_t state_key_offset(const struct state *state, uint32_t layer, uint32_t head)
{
	const struct part *part = &state->parts[layer];
	return part->keys + (size_t)head * STATE_PAGE * part->shape.head_k;
}

size_t state_value_offset(const struct state *state, uint32_t layer, uint32_t head)
{
	const struct part *part = &state->parts[layer];
	return part->values + (size_t)head * STATE_PAGE * part->shape.head_v;
}

uint16_t *state_page(const struct state *state, uint32_t slot, uint32_t position)
{
	return table_of(state, slot)[position / STATE_PAGE];
}

void state_counts(const struct state *state, struct state_counts *counts)
{
	counts->sequences = atomic_load(&state->n_sequences);
	counts->pages_used = atomic_load(&state->n_used);
	counts->pages_total = state->pages_total;
}
