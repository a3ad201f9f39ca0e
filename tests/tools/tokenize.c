/* Tokenizes many texts in one go, for tests that compare ids: reads records {u32 size, u8 flags
 * (1: BOS, 2: special), bytes} from standard input, writes {u32 count, u32 ids[count]} for each,
 * all little-endian. With --speed TEXTFILE [RUNS] it prints the processor time that creating and
 * encoding (the best run of five) take instead. */
#include "base/buf.h"
#include "base/fail.h"
#include "compute/gguf.h"
#include "compute/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int die(const char *what)
{
	fprintf(stderr, "tokenize: %s\n", what);
	return 1;
}

static void read_all(FILE *file, struct buf *into)
{
	uint8_t *at;
	size_t got;
	do {
		at = buf_extend(into, 65536);
		got = at ? fread(at, 1, 65536, file) : 0;
		into->size -= at ? 65536 - got : 0;
	} while (got > 0);
}

static int answer_records(const struct tokenizer *tokenizer)
{
	struct buf in, ids;
	buf_init(&in);
	buf_init(&ids);
	read_all(stdin, &in);
	struct reader reader;
	reader_init(&reader, in.data, in.size);
	struct fail fail = { 0 };
	int result = 0;
	while (result == 0 && reader_left(&reader) > 0) {
		const uint32_t size = reader_u32(&reader);
		const uint8_t flags = reader_u8(&reader);
		const uint8_t *text = reader_take(&reader, size);
		const struct tokenize_options options = { .bos = flags & 1, .special = flags & 2 };
		buf_clear(&ids);
		if (reader.failed)
			result = die("a record is cut short");
		else if (tokenizer_encode(tokenizer, (const char *)text, size, &options, &ids,
					  &fail) < 0)
			result = die(fail.text);
		uint8_t count[4];
		store_u32le(count, (uint32_t)(ids.size / 4));
		fwrite(count, 1, 4, stdout);
		for (size_t i = 0; i < ids.size; i += 4) {
			uint32_t id;
			memcpy(&id, ids.data + i, 4);
			store_u32le(count, id);
			fwrite(count, 1, 4, stdout);
		}
	}
	buf_finish(&in);
	buf_finish(&ids);
	return result;
}

/* Of this thread: other load on the machine does not count. */
static int64_t cpu_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int print_speed(const struct tokenizer *tokenizer, const char *path, int runs)
{
	FILE *file = fopen(path, "rb");
	if (!file)
		return die("the text file cannot be read");
	struct buf text, ids;
	buf_init(&text);
	buf_init(&ids);
	read_all(file, &text);
	fclose(file);
	const struct tokenize_options options = { 0 };
	int64_t best_us = INT64_MAX;
	struct fail fail = { 0 };
	int result = 0;
	for (int i = 0; i < runs && result == 0; i++) {
		buf_clear(&ids);
		const int64_t start_us = cpu_us();
		if (tokenizer_encode(tokenizer, (const char *)text.data, text.size, &options, &ids,
				     &fail) < 0)
			result = die(fail.text);
		const int64_t us = cpu_us() - start_us;
		best_us = us < best_us ? us : best_us;
	}
	printf("%zu bytes, %zu tokens, %.2f ms, %.1f MB/s\n", text.size, ids.size / 4,
	       (double)best_us / 1e3, (double)text.size / (double)best_us);
	buf_finish(&text);
	buf_finish(&ids);
	return result;
}

int main(int argc, char **argv)
{
	struct fail fail = { 0 };
	if (argc != 2 && ((argc != 4 && argc != 5) || strcmp(argv[2], "--speed") != 0))
		return die("usage: tokenize MODEL.gguf [--speed TEXTFILE [RUNS]]");
	struct gguf *gguf = gguf_open(argv[1], &fail);
	if (!gguf)
		return die(fail.text);
	const int64_t start_us = cpu_us();
	struct tokenizer *tokenizer = tokenizer_create(gguf, &fail);
	const int64_t us = cpu_us() - start_us;
	gguf_close(gguf);
	if (!tokenizer)
		return die(fail.text);
	if (argc > 2)
		printf("%u tokens, created in %.1f ms, %.1f MiB\n", tokenizer_count(tokenizer),
		       (double)us / 1e3, (double)tokenizer_bytes(tokenizer) / (1 << 20));
	const int result = argc > 2 ? print_speed(tokenizer, argv[3], argc > 4 ? atoi(argv[4]) : 5)
				    : answer_records(tokenizer);
	tokenizer_destroy(tokenizer);
	return result;
}
