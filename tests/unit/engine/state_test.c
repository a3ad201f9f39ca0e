/* The paged KV cache alone: what sequences share, what they copy, what they give back. */
#include "compute/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N_LAYERS 3u
#define PAGES    6u
#define ROWS_MAX 512u

static const struct state_layer layers[N_LAYERS] = { { 2, 8, 8, 0 },
						     { 1, 16, 8, 0 },
						     { 2, 8, 16, 0 } };

struct fixture {
	struct account account;
	const struct state_layer *layers; /* [N_LAYERS] */
	struct state *state;
	uint32_t slots[ROWS_MAX];
	struct work_row rows[ROWS_MAX];
};

static int set_up_with(void **given, const struct state_config *config)
{
	struct fixture *f = calloc(1, sizeof(*f));
	f->layers = config->layers;
	account_init(&f->account, 1u << 30);
	f->state = state_create(config, &f->account, NULL);
	assert_non_null(f->state);
	assert_int_equal(atomic_load(&f->account.used_bytes), state_bytes(config));
	*given = f;
	return 0;
}

static int set_up(void **given)
{
	const struct state_config config = { .layers = layers,
					     .n_layers = N_LAYERS,
					     .positions = PAGES * STATE_PAGE };
	return set_up_with(given, &config);
}

/* Two sliding layers and one that sees all; up to two sequences, up to 32 rows at once. */
#define WINDOW 100u
static const struct state_layer sliding[N_LAYERS] = { { 2, 8, 8, WINDOW },
						      { 1, 16, 8, 0 },
						      { 2, 8, 16, WINDOW } };

static int set_up_sliding(void **given)
{
	const struct state_config config = { .layers = sliding,
					     .n_layers = N_LAYERS,
					     .positions = 40 * STATE_PAGE,
					     .sequences = 2,
					     .rows_max = 32 };
	return set_up_with(given, &config);
}

static int tear_down(void **given)
{
	struct fixture *f = *given;
	state_destroy(f->state);
	assert_int_equal(atomic_load(&f->account.used_bytes), 0);
	free(f);
	return 0;
}

static enum fail_code apply(struct fixture *f, enum work_kind kind, uint32_t a, uint32_t b,
			    uint32_t position)
{
	const struct work work = {
		.kind = kind, .sequence_a = a, .sequence_b = b, .position = position
	};
	const enum fail_code code = state_check(f->state, &work);
	assert_int_equal(state_apply(f->state, &work), code);
	return code;
}

static uint32_t pages_used(const struct fixture *f)
{
	struct state_counts counts;
	state_counts(f->state, &counts);
	return counts.pages_used;
}

static uint32_t sequences(const struct fixture *f)
{
	struct state_counts counts;
	state_counts(f->state, &counts);
	return counts.sequences;
}

static enum fail_code prepare(struct fixture *f, uint32_t sequence, uint32_t position,
			      uint32_t n_rows, uint32_t first, uint32_t end)
{
	for (uint32_t i = 0; i < n_rows; i++)
		f->rows[i] = (struct work_row){ .sequence = sequence, .position = position + i };
	return state_prepare(f->state, f->rows, n_rows, first, end, f->slots);
}

/* A value that tells sequence content, layer, head, position and column apart. */
static uint16_t mark(uint32_t text, uint32_t layer, uint32_t position, uint32_t column)
{
	return (uint16_t)(text * 7919 + layer * 613 + position * 37 + column * 3);
}

/* Column i of a head's keys and values in a page; any order serves here. */
static uint16_t *key_in(const struct fixture *f, uint8_t *page, uint32_t layer, uint32_t head,
			uint32_t position)
{
	uint16_t *keys = (uint16_t *)(void *)(page + state_key_offset(f->state, layer, head));
	return keys + (size_t)position % STATE_PAGE * f->layers[layer].head_k;
}

static uint16_t *value_in(const struct fixture *f, uint8_t *page, uint32_t layer, uint32_t head,
			  uint32_t position)
{
	uint16_t *values = (uint16_t *)(void *)(page + state_value_offset(f->state, layer, head));
	return values + (size_t)position % STATE_PAGE * f->layers[layer].head_v;
}

static void write_row(struct fixture *f, uint32_t layer, uint32_t row, uint32_t text)
{
	const struct state_layer *shape = &f->layers[layer];
	const uint32_t position = f->rows[row].position;
	uint8_t *page = state_page(f->state, layer, f->slots[row], position);
	for (uint32_t h = 0; h < shape->n_head_kv; h++) {
		for (uint32_t i = 0; i < shape->head_k; i++)
			key_in(f, page, layer, h, position)[i] =
				mark(text, layer, position, h * 32 + i);
		for (uint32_t i = 0; i < shape->head_v; i++)
			value_in(f, page, layer, h, position)[i] =
				mark(text + 1, layer, position, h * 32 + i);
	}
}

/* Appends rows that hold the marks of `text`. */
static enum fail_code append(struct fixture *f, uint32_t sequence, uint32_t position,
			     uint32_t n_rows, uint32_t text)
{
	const enum fail_code code = prepare(f, sequence, position, n_rows, 0, N_LAYERS);
	if (code)
		return code;
	for (uint32_t i = 0; i < N_LAYERS; i++)
		for (uint32_t j = 0; j < n_rows; j++)
			write_row(f, i, j, text);
	state_commit(f->state, f->slots, n_rows, 0, N_LAYERS);
	return FAIL_NONE;
}

static void check_layer(struct fixture *f, uint32_t layer, uint32_t slot, uint32_t first,
			uint32_t end, uint32_t text)
{
	const uint8_t *const *pages = state_pages(f->state, layer, slot);
	const uint32_t h = f->layers[layer].n_head_kv - 1;
	for (uint32_t p = first; p < end; p++) {
		uint8_t *page = (uint8_t *)(uintptr_t)pages[p / STATE_PAGE];
		assert_non_null(page);
		assert_int_equal(key_in(f, page, layer, h, p)[5], mark(text, layer, p, h * 32 + 5));
		assert_int_equal(value_in(f, page, layer, h, p)[7],
				 mark(text + 1, layer, p, h * 32 + 7));
	}
}

static void check_text(struct fixture *f, uint32_t slot, uint32_t first, uint32_t end,
		       uint32_t text)
{
	for (uint32_t i = 0; i < N_LAYERS; i++)
		check_layer(f, i, slot, first, end, text);
}

/* The slot of a sequence, found by preparing its next row. */
static uint32_t slot_of(struct fixture *f, uint32_t sequence, uint32_t length)
{
	assert_int_equal(prepare(f, sequence, length, 1, 0, N_LAYERS), FAIL_NONE);
	const uint32_t slot = f->slots[0];
	state_abandon(f->state, f->slots, 1);
	return slot;
}

static void test_rows_must_be_the_next_ones(void **given)
{
	struct fixture *f = *given;
	assert_int_equal(append(f, 1, 0, 1, 0), FAIL_INVALID); /* not open */
	assert_int_equal(apply(f, WORK_OPEN, 1, 0, 0), FAIL_NONE);
	assert_int_equal(apply(f, WORK_OPEN, 1, 0, 0), FAIL_INVALID);
	assert_int_equal(append(f, 1, 1, 1, 0), FAIL_INVALID);
	assert_int_equal(append(f, 1, 0, 5, 0), FAIL_NONE);
	assert_int_equal(append(f, 1, 4, 1, 0), FAIL_INVALID);
	assert_int_equal(append(f, 1, 6, 1, 0), FAIL_INVALID);
	assert_int_equal(append(f, 1, UINT32_MAX, 1, 0), FAIL_INVALID);
	assert_int_equal(append(f, 1, 5, 1, 0), FAIL_NONE);
	assert_int_equal(append(f, 2, 0, 1, 0), FAIL_INVALID);
	assert_int_equal(pages_used(f), 1);
}

static void test_refused_rows_take_nothing(void **given)
{
	struct fixture *f = *given;
	apply(f, WORK_OPEN, 1, 0, 0);
	for (uint32_t i = 0; i < 70; i++)
		f->rows[i] = (struct work_row){ .sequence = 1, .position = i == 69 ? 99 : i };
	assert_int_equal(state_prepare(f->state, f->rows, 70, 0, N_LAYERS, f->slots), FAIL_INVALID);
	assert_int_equal(pages_used(f), 0);
	assert_int_equal(prepare(f, 1, 0, 70, 0, N_LAYERS), FAIL_NONE);
	assert_int_equal(pages_used(f), 2);
	state_abandon(f->state, f->slots, 70);
	assert_int_equal(pages_used(f), 0);
	assert_int_equal(append(f, 1, 0, 70, 0), FAIL_NONE);
}

static void test_layers_advance_apart(void **given)
{
	struct fixture *f = *given;
	apply(f, WORK_OPEN, 1, 0, 0);
	assert_int_equal(prepare(f, 1, 0, 10, 0, 1), FAIL_NONE);
	state_commit(f->state, f->slots, 10, 0, 1);
	assert_int_equal(prepare(f, 1, 10, 4, 0, N_LAYERS), FAIL_INVALID);
	assert_int_equal(prepare(f, 1, 0, 10, 1, N_LAYERS), FAIL_NONE);
	state_commit(f->state, f->slots, 10, 1, N_LAYERS);
	assert_int_equal(append(f, 1, 10, 4, 0), FAIL_NONE);
}

static void test_fork_shares_then_copies(void **given)
{
	struct fixture *f = *given;
	apply(f, WORK_OPEN, 1, 0, 0);
	assert_int_equal(append(f, 1, 0, 100, 10), FAIL_NONE);
	assert_int_equal(apply(f, WORK_FORK, 1, 2, 0), FAIL_NONE);
	assert_int_equal(apply(f, WORK_FORK, 1, 2, 0), FAIL_INVALID);
	assert_int_equal(apply(f, WORK_FORK, 9, 3, 0), FAIL_INVALID);
	assert_int_equal(pages_used(f), 2);
	assert_int_equal(sequences(f), 2);
	assert_int_equal(append(f, 2, 100, 10, 20), FAIL_NONE);
	assert_int_equal(pages_used(f), 3); /* the first page is still shared */
	assert_int_equal(append(f, 1, 100, 10, 30), FAIL_NONE);
	assert_int_equal(pages_used(f), 3);
	const uint32_t first = slot_of(f, 1, 110), second = slot_of(f, 2, 110);
	check_text(f, first, 0, 100, 10);
	check_text(f, second, 0, 100, 10);
	check_text(f, first, 100, 110, 30);
	check_text(f, second, 100, 110, 20);
	assert_int_equal(apply(f, WORK_DROP, 1, 0, 0), FAIL_NONE);
	assert_int_equal(pages_used(f), 2);
	check_text(f, slot_of(f, 2, 110), 0, 100, 10);
	assert_int_equal(apply(f, WORK_DROP, 2, 0, 0), FAIL_NONE);
	assert_int_equal(pages_used(f), 0);
	assert_int_equal(apply(f, WORK_DROP, 2, 0, 0), FAIL_INVALID);
}

static void test_trim_forgets_the_end(void **given)
{
	struct fixture *f = *given;
	apply(f, WORK_OPEN, 1, 0, 0);
	append(f, 1, 0, 200, 10);
	assert_int_equal(pages_used(f), 4);
	assert_int_equal(apply(f, WORK_TRIM, 1, 0, 500), FAIL_NONE);
	assert_int_equal(pages_used(f), 4);
	assert_int_equal(apply(f, WORK_TRIM, 1, 0, 64), FAIL_NONE);
	assert_int_equal(pages_used(f), 1);
	assert_int_equal(append(f, 1, 200, 1, 20), FAIL_INVALID);
	assert_int_equal(append(f, 1, 64, 10, 20), FAIL_NONE);
	check_text(f, slot_of(f, 1, 74), 0, 64, 10);
	check_text(f, slot_of(f, 1, 74), 64, 74, 20);
	assert_int_equal(apply(f, WORK_TRIM, 1, 0, 0), FAIL_NONE);
	assert_int_equal(pages_used(f), 0);
	assert_int_equal(apply(f, WORK_TRIM, 7, 0, 0), FAIL_INVALID);
}

static void test_a_checkpoint_survives_what_follows(void **given)
{
	struct fixture *f = *given;
	apply(f, WORK_OPEN, 1, 0, 0);
	append(f, 1, 0, 70, 10);
	assert_int_equal(apply(f, WORK_RESTORE, 1, 5, 0), FAIL_INVALID);
	assert_int_equal(apply(f, WORK_CHECKPOINT, 1, 5, 0), FAIL_NONE);
	assert_int_equal(apply(f, WORK_TRIM, 1, 0, 10), FAIL_NONE);
	append(f, 1, 10, 100, 20);
	for (int i = 0; i < 2; i++) { /* it can be returned to more than once */
		assert_int_equal(apply(f, WORK_RESTORE, 1, 5, 0), FAIL_NONE);
		check_text(f, slot_of(f, 1, 70), 0, 70, 10);
		assert_int_equal(append(f, 1, 70, 3, 30), FAIL_NONE);
	}
	assert_int_equal(apply(f, WORK_CHECKPOINT, 1, 5, 0), FAIL_NONE); /* replaces */
	assert_int_equal(apply(f, WORK_RESTORE, 1, 5, 0), FAIL_NONE);
	check_text(f, slot_of(f, 1, 73), 70, 73, 30);
	assert_int_equal(sequences(f), 1);
	assert_int_equal(apply(f, WORK_DROP, 1, 0, 0), FAIL_NONE);
	assert_int_equal(pages_used(f), 0);
	assert_int_equal(apply(f, WORK_OPEN, 1, 0, 0), FAIL_NONE); /* without old checkpoints */
	assert_int_equal(apply(f, WORK_RESTORE, 1, 5, 0), FAIL_INVALID);
}

static void test_the_pool_ends(void **given)
{
	struct fixture *f = *given;
	apply(f, WORK_OPEN, 1, 0, 0);
	apply(f, WORK_OPEN, 2, 0, 0);
	assert_int_equal(append(f, 1, 0, 300, 10), FAIL_NONE); /* 5 of 6 pages */
	assert_int_equal(append(f, 2, 0, 65, 20), FAIL_MEMORY);
	assert_int_equal(pages_used(f), 5);
	assert_int_equal(append(f, 2, 0, 64, 20), FAIL_NONE);
	assert_int_equal(append(f, 1, 300, 20, 10), FAIL_NONE); /* room in its last page */
	assert_int_equal(append(f, 1, 320, 1, 10), FAIL_MEMORY);
	assert_int_equal(apply(f, WORK_FORK, 2, 3, 0), FAIL_NONE); /* takes no page */
	assert_int_equal(apply(f, WORK_TRIM, 3, 0, 60), FAIL_NONE);
	assert_int_equal(append(f, 3, 60, 1, 30), FAIL_MEMORY); /* the copy has no page */
	assert_int_equal(apply(f, WORK_DROP, 1, 0, 0), FAIL_NONE);
	assert_int_equal(append(f, 3, 60, 1, 30), FAIL_NONE);
	check_text(f, slot_of(f, 2, 64), 0, 64, 20);
}

static void test_the_table_of_sequences_ends(void **given)
{
	struct fixture *f = *given;
	for (uint32_t i = 0; i < STATE_SEQUENCES_MAX - 1; i++)
		assert_int_equal(apply(f, WORK_OPEN, i, 0, 0), FAIL_NONE);
	assert_int_equal(apply(f, WORK_CHECKPOINT, 0, 1, 0), FAIL_NONE);
	assert_int_equal(apply(f, WORK_OPEN, 1000, 0, 0), FAIL_MEMORY);
	assert_int_equal(apply(f, WORK_FORK, 0, 1000, 0), FAIL_MEMORY);
	assert_int_equal(apply(f, WORK_CHECKPOINT, 0, 2, 0), FAIL_MEMORY);
	assert_int_equal(apply(f, WORK_CHECKPOINT, 0, 1, 0), FAIL_NONE);
	assert_int_equal(apply(f, WORK_DROP, 0, 0, 0), FAIL_NONE);
	assert_int_equal(apply(f, WORK_OPEN, 1000, 0, 0), FAIL_NONE);
}

/* ---- sliding layers ---- */

/* In pieces of at most 32 rows. */
static enum fail_code append_long(struct fixture *f, uint32_t sequence, uint32_t first,
				  uint32_t end, uint32_t text)
{
	for (uint32_t at = first; at < end;) {
		const uint32_t left = end - at, n = left < 32 ? left : 32;
		const enum fail_code code = append(f, sequence, at, n, text);
		if (code)
			return code;
		at += n;
	}
	return FAIL_NONE;
}

static void test_sliding_layers_keep_a_window(void **given)
{
	struct fixture *f = *given;
	apply(f, WORK_OPEN, 1, 0, 0);
	apply(f, WORK_OPEN, 2, 0, 0);
	assert_int_equal(append_long(f, 1, 0, 1250, 10), FAIL_NONE);
	assert_int_equal(append_long(f, 2, 0, 1279, 20), FAIL_NONE);
	const uint32_t slot = slot_of(f, 1, 1250);
	check_layer(f, 0, slot, 1250 - 99 - 64, 1250, 10);
	check_layer(f, 1, slot, 0, 1250, 10);
	check_layer(f, 2, slot, 1250 - 99 - 64, 1250, 10);
	assert_null(state_pages(f->state, 0, slot)[15]);
	assert_int_equal(pages_used(f), 20 + 20);
	apply(f, WORK_DROP, 1, 0, 0);
	apply(f, WORK_DROP, 2, 0, 0);
	assert_int_equal(pages_used(f), 0);
}

/* 100 - 1 + 64 + 32 positions lie in at most 5 pages, for each of two sequences. */
static void test_a_window_costs_a_window(void **unused)
{
	struct state_config config = { .layers = sliding,
				       .n_layers = 1,
				       .positions = 40 * STATE_PAGE,
				       .sequences = 2,
				       .rows_max = 32 };
	const uint64_t page = 2 * 2 * kv_head_bytes(KV_F16, 8), some = state_bytes(&config);
	config.sequences = 0;
	assert_in_range(state_bytes(&config) - some, 30 * page, 30 * (page + 8));
	config.sequences = 100;
	const uint64_t many = state_bytes(&config);
	config.sequences = 0;
	assert_int_equal(state_bytes(&config), many);
}

static void test_a_trim_behind_the_window_is_refused(void **given)
{
	struct fixture *f = *given;
	apply(f, WORK_OPEN, 1, 0, 0);
	append_long(f, 1, 0, 1000, 10);
	assert_int_equal(apply(f, WORK_TRIM, 1, 0, 1000), FAIL_NONE);
	assert_int_equal(apply(f, WORK_TRIM, 1, 0, 500), FAIL_NOT_FOUND);
	assert_int_equal(append(f, 1, 1000, 1, 10), FAIL_NONE); /* it is as before */
	assert_int_equal(apply(f, WORK_TRIM, 1, 0, 1001 - KV_TRIM_BACK), FAIL_NONE);
	assert_int_equal(append_long(f, 1, 1001 - KV_TRIM_BACK, 1100, 20), FAIL_NONE);
	const uint32_t slot = slot_of(f, 1, 1100);
	check_layer(f, 0, slot, 1100 - 99 - 64, 1100, 20);
	check_layer(f, 1, slot, 0, 1001 - KV_TRIM_BACK, 10);
	assert_int_equal(apply(f, WORK_TRIM, 1, 0, 0), FAIL_NONE); /* all may always go */
	assert_int_equal(pages_used(f), 0);
	assert_int_equal(append_long(f, 1, 0, 200, 30), FAIL_NONE);
	/* nothing was given back yet: any trim will do */
	assert_int_equal(apply(f, WORK_TRIM, 1, 0, 1), FAIL_NONE);
}

static void test_forks_of_sliding_layers(void **given)
{
	struct fixture *f = *given;
	apply(f, WORK_OPEN, 1, 0, 0);
	append_long(f, 1, 0, 500, 10);
	assert_int_equal(apply(f, WORK_FORK, 1, 2, 0), FAIL_NONE);
	assert_int_equal(append_long(f, 2, 500, 700, 20), FAIL_NONE);
	assert_int_equal(append_long(f, 1, 500, 530, 30), FAIL_NONE);
	check_layer(f, 2, slot_of(f, 1, 530), 530 - 163, 500, 10);
	check_layer(f, 2, slot_of(f, 1, 530), 500, 530, 30);
	check_layer(f, 2, slot_of(f, 2, 700), 700 - 163, 700, 20);
	assert_int_equal(apply(f, WORK_DROP, 1, 0, 0), FAIL_NONE);
	check_layer(f, 1, slot_of(f, 2, 700), 0, 500, 10);
	assert_int_equal(apply(f, WORK_DROP, 2, 0, 0), FAIL_NONE);
	assert_int_equal(pages_used(f), 0);
}

/* A checkpoint keeps its own pages, however far the sequence went on. */
static void test_a_checkpoint_of_sliding_layers(void **given)
{
	struct fixture *f = *given;
	apply(f, WORK_OPEN, 1, 0, 0);
	append_long(f, 1, 0, 300, 10);
	assert_int_equal(apply(f, WORK_CHECKPOINT, 1, 7, 0), FAIL_NONE);
	append_long(f, 1, 300, 900, 20);
	assert_int_equal(apply(f, WORK_TRIM, 1, 0, 300), FAIL_NOT_FOUND);
	assert_int_equal(apply(f, WORK_RESTORE, 1, 7, 0), FAIL_NONE);
	check_layer(f, 0, slot_of(f, 1, 300), 300 - 163, 300, 10);
	assert_int_equal(append_long(f, 1, 300, 400, 30), FAIL_NONE);
	check_layer(f, 0, slot_of(f, 1, 400), 300, 400, 30);
	check_layer(f, 1, slot_of(f, 1, 400), 0, 300, 10);
}

/* Work that was abandoned after old pages went: the rows before it still see their window. */
static void test_abandoned_rows_of_sliding_layers(void **given)
{
	struct fixture *f = *given;
	apply(f, WORK_OPEN, 1, 0, 0);
	append_long(f, 1, 0, 600, 10);
	assert_int_equal(prepare(f, 1, 600, 32, 0, N_LAYERS), FAIL_NONE);
	state_abandon(f->state, f->slots, 32);
	assert_int_equal(append(f, 1, 632, 1, 10), FAIL_INVALID);
	check_layer(f, 0, slot_of(f, 1, 600), 600 - 163, 600, 10);
	assert_int_equal(apply(f, WORK_TRIM, 1, 0, 600 - KV_TRIM_BACK), FAIL_NONE);
}

static void test_kinds_take_what_they_say(void **unused)
{
	static const struct state_layer wide[1] = { { 4, 128, 64, 0 } };
	uint64_t bytes[KV_KINDS];
	struct fail fail;
	struct account account;
	account_init(&account, 1u << 30);
	for (enum kv_kind kind = 0; kind < KV_KINDS; kind++) {
		const struct state_config config = {
			.layers = wide, .n_layers = 1, .kind = kind, .positions = 6400
		};
		bytes[kind] = state_bytes(&config);
	}
	assert_int_equal(bytes[KV_F32] - bytes[KV_F16], 6400 * 4 * 192 * 2);
	assert_int_equal(bytes[KV_F16] - bytes[KV_Q8_0], 6400 * 4 * 192 * 15 / 16);
	const struct state_config odd = {
		.layers = layers, .n_layers = 1, .kind = KV_Q8_0, .positions = 64
	};
	assert_null(state_create(&odd, &account, &fail));
	assert_int_equal(fail.code, FAIL_UNSUPPORTED);
	assert_non_null(strstr(fail.text, "q8_0"));
}

/* Layers that read an earlier one's keys and values cost nothing and see the same pages. */
static void test_layers_that_share(void **unused)
{
	struct state_layer shared[N_LAYERS] = { layers[0], layers[1], layers[0] };
	struct state_config config = { .layers = shared,
				       .n_layers = N_LAYERS,
				       .positions = PAGES * STATE_PAGE };
	const uint64_t apart = state_bytes(&config);
	struct fixture *f;
	void *given;
	(void)unused;
	shared[2].back = 2;
	assert_true(state_bytes(&config) < apart);
	set_up_with(&given, &config);
	f = given;
	assert_true(state_writes(f->state, 0) && !state_writes(f->state, 2));
	assert_int_equal(apply(f, WORK_OPEN, 1, 0, 0), FAIL_NONE);
	assert_int_equal(prepare(f, 1, 0, 3, 0, N_LAYERS), FAIL_NONE);
	for (uint32_t head = 0; head < 2; head++) {
		assert_int_equal(state_key_offset(f->state, 2, head),
				 state_key_offset(f->state, 0, head));
		assert_int_equal(state_value_offset(f->state, 2, head),
				 state_value_offset(f->state, 0, head));
	}
	assert_ptr_equal(state_page(f->state, 2, f->slots[0], 2),
			 state_page(f->state, 0, f->slots[0], 2));
	state_commit(f->state, f->slots, 3, 0, N_LAYERS);
	tear_down(&given);
}

static void test_the_account_is_asked_first(void **given)
{
	struct account account;
	struct fail fail;
	const struct state_config config = { .layers = layers,
					     .n_layers = N_LAYERS,
					     .positions = 100000 };
	account_init(&account, state_bytes(&config) - 1);
	assert_null(state_create(&config, &account, &fail));
	assert_int_equal(fail.code, FAIL_MEMORY);
	assert_int_equal(atomic_load(&account.used_bytes), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rows_must_be_the_next_ones, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refused_rows_take_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_layers_advance_apart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_fork_shares_then_copies, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_trim_forgets_the_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_checkpoint_survives_what_follows, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_the_pool_ends, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_table_of_sequences_ends, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_sliding_layers_keep_a_window, set_up_sliding,
						tear_down),
		cmocka_unit_test_setup_teardown(test_a_trim_behind_the_window_is_refused,
						set_up_sliding, tear_down),
		cmocka_unit_test_setup_teardown(test_forks_of_sliding_layers, set_up_sliding,
						tear_down),
		cmocka_unit_test_setup_teardown(test_a_checkpoint_of_sliding_layers, set_up_sliding,
						tear_down),
		cmocka_unit_test_setup_teardown(test_abandoned_rows_of_sliding_layers,
						set_up_sliding, tear_down),
		cmocka_unit_test(test_a_window_costs_a_window),
		cmocka_unit_test(test_kinds_take_what_they_say),
		cmocka_unit_test(test_layers_that_share),
		cmocka_unit_test(test_the_account_is_asked_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
