/* state.h: the paged KV cache of one range of layers, and the sequences in it.
 *
 * A page holds the keys and values of STATE_PAGE positions for a group of layers: those that see
 * everything, and those that share one sliding window. One page table per sequence and group serves
 * all its layers. Pages are counted, so a fork or a checkpoint shares them and the first append to
 * a shared page copies it. Lengths are kept per layer, because the layers of a range may be passed
 * in several pieces of work. Rows become part of a sequence when they are committed: work that was
 * cancelled or refused leaves no position behind.
 *
 * Layers with a sliding window keep of each sequence the window, KV_TRIM_BACK positions before it,
 * and the rows under work; older pages are given back when the next rows come. So a sequence can
 * always be trimmed by KV_TRIM_BACK positions; a trim that would need pages already given back is
 * refused (FAIL_NOT_FOUND), and whoever wants it drops the sequence and computes it again. A
 * checkpoint holds the pages of its own moment.
 *
 * Recurrent layers keep a block of floats instead, which knows no earlier position: a sequence that
 * has such layers can be trimmed to 0 only, any other trim that would shorten it is refused.
 *
 * Used by the leader thread alone, but for state_counts. */
#ifndef COMPUTE_STATE_H
#define COMPUTE_STATE_H

#include "base/account.h"
#include "base/fail.h"
#include "compute/backend.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATE_PAGE          KV_PAGE_POSITIONS
#define STATE_SEQUENCES_MAX KV_SEQUENCES_MAX

/* One layer's part of a page: of each of its heads the keys, then the values, in the form of kv.h.
 */
struct state_layer {
	uint32_t n_head_kv, head_k, head_v;
	uint32_t window;    /* positions seen, itself included; 0: all */
	uint32_t recurrent; /* floats that the layer keeps instead of keys and values; 0: none */
	uint32_t back;      /* so many layers before it lies the one whose keys and values it
			       reads, of the same widths and window; 0: it has its own */
};

struct state_config {
	const struct state_layer *layers; /* [n_layers] */
	uint32_t n_layers;
	enum kv_kind kind;
	uint32_t positions; /* of all sequences together; rounded up to whole pages */
	uint32_t sequences; /* for so many sliding layers have full windows; 0: they have
			       `positions` */
	uint32_t rows_max;  /* most rows in one piece of work */
};

struct state;

/* Charges the account (ACCOUNT_KV) with state_bytes before it allocates. Gives. */
struct state *state_create(const struct state_config *config, struct account *account,
			   struct fail *fail);
void state_destroy(struct state *state); /* accepts NULL */
uint64_t state_bytes(const struct state_config *config);

/* ---- sequences ---- */

/* What a piece of sequence work (WORK_OPEN and so on) would answer: 0, FAIL_INVALID (no such
 * sequence or checkpoint, or the new one exists already), FAIL_MEMORY (STATE_SEQUENCES_MAX) or
 * FAIL_NOT_FOUND (a trim to before what sliding layers kept, or of recurrent ones).
 * A checkpoint is known by its sequence and its number; setting it again replaces it; dropping the
 * sequence drops it too. A trim beyond the end keeps all. */
enum fail_code state_check(const struct state *state, const struct work *work);
/* Does it; gives what state_check gives, and changes nothing unless that is 0. */
enum fail_code state_apply(struct state *state, const struct work *work);

/* ---- rows ---- */

/* Checks that every row has its sequence's next position in layers [first, end) of the range (0 is
 * the range's first layer), finds pages for them and writes each row's slot. After 0, either
 * state_commit or state_abandon must follow with the same rows. FAIL_INVALID or FAIL_MEMORY: no
 * position was taken. */
enum fail_code state_prepare(struct state *state, const struct work_row *rows, uint32_t n_rows,
			     uint32_t first, uint32_t end, uint32_t *slots);
void state_commit(struct state *state, const uint32_t *slots, uint32_t n_rows, uint32_t first,
		  uint32_t end);
void state_abandon(struct state *state, const uint32_t *slots, uint32_t n_rows);

/* The slot's pages of a layer in order of position, NULL where given back; valid until the next
 * state_apply or state_prepare. */
const uint8_t *const *state_pages(const struct state *state, uint32_t layer, uint32_t slot);
/* Where the keys and the values of a head begin in a page of its layer, in bytes; the next head's
 * lie state_head_bytes further. */
size_t state_head_bytes(const struct state *state, uint32_t layer);
size_t state_key_offset(const struct state *state, uint32_t layer, uint32_t head);
size_t state_value_offset(const struct state *state, uint32_t layer, uint32_t head);
/* Where a prepared row's key and value go: the page of its position. */
uint8_t *state_page(const struct state *state, uint32_t layer, uint32_t slot, uint32_t position);
/* What a recurrent layer keeps of a slot, see recurrent.h: as it was before the rows under work
 * (NULL at position 0), and as it will be after them. */
const float *state_now(const struct state *state, uint32_t layer, uint32_t slot);
float *state_next(const struct state *state, uint32_t layer, uint32_t slot);
/* False: the layer has no keys and values of its own, but reads an earlier one's. */
bool state_writes(const struct state *state, uint32_t layer);
enum kv_kind state_kind(const struct state *state);

/* Of the layers that keep most: those without a window, where there are any. */
struct state_counts {
	uint32_t sequences, pages_used, pages_total;
};
void state_counts(const struct state *state, struct state_counts *counts); /* any thread */

#endif
