/* backend.h: what a device that computes provides. The CPU is one; Vulkan comes beside it.
 *
 * Asynchronous throughout: `slice_submit` returns at once, work runs in the order of submission on
 * the backend's own leader thread, and `done` is called on that thread; it must hand over to its
 * own thread and return quickly. Sequence operations are submitted in the same order as batches, so
 * a roll-back cannot race with rows. While the leader has nothing to do, the caller may do short work
 * itself (`slice_run_here`) and saves two changes of threads. The arithmetic is that of numerics.md:
 * results do not depend on batch, chunking, threads or slice. */
#ifndef COMPUTE_BACKEND_H
#define COMPUTE_BACKEND_H

#include "base/account.h"
#include "base/fail.h"
#include "compute/kv.h"
#include "compute/model.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* How far back of its end a sequence can be trimmed, whatever sliding windows its layers have. */
#define KV_TRIM_BACK 64u
/* Sequences and checkpoints that a slice can hold at the same time. */
#define KV_SEQUENCES_MAX 128u

/* Stack of a thread that computes: attention keeps tiles on it; some systems give 512 KiB. */
#define BACKEND_STACK_BYTES (2u << 20)

struct backend;

struct backend_config {
	uint32_t threads;        /* leader included; 0: as many as the process may use */
	struct account *account; /* borrowed; charged for weights, KV and buffers */
	const char *cpu;         /* a variant of kernels.h by name, or NULL: the fastest there is */
};

struct backend *backend_cpu_create(const struct backend_config *config, struct fail *fail); /* gives */
void backend_destroy(struct backend *backend); /* waits for submitted work; accepts NULL */
/* "cpu avx2, 2 threads": for doctor and logs. */
const char *backend_name(const struct backend *backend);
uint32_t backend_threads(const struct backend *backend);

struct layer_range {
	uint32_t first; /* inclusive */
	uint32_t end;   /* exclusive */
};

struct slice_config {
	const struct layer_range *ranges; /* layers held here, in rising order */
	uint32_t n_ranges;
	bool head;             /* embedding and output too */
	enum kv_kind kv_kind;  /* how keys and values are cached */
	uint32_t kv_positions; /* of all sequences together; pages are taken from this pool */
	/* For how many sequences layers with a sliding window have room for a full window (and
	 * what else state.h says they keep); 0: they have room for kv_positions, as the others. */
	uint32_t kv_sequences;
	uint32_t rows_max;     /* most rows in one batch */
	void (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes);
	void *progress_context;
};

struct slice;

/* Loads: maps the units' bytes read-only, charges the account, allocates state and scratch. Blocks
 * while it reads (call from a thread that may block). The model must outlive the slice. Gives. */
struct slice *slice_create(struct backend *backend, const struct model *model,
			   const struct slice_config *config, struct fail *fail);
/* Waits for its submitted work, frees all state. Accepts NULL. */
void slice_destroy(struct slice *slice);

enum work_kind {
	WORK_EMBED,  /* tokens -> hidden */
	WORK_LAYERS, /* hidden -> hidden through layers [first, end), all held here */
	WORK_OUTPUT, /* hidden -> logits of the rows that want them */
	WORK_OPEN, WORK_FORK, WORK_TRIM, WORK_CHECKPOINT, WORK_RESTORE, WORK_DROP /* sequences */
};

struct work_row {
	uint32_t sequence;
	uint32_t position; /* must be the sequence's next one, in the order of rows */
	uint32_t token;    /* WORK_EMBED */
	bool want;         /* WORK_OUTPUT: a logits row is written for it */
};

/* One piece of work. The caller owns it and all it points to until `done` was called. Work that was
 * cancelled or refused leaves no position behind: the sequence is as before. */
struct work {
	enum work_kind kind;
	/* WORK_LAYERS: what to run. Sequence work: whose state it concerns, the ranges of the slice
	 * inside of it; {0, 0}: all. A device that holds several stages must name the stage's range,
	 * because rows of an earlier flight may still be on their way to the later stage. */
	struct layer_range layers;
	uint32_t n_rows;
	const struct work_row *rows; /* [n_rows] */
	float *hidden;               /* [n_rows, model_row_floats], in place */
	float *logits;               /* [rows that want, n_vocab] */
	/* Sequence work, as in proto/flight.h. A checkpoint is known by its sequence and its number,
	 * keeps until the sequence is dropped and may be restored again and again. */
	uint32_t sequence_a, sequence_b, position;
	const atomic_bool *cancel;   /* looked at once a layer; may be NULL */
	/* result */
	enum fail_code code; /* 0: done; FAIL_MEMORY: no KV page or no place for a sequence left;
	                        FAIL_INVALID: no such sequence or checkpoint, one that exists
	                        already, a wrong position, token or layer; FAIL_NOT_FOUND: a trim
	                        to before what sliding layers keep; FAIL_CANCELLED */
	int64_t busy_us;     /* time it took on the leader */
	void (*done)(struct work *work);
	void *context;
	/* the backend's, while queued */
	struct slice *slice;
	struct work *next;
};

void slice_submit(struct slice *slice, struct work *work);

/* Does the work on this thread, in the leader's place, and sets its result; `done` is not called.
 * False, and nothing was done: the leader has work, or another is in its place; submit it. The
 * thread has a stack of at least BACKEND_STACK_BYTES. */
bool slice_run_here(struct slice *slice, struct work *work);

struct slice_usage {
	uint32_t sequences;
	uint32_t pages_used, pages_total;
	uint64_t weight_bytes, kv_bytes, buffer_bytes;
};
void slice_usage(const struct slice *slice, struct slice_usage *usage); /* any thread */
/* Bytes of weights, and of what lies beside them, in large pages of memory now. Any thread; takes
 * milliseconds for each GiB. */
uint64_t slice_large_bytes(const struct slice *slice);

/* What slice_create would charge for one of these: for plans. */
uint64_t slice_weight_bytes(const struct model *model, const struct slice_config *config);
uint64_t slice_kv_bytes(const struct model *model, const struct slice_config *config);
uint64_t slice_buffer_bytes(const struct model *model, const struct slice_config *config,
			    uint32_t threads);

#endif
