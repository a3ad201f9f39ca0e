/* Lets every allocation of opening a model fail, one after the other: each time a sentence comes
 * and, as a sanitizer shows, nothing leaks. The linker sends allocations here (--wrap). */
#include "base/fail.h"
#include "compute/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long left = -1; /* allocations until one fails; -1: never */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

static int fails(void)
{
	return left >= 0 && left-- == 0;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

int main(int argc, char **argv)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/sound.gguf", argc > 1 ? argv[1] : ".");
	for (long failing = 0; failing < 100; failing++) {
		struct fail fail = { 0 };
		left = failing;
		struct model *model = model_open(path, &fail);
		const int untouched = left >= 0;
		left = -1;
		model_close(model);
		if (untouched && model) { /* every allocation had its turn */
			printf("%ld allocations failed in turn\n", failing);
			return failing < 8;
		}
		if (!model && (fail.code != FAIL_MEMORY || !strstr(fail.text, "memory"))) {
			printf("allocation %ld: %d '%s'\n", failing, fail.code, fail.text);
			return 1;
		}
	}
	printf("opening never succeeded\n");
	return 1;
}
