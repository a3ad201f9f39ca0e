/* Any vocabulary and any text. The first byte says what the rest is: 0xff, a GGUF file as it is;
 * else a few pieces for a vocabulary that is sound otherwise, and a text, which must come back from
 * its tokens when it is UTF-8. */
#include "../../unit/text/vocab_build.h"

#include "compute/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SPACE "\xe2\x96\x81"

static bool is_utf8(const uint8_t *text, size_t size)
{
	for (size_t at = 0; at < size;) {
		const int found = utf8_scan(text + at, size - at);
		if (found <= 0)
			return false;
		at += (size_t)found;
	}
	return true;
}

/* U+2581 and a space cannot be told apart by a SentencePiece vocabulary. */
static void join_spaces(struct buf *text)
{
	size_t kept = 0;
	for (size_t at = 0; at < text->size; kept++) {
		const bool space = text->size - at >= 3 && memcmp(text->data + at, SPACE, 3) == 0;
		text->data[kept] = space ? ' ' : text->data[at];
		at += space ? 3 : 1;
	}
	text->size = kept;
}

static void encode(const struct tokenizer *tokenizer, const uint8_t *text, size_t size,
		   bool special, struct buf *ids)
{
	const struct tokenize_options options = { .bos = special, .special = special };
	struct fail fail = { 0 };
	if (tokenizer_encode(tokenizer, (const char *)text, size, &options, ids, &fail) < 0)
		abort();
	for (size_t i = 0; i < ids->size; i += 4) {
		uint32_t id;
		memcpy(&id, ids->data + i, 4);
		if (id >= tokenizer_count(tokenizer))
			abort();
	}
}

static void check_text(const struct tokenizer *tokenizer, const uint8_t *text, size_t size,
		       bool comes_back)
{
	struct buf ids, back, wanted;
	buf_init(&ids);
	buf_init(&back);
	buf_init(&wanted);
	encode(tokenizer, text, size, true, &ids);
	buf_clear(&ids);
	encode(tokenizer, text, size, false, &ids);
	for (size_t i = 0; i < ids.size; i += 4) {
		uint32_t id;
		memcpy(&id, ids.data + i, 4);
		tokenizer_piece(tokenizer, id, i == 0, false, &back);
	}
	if (comes_back && is_utf8(text, size)) {
		buf_append(&wanted, text, size);
		join_spaces(&wanted);
		join_spaces(&back);
		if (back.size != wanted.size ||
		    (back.size > 0 && memcmp(back.data, wanted.data, back.size) != 0))
			abort();
	}
	buf_finish(&ids);
	buf_finish(&back);
	buf_finish(&wanted);
}

/* ---- a vocabulary out of bytes ---- */

struct words {
	char text[64][16];
	uint32_t count;
};

/* Each word: a byte of kind and length, then its bytes, until a zero. Gives what is left. */
static struct reader take_words(struct words *words, uint8_t *kinds, const uint8_t *data,
				size_t size)
{
	struct reader reader;
	reader_init(&reader, data, size);
	while (words->count < 64 && reader_left(&reader) > 0) {
		const uint8_t head = reader_u8(&reader);
		const size_t length = head & 15;
		if (head == 0)
			break;
		char *word = words->text[words->count];
		for (size_t i = 0; i < length; i++) {
			const uint8_t byte = reader_u8(&reader);
			word[i] = (char)(byte ? byte : '0');
		}
		kinds[words->count++] = head >> 4;
	}
	return reader;
}

static bool known(const struct vocab_build *build, const char *text)
{
	for (uint32_t i = 0; i < build->n_pieces; i++) {
		if (strcmp(build->pieces[i].text, text) == 0)
			return true;
	}
	return false;
}

/* Gives whether any token is user-defined. */
static bool add_spm_words(struct vocab_build *build, const struct words *words,
			  const uint8_t *kinds)
{
	static const uint32_t kind_of[] = { NORMAL, NORMAL, USER, CONTROL };
	bool user = false;
	vocab_add(build, SPACE, NORMAL, -1);
	for (uint32_t i = 0; i < words->count; i++) {
		const uint32_t kind = kind_of[kinds[i] & 3];
		if (known(build, words->text[i]))
			continue;
		vocab_add(build, words->text[i], kind, (float)(kinds[i] >> 2) - (float)(i % 3));
		user = user || kind == USER;
	}
	return user;
}

/* Two words in a row that are tokens make a merge and its token. */
static void add_bpe_words(struct vocab_build *build, const struct words *words,
			  const uint8_t *kinds, char merges[64][40], char tokens[64][40])
{
	for (uint32_t i = 0; i + 1 < words->count; i++) {
		const char *left = words->text[i], *right = words->text[i + 1];
		if (kinds[i] & 1) {
			if (!known(build, left) && (uint8_t)left[0] < 0x80)
				vocab_add(build, left, kinds[i] & 2 ? CONTROL : NORMAL, 0);
		} else if (known(build, left) && known(build, right)) {
			snprintf(merges[i], 40, "%s %s", left, right);
			snprintf(tokens[i], 40, "%s%s", left, right);
			vocab_merge(build, merges[i], tokens[i]);
		}
	}
}

static void made_vocabulary(uint8_t what, const uint8_t *data, size_t size)
{
	/* one name of each pre-tokenizer; the last is raw and starts from other bytes */
	static const char *const rules[] = {
		"llama-bpe", "gpt-2",    "qwen2",        "starcoder",      "default",     "glm4",
		"dbrx",      "minicpm5", "qwen35",       "ufakzeka",       "laguna",      "falcon",
		"tekken",    "gpt-4o",   "deepseek-llm", "deepseek-coder", "deepseek-v3", "gemma4",
	};
	const size_t n_rules = sizeof(rules) / sizeof(rules[0]), rule = (what >> 1) % n_rules;
	struct words words = { 0 };
	uint8_t kinds[64];
	char merges[64][40], tokens[64][40];
	const struct reader text = take_words(&words, kinds, data, size);
	struct vocab_build *build = malloc(sizeof(*build));
	if (!build)
		abort();
	bool comes_back = true;
	if (what & 1) {
		if (rule == n_rules - 1)
			vocab_start_raw(build);
		else
			vocab_start_bpe(build, rules[rule]);
		add_bpe_words(build, &words, kinds, merges, tokens);
	} else {
		vocab_start_spm(build);
		build->space_prefix = what >> 1 & 1;
		build->name = what & 4 ? "phi-3" : NULL; /* tokens take white space */
		const bool user = add_spm_words(build, &words, kinds);
		/* a prefix comes after each of them, and white space beside them goes */
		comes_back = !(user && (build->space_prefix || build->name));
	}
	struct fail fail = { 0 };
	struct tokenizer *tokenizer = vocab_open(build, &fail);
	if (tokenizer)
		check_text(tokenizer, text.next, reader_left(&text), comes_back);
	else if (fail.code == FAIL_NONE || !fail.text[0])
		abort();
	tokenizer_destroy(tokenizer);
	free(build);
}

static void any_file(const uint8_t *data, size_t size)
{
	static const char text[] = " Any text,\n\xc3\xa9 \xff<s>12345 ";
	struct fail fail = { 0 };
	struct gguf *gguf = gguf_parse(data, size, size, &fail);
	struct tokenizer *tokenizer = gguf ? tokenizer_create(gguf, &fail) : NULL;
	gguf_close(gguf);
	if (tokenizer)
		check_text(tokenizer, (const uint8_t *)text, sizeof(text) - 1, false);
	else if (fail.code == FAIL_NONE || !fail.text[0])
		abort();
	tokenizer_destroy(tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0 && data[0] == 0xff)
		any_file(data + 1, size - 1);
	else if (size > 0)
		made_vocabulary(data[0], data + 1, size - 1);
	return 0;
}
