/* Breaks small sound models in 2,400 seeded ways: cut short, bits turned, integers replaced, bytes
 * moved, in header and tables. Each must open or be refused with a sentence; run under a sanitizer
 * this shows that no byte past the end is read and nothing leaks. */
#include "base/buf.h"
#include "base/fail.h"
#include "base/file.h"
#include "compute/model.h"
#include "compute/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MUTANTS    2400
#define FILE_LIMIT 65536u

static uint64_t seed;

/* splitmix64 */
static uint64_t next_random(void)
{
	uint64_t z = (seed += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static size_t below(size_t limit)
{
	return limit ? next_random() % limit : 0;
}

static void turn_bits(uint8_t *bytes, size_t head)
{
	for (size_t n = 1 + below(8); n > 0; n--)
		bytes[below(head)] ^= (uint8_t)(1u << below(8));
}

static void replace_integer(uint8_t *bytes, size_t head)
{
	static const uint64_t values[] = { 0,
					   1,
					   2,
					   3,
					   5,
					   9,
					   13,
					   31,
					   33,
					   64,
					   97,
					   255,
					   4096,
					   65535,
					   65537,
					   1u << 24,
					   INT32_MAX,
					   UINT32_MAX,
					   UINT64_C(1) << 32,
					   UINT64_C(1) << 40,
					   INT64_MAX,
					   UINT64_MAX - 31,
					   UINT64_MAX };
	const uint64_t value = values[below(sizeof(values) / sizeof(values[0]))];
	uint8_t raw[8];
	store_u64le(raw, value);
	const size_t width = below(2) ? 8 : 4;
	memcpy(bytes + below(head - width), raw, width);
}

static void move_bytes(uint8_t *bytes, size_t head)
{
	const size_t size = 1 + below(64);
	memmove(bytes + below(head - size), bytes + below(head - size), size);
}

/* Changes `bytes` in place; gives the new size. `head` is where the data section starts. */
static size_t mutate(uint8_t *bytes, size_t size, size_t head)
{
	switch (below(8)) {
	case 0:
		return below(size);
	case 1:
		return below(head);
	case 2:
	case 3:
		turn_bits(bytes, head);
		break;
	case 4:
		move_bytes(bytes, head);
		break;
	default:
		replace_integer(bytes, head);
		break;
	}
	return size;
}

static bool use(struct model *model)
{
	const struct gguf_tensor *tensors[UNIT_TENSORS_MAX];
	uint64_t end = 0;
	for (uint32_t i = 0; i < model_shape(model)->n_layers; i++) {
		const uint32_t count = model_unit_tensors(model, UNIT_LAYER, i, tensors);
		for (uint32_t j = 0; j < count; j++)
			end |= tensors[j]->offset + tensors[j]->bytes;
	}
	return end != 0;
}

/* The vocabulary may be bad where the model is good; then it is refused with a sentence. */
static bool use_tokenizer(const struct model *model)
{
	struct fail fail = { 0 };
	struct tokenizer *tokenizer = tokenizer_create(model_gguf(model), &fail);
	if (!tokenizer)
		return fail.code != FAIL_NONE && strlen(fail.text) > 10;
	struct buf ids;
	buf_init(&ids);
	const struct tokenize_options options = { .bos = true, .special = true };
	const bool good = tokenizer_encode(tokenizer, "once upon a \xff time", 18, &options, &ids,
					   &fail) == 0;
	buf_finish(&ids);
	tokenizer_destroy(tokenizer);
	return good;
}

/* 1: opened, 0: refused with a sentence, -1: refused without one, or it opened and is unusable. */
static int judge(struct model *model, const struct fail *fail)
{
	if (!model)
		return fail->code != FAIL_NONE && strlen(fail->text) > 10 ? 0 : -1;
	const bool good = use(model) && use_tokenizer(model);
	model_close(model);
	return good ? 1 : -1;
}

static int try_memory(const uint8_t *bytes, size_t size)
{
	struct fail fail = { 0 };
	uint8_t *exact = malloc(size ? size : 1); /* so that a sanitizer sees one byte too many */
	if (!exact)
		return -1;
	memcpy(exact, bytes, size);
	const int verdict = judge(model_parse(exact, size, size, &fail), &fail);
	free(exact);
	return verdict;
}

static int try_file(const char *path, const uint8_t *bytes, size_t size)
{
	struct fail fail = { 0 };
	unlink(path); /* a new file: some file systems flush one that is written over */
	FILE *file = fopen(path, "wb");
	if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0)
		return -1;
	return judge(model_open(path, &fail), &fail);
}

static int run(const char *name, const struct buf *sound, int count, int *opened)
{
	char path[64];
	struct fail fail;
	struct gguf *gguf = gguf_parse(sound->data, sound->size, sound->size, &fail);
	if (!gguf || sound->size > FILE_LIMIT) {
		printf("%s: %s\n", name, gguf ? "too large" : fail.text);
		gguf_close(gguf);
		return count;
	}
	const size_t head = gguf_data_offset(gguf);
	gguf_close(gguf);
	snprintf(path, sizeof(path), "/tmp/mutant.%d.gguf", (int)getpid());
	int bad = 0;
	for (int i = 0; i < count; i++) {
		uint8_t bytes[FILE_LIMIT];
		memcpy(bytes, sound->data, sound->size);
		const uint64_t at = seed;
		const size_t size = mutate(bytes, sound->size, head);
		const int memory = try_memory(bytes, size);
		const int file = try_file(path, bytes, size);
		if (memory < 0 || file < 0 || memory != file) {
			printf("%s: seed %llu: %d %d\n", name, (unsigned long long)at, memory,
			       file);
			bad++;
		}
		*opened += memory == 1;
	}
	unlink(path);
	return bad;
}

int main(int argc, char **argv)
{
	int bad = argc < 2, opened = 0;
	for (int i = 1; i < argc; i++) {
		struct buf sound;
		struct fail fail = { 0 };
		buf_init(&sound);
		if (file_read(argv[i], FILE_LIMIT, &sound, &fail) != 0) {
			printf("%s\n", fail.text);
			bad++;
		} else {
			bad += run(argv[i], &sound, MUTANTS / (argc - 1) + 1, &opened);
		}
		buf_finish(&sound);
	}
	printf("%d mutants, %d opened, %d wrong\n", MUTANTS, opened, bad);
	return bad || opened == 0 || opened > MUTANTS / 2;
}
