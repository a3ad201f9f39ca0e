#include "compute/tokenizer_roles.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BAR          "\xef\xbd\x9c" /* U+FF5C */

/* ---- spellings ----
 * Sources: the tokenizer configurations of the models that use them; the same lists as llama.cpp's.
 */

/* These end a turn or a text whatever the file calls them; such a token is a control token even
 * where the file says otherwise (many converted files do). */
static const char *const end_spellings[] = {
	"<|eot_id|>",
	"<|im_end|>",
	"<|end|>",
	"<|return|>",
	"<|call|>",
	"<|flush|>",
	"<|calls|>",
	"<end_of_turn>",
	"<|endoftext|>",
	"</s>",
	"<|eom_id|>",
	"<EOT>",
	"_<EOT>",
	"[EOT]",
	"[EOS]",
	"<|end_of_text|>",
	"<end_of_utterance>",
	"<eos>",
	"<turn|>",
	"<|tool_response>",
	"[e~[",
	"<" BAR "end" VOCAB_SPACE "of" VOCAB_SPACE "sentence" BAR ">",
};

/* Marks for filling in the middle: control tokens as well, unless the file names another token for
 * the part. An answer ends where a model begins another file. */
static const struct part {
	const char *keys[2];
	bool ends;
	const char *spellings[8];
} parts[] = {
	{ { "tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id" },
	  false,
	  { "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>",
	    "<" BAR "fim" VOCAB_SPACE "begin" BAR ">", "<PRE>", VOCAB_SPACE "<PRE>",
	    "<|code_prefix|>", "<|prefix|>" } },
	{ { "tokenizer.ggml.fim_suf_token_id", "tokenizer.ggml.suffix_token_id" },
	  false,
	  { "<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>",
	    "<" BAR "fim" VOCAB_SPACE "hole" BAR ">", "<SUF>", VOCAB_SPACE "<SUF>",
	    "<|code_suffix|>", "<|suffix|>" } },
	{ { "tokenizer.ggml.fim_mid_token_id", "tokenizer.ggml.middle_token_id" },
	  false,
	  { "<|fim_middle|>", "<fim-middle>", "<fim_middle>",
	    "<" BAR "fim" VOCAB_SPACE "end" BAR ">", "<MID>", VOCAB_SPACE "<MID>",
	    "<|code_middle|>", "<|middle|>" } },
	{ { "tokenizer.ggml.fim_pad_token_id" },
	  true,
	  { "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]" } },
	{ { "tokenizer.ggml.fim_rep_token_id" },
	  true,
	  { "<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>" } },
	{ { "tokenizer.ggml.fim_sep_token_id" }, true, { "<|file_sep|>" } },
};

/* Parts of a harmony message: text to be seen, though files call them control tokens. */
static const char *const message_spellings[] = {
	"<|channel|>",
	"<|message|>",
	"<|start|>",
	"<|constrain|>",
};

static uint32_t find(const struct vocab *vocab, const char *spelling)
{
	return vocab_spelt(vocab, (const uint8_t *)spelling, strlen(spelling));
}

/* ---- tokens that end ---- */

bool roles_end(const struct roles *roles, uint32_t token)
{
	for (uint32_t i = 0; i < roles->n_ends; i++) {
		if (roles->ends[i] == token)
			return true;
	}
	return false;
}

static void add_end(struct roles *roles, uint32_t token)
{
	if (token != TOKEN_NONE && !roles_end(roles, token) && roles->n_ends < ROLES_ENDS_MAX)
		roles->ends[roles->n_ends++] = token;
}

static void drop_end(struct roles *roles, uint32_t token)
{
	for (uint32_t i = 0; i < roles->n_ends; i++) {
		if (roles->ends[i] == token) {
			roles->ends[i] = roles->ends[--roles->n_ends];
			return;
		}
	}
}

/* "</s>" is also how HTML strikes text out, and vocabularies with HTML tags among their
 * user-defined tokens have it for that: it then ends nothing, though in plain text it is read as
 * llama.cpp reads it. */
static void find_ends(struct roles *roles, struct vocab *vocab)
{
	for (size_t i = 0; i < COUNT(end_spellings); i++) {
		const uint32_t token = find(vocab, end_spellings[i]);
		if (token == TOKEN_NONE)
			continue;
		const bool html = strcmp(end_spellings[i], "</s>") == 0 &&
				  vocab_kind(vocab, token) == TOKEN_USER_DEFINED;
		if (!html)
			add_end(roles, token);
		vocab_set_kind(vocab, token, TOKEN_CONTROL);
	}
}

/* ---- filling in the middle ---- */

/* The id that the file gives; one past the vocabulary counts as none. */
static uint32_t given_part(const struct part *part, const struct gguf *gguf,
			   const struct vocab *vocab)
{
	for (size_t i = 0; i < COUNT(part->keys) && part->keys[i]; i++) {
		uint64_t value;
		if (gguf_u64(gguf, part->keys[i], &value) && value < vocab->count)
			return (uint32_t)value;
	}
	return TOKEN_NONE;
}

static void find_part(struct roles *roles, const struct part *part, const struct gguf *gguf,
		      struct vocab *vocab)
{
	const uint32_t given = given_part(part, gguf, vocab);
	if (part->ends)
		add_end(roles, given);
	for (size_t i = 0; given == TOKEN_NONE && i < COUNT(part->spellings) && part->spellings[i];
	     i++) {
		const uint32_t token = find(vocab, part->spellings[i]);
		if (token == TOKEN_NONE)
			continue;
		if (part->ends)
			add_end(roles, token);
		vocab_set_kind(vocab, token, TOKEN_CONTROL);
	}
}

/* ---- kinds that depend on the company ---- */

static void find_messages(struct vocab *vocab)
{
	for (size_t i = 0; i < COUNT(message_spellings); i++) {
		const uint32_t token = find(vocab, message_spellings[i]);
		if (token != TOKEN_NONE)
			vocab_set_kind(vocab, token, TOKEN_USER_DEFINED);
	}
}

static bool ends_with(const struct roles *roles, const struct vocab *vocab, const char *spelling)
{
	const uint32_t token = find(vocab, spelling);
	return token != TOKEN_NONE && roles_end(roles, token);
}

/* Beside tokens that end more, "<|end|>" ends but one message of an answer. */
static void settle_message_end(struct roles *roles, struct vocab *vocab)
{
	const uint32_t end = find(vocab, "<|end|>");
	const bool calls =
		ends_with(roles, vocab, "<|call|>") || ends_with(roles, vocab, "<|calls|>");
	const bool more =
		ends_with(roles, vocab, "<|return|>") || ends_with(roles, vocab, "<|flush|>");
	if (end == TOKEN_NONE || !calls || !more)
		return;
	drop_end(roles, end);
	vocab_set_kind(vocab, end, TOKEN_USER_DEFINED);
}

/* Gemma 4 has "</s>" for plain text. */
static void settle_strike(struct roles *roles, struct vocab *vocab)
{
	const uint32_t strike = find(vocab, "</s>");
	if (strike == TOKEN_NONE || !ends_with(roles, vocab, "<|tool_response>"))
		return;
	drop_end(roles, strike);
	vocab_set_kind(vocab, strike, TOKEN_NORMAL);
}

/* ---- white space beside tokens: GGUF does not say, so it goes by names, as in llama.cpp ---- */

static bool names(const struct gguf *gguf, const char *key, const char *part)
{
	const char *text;
	size_t size;
	const size_t length = strlen(part);
	if (!gguf_string(gguf, key, &text, &size))
		return false;
	for (size_t at = 0; at + length <= size; at++) {
		size_t i = 0;
		while (i < length && tolower((unsigned char)text[at + i]) == part[i])
			i++;
		if (i == length)
			return true;
	}
	return false;
}

static void strip_phi3(struct vocab *vocab)
{
	static const char *const plain[] = { "<unk>", "<s>", "<|endoftext|>" };
	for (uint32_t i = 0; i < vocab->count; i++) {
		const enum token_kind kind = vocab_kind(vocab, i);
		if (kind == TOKEN_CONTROL || kind == TOKEN_USER_DEFINED || kind == TOKEN_UNKNOWN)
			vocab_set_strip(vocab, i, STRIP_RIGHT);
	}
	for (size_t i = 0; i < COUNT(plain); i++) {
		const uint32_t token = find(vocab, plain[i]);
		if (token != TOKEN_NONE)
			vocab_set_strip(vocab, token, 0);
	}
}

static void find_strips(const struct gguf *gguf, struct vocab *vocab)
{
	if (names(gguf, "general.name", "phi-3") || names(gguf, "general.name", "phi3")) {
		strip_phi3(vocab);
		return;
	}
	const uint32_t mask = find(vocab, "<mask>");
	if (mask != TOKEN_NONE && names(gguf, "tokenizer.ggml.pre", "jina-v2-"))
		vocab_set_strip(vocab, mask, STRIP_LEFT);
}

/* ---- the file's ids ---- */

static int read_id(const struct vocab *vocab, const struct gguf *gguf, const char *key,
		   uint32_t absent, uint32_t *token, struct fail *fail)
{
	uint64_t value = absent;
	if (gguf_u64(gguf, key, &value) && value >= vocab->count)
		return fail_set(fail, FAIL_INVALID,
				"%s is %" PRIu64 ", but the vocabulary has %u tokens", key, value,
				vocab->count);
	*token = value < vocab->count ? (uint32_t)value : TOKEN_NONE;
	return 0;
}

static int read_ids(struct roles *roles, const struct gguf *gguf, const struct vocab *vocab,
		    struct fail *fail)
{
	const bool scored = vocab->ranks; /* SentencePiece's own defaults */
	uint32_t turn, message;
	const struct {
		const char *key;
		uint32_t absent;
		uint32_t *token;
	} ids[] = {
		{ "tokenizer.ggml.bos_token_id", scored ? 1 : TOKEN_NONE, &roles->bos },
		{ "tokenizer.ggml.eos_token_id", scored ? 2 : TOKEN_NONE, &roles->eos },
		{ "tokenizer.ggml.unknown_token_id", scored ? 0 : TOKEN_NONE, &roles->unknown },
		{ "tokenizer.ggml.eot_token_id", TOKEN_NONE, &turn },
		{ "tokenizer.ggml.eom_token_id", TOKEN_NONE, &message },
	};
	for (size_t i = 0; i < COUNT(ids); i++) {
		const int result =
			read_id(vocab, gguf, ids[i].key, ids[i].absent, ids[i].token, fail);
		if (result < 0)
			return result;
	}
	add_end(roles, roles->eos);
	add_end(roles, turn);
	add_end(roles, message);
	return 0;
}

int roles_init(struct roles *roles, const struct gguf *gguf, struct vocab *vocab, struct fail *fail)
{
	memset(roles, 0, sizeof(*roles));
	const int result = read_ids(roles, gguf, vocab, fail);
	if (result < 0)
		return result;
	for (size_t i = 0; i < COUNT(parts); i++)
		find_part(roles, &parts[i], gguf, vocab);
	find_ends(roles, vocab);
	find_messages(vocab);
	settle_message_end(roles, vocab);
	settle_strike(roles, vocab);
	find_strips(gguf, vocab);
	return 0;
}
