#include "compute/template/run.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define RAISED_MAX 300 /* bytes of what a template says */

void run_fail(struct run *run, enum fail_code code, const char *format, ...)
{
	char text[sizeof(run->fail->text)];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fail_set(run->fail, code, "the chat template, line %u: %.300s", run->line, text);
	longjmp(run->exit, 1);
}

void run_raise(struct run *run, const char *text, size_t size)
{
	if (size > RAISED_MAX) {
		size = RAISED_MAX;
		while (size > 0 && ((uint8_t)text[size] & 0xc0) == 0x80)
			size--; /* between characters */
	}
	fail_set(run->fail, FAIL_INVALID, "the model's chat template says: %.*s", (int)size, text);
	longjmp(run->exit, 1);
}

void *run_take(struct run *run, size_t size)
{
	void *taken = arena_take(run->arena, size);
	if (!taken)
		run_fail(run, FAIL_MEMORY, "it takes more memory than the %" PRIu64 " KiB allowed",
			 run->arena->limit >> 10);
	return taken;
}

void run_step(struct run *run, uint64_t count)
{
	run->steps += count;
	if (run->steps > run->steps_max)
		run_fail(run, FAIL_INVALID,
			 "it has taken %" PRIu64 " steps and does not end (a loop without end, or "
			 "too long a conversation)",
			 run->steps_max);
}

void run_enter(struct run *run)
{
	if (++run->depth > run->depth_max)
		run_fail(run, FAIL_INVALID, "it nests more than %u levels deep", run->depth_max);
}

void run_leave(struct run *run)
{
	run->depth--;
}
