/* Any tokens and stop strings: what comes out is UTF-8 and is the whole text cut at the stop
 * string that is complete first. A byte of flags and number of stop strings, the strings (length,
 * bytes), then tokens, a byte each. */
#include "../../unit/text/vocab_build.h"

#include "compute/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tokenizer *make_tokenizer(void)
{
	static const char *const pieces[] = {
		"\xe2\x96\x81", "\xe2\x96\x81stop", "aba",  "ab",      "\xc3",
		"\xa9\xc3",     "\xf0\x9f\x98\x80", "\n\n", "\xf0\x9f"
	};
	struct vocab_build *build = malloc(sizeof(*build));
	if (!build)
		abort();
	vocab_start_spm(build);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		vocab_add(build, pieces[i], NORMAL, 0);
	struct tokenizer *tokenizer = vocab_tokenizer(build);
	free(build);
	return tokenizer;
}

/* Small bytes are the pieces, the others themselves. */
static uint32_t token_of(uint8_t byte)
{
	return byte < 9 ? SPM_FIRST + byte : SPM_BYTES + byte;
}

static void run(const struct tokenizer *tokenizer, const char *const *stops, uint32_t n_stops,
		const uint8_t *tokens, size_t n_tokens, struct buf *out)
{
	struct detokenizer *detokenizer = detokenizer_create(tokenizer, stops, n_stops);
	if (!detokenizer)
		abort();
	bool stop = false;
	for (size_t i = 0; i < n_tokens && !stop; i++)
		stop = detokenizer_push(detokenizer, token_of(tokens[i]), out);
	detokenizer_flush(detokenizer, out);
	detokenizer_destroy(detokenizer);
}

static size_t cut(const struct buf *text, const char *const *stops, uint32_t n_stops)
{
	for (size_t end = 1; end <= text->size; end++) {
		size_t longest = 0;
		for (uint32_t i = 0; i < n_stops; i++) {
			const size_t length = strlen(stops[i]);
			if (length <= end && length > longest &&
			    memcmp(text->data + end - length, stops[i], length) == 0)
				longest = length;
		}
		if (longest > 0)
			return end - longest;
	}
	return text->size;
}

static void check(const struct tokenizer *tokenizer, const char *const *stops, uint32_t n_stops,
		  const uint8_t *tokens, size_t n_tokens)
{
	struct buf whole, out;
	buf_init(&whole);
	buf_init(&out);
	run(tokenizer, NULL, 0, tokens, n_tokens, &whole);
	run(tokenizer, stops, n_stops, tokens, n_tokens, &out);
	for (size_t at = 0; at < whole.size;) {
		const int found = utf8_scan(whole.data + at, whole.size - at);
		if (found <= 0)
			abort();
		at += (size_t)found;
	}
	const size_t wanted = cut(&whole, stops, n_stops);
	if (out.size != wanted || (wanted > 0 && memcmp(out.data, whole.data, wanted) != 0))
		abort();
	buf_finish(&whole);
	buf_finish(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tokenizer *tokenizer; /* lives as long as the program */
	if (!tokenizer)
		tokenizer = make_tokenizer();
	struct reader reader;
	reader_init(&reader, data, size);
	char texts[DETOKENIZER_STOPS_MAX][DETOKENIZER_STOP_BYTES + 1] = { 0 };
	const char *stops[DETOKENIZER_STOPS_MAX];
	const uint32_t n_stops = reader_u8(&reader) % (DETOKENIZER_STOPS_MAX + 1);
	for (uint32_t i = 0; i < n_stops; i++) {
		const uint8_t length = reader_u8(&reader);
		reader_copy(&reader, texts[i], length);
		stops[i] = texts[i][0] ? texts[i] : "ab";
	}
	if (!reader.failed)
		check(tokenizer, stops, n_stops, reader.next, reader_left(&reader));
	return 0;
}
