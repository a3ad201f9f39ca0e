/* drive.h: work on slices as plain calls that wait, for tests, benchmarks and tools. */
#ifndef TESTS_TOOLS_DRIVE_H
#define TESTS_TOOLS_DRIVE_H

#include "compute/backend.h"

/* Submits and waits; gives the work's code. `done` and `context` are used here. */
enum fail_code drive(struct slice *slice, struct work *work);

/* WORK_OPEN, WORK_FORK, ... for all ranges of the slice. */
enum fail_code drive_sequence(struct slice *slice, enum work_kind kind, uint32_t a, uint32_t b,
			      uint32_t position);
enum fail_code drive_embed(struct slice *slice, const struct work_row *rows, uint32_t n_rows,
			   float *hidden);
enum fail_code drive_layers(struct slice *slice, uint32_t first, uint32_t end,
			    const struct work_row *rows, uint32_t n_rows, float *hidden);
enum fail_code drive_output(struct slice *slice, const struct work_row *rows, uint32_t n_rows,
			    float *hidden, float *logits);

/* A slice that holds the whole model. Gives; on failure NULL and the sentence. */
struct slice *drive_whole(struct backend *backend, const struct model *model, uint32_t kv_positions,
			  uint32_t rows_max, struct fail *fail);

#endif
