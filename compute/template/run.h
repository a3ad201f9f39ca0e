/* run.h: one compilation or one rendering under way: its memory, its steps, and its one way out.
 *
 * What fails deep inside leaves by run_fail, which does not return: it jumps to where the run
 * began. All memory of a run is the arena's, so nothing is left behind. */
#ifndef COMPUTE_TEMPLATE_RUN_H
#define COMPUTE_TEMPLATE_RUN_H

#include "base/fail.h"
#include "compute/template/arena.h"

#include <setjmp.h>
#include <stdbool.h>

#define RUN_DEPTH_MAX 1500 /* nodes or values within one another; bounds the stack */

struct run {
	struct arena *arena;
	struct fail *fail;
	jmp_buf exit;
	uint32_t line; /* of the template, being read or rendered */
	uint32_t depth, depth_max;
	uint64_t steps, steps_max;
	uint64_t output_max;
	int64_t now_s;
};

/* Fails with "the chat template, line N: " and the sentence. */
_Noreturn void run_fail(struct run *run, enum fail_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Fails with the sentence alone: the template's own exception. */
_Noreturn void run_raise(struct run *run, const char *text, size_t size);
void *run_take(struct run *run, size_t size); /* zeroed; never NULL */
void run_step(struct run *run, uint64_t count);
/* Deeper by one, and back. */
void run_enter(struct run *run);
void run_leave(struct run *run);

#endif
