#include "compute/pretokenizer.h"

#include "compute/pretokenizer_rules.h"

#include <string.h>

#define NAMES_MAX 12
#define RULES_MAX 7

enum trait { IGNORES_MERGES = 1, ADDS_BOS = 2, RAW = 4 };

/* Sources: the tokenizer.json of each model family, and for the names what GGUF writers use. */
struct pretokenizer_family {
	const char *names[NAMES_MAX];
	pretokenizer_rule rules[RULES_MAX]; /* NULL after the last */
	uint32_t traits;
};

static const struct pretokenizer_family families[] = {
	{ { "default" }, { rule_signs, rule_gpt2, rule_numbers, rule_three_digits } },
	{ { "llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0",
	    "lfm2", "jina-v5-nano" },
	  { rule_llama3 },
	  IGNORES_MERGES | ADDS_BOS },
	{ { "dbrx", "smaug-bpe", "chatglm-bpe" }, { rule_llama3 } },
	{ { "glm4", "glm5" }, { rule_llama3 }, IGNORES_MERGES },
	{ { "minicpm5" }, { rule_three_numbers, rule_llama3 }, IGNORES_MERGES },
	{ { "qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan",
	    "solar-open", "grok-2" },
	  { rule_qwen2 } },
	{ { "qwen35" }, { rule_qwen35 } },
	{ { "ufakzeka" }, { rule_ufakzeka } },
	{ { "laguna" }, { rule_lines, rule_qwen2 } },
	{ { "gpt-2", "phi-2", "mpt", "olmo", "jais", "exaone4", "mellum", "gigachat", "a.x-4.0",
	    "trillion", "granite-docling" },
	  { rule_gpt2 } },
	{ { "starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b",
	    "mellum2" },
	  { rule_number, rule_gpt2 } },
	{ { "falcon" }, { rule_signs_and_ticks, rule_gpt2, rule_three_digits } },
	{ { "tekken" }, { rule_tekken }, IGNORES_MERGES | ADDS_BOS },
	{ { "gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2" }, { rule_gpt4o } },
	{ { "deepseek-llm" },
	  { rule_line_end, rule_cased_letters, rule_marks_of_width, rule_last_spaces, rule_eastern,
	    rule_numbers } },
	{ { "deepseek-coder" },
	  { rule_line_end, rule_letters, rule_punctuation, rule_eastern, rule_number } },
	{ { "deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4" },
	  { rule_three_numbers, rule_japanese, rule_deepseek3 } },
	{ { "gemma4", "granite-embed-multi-311m" }, { rule_lines }, RAW | ADDS_BOS },
};

static const struct pretokenizer_family *find_family(const char *name, size_t size)
{
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		for (size_t j = 0; j < NAMES_MAX && families[i].names[j]; j++) {
			const char *known = families[i].names[j];
			if (strlen(known) == size && memcmp(known, name, size) == 0)
				return &families[i];
		}
	}
	return NULL;
}

int pretokenizer_init(struct pretokenizer *pretokenizer, const char *name, size_t size,
		      struct fail *fail)
{
	const struct pretokenizer_family *family =
		name && size > 0 ? find_family(name, size) : &families[0];
	if (!family)
		return fail_set(fail, FAIL_UNSUPPORTED,
				"the pre-tokenizer \"%.*s\" is not known to this version",
				(int)(size < 64 ? size : 64), name);
	*pretokenizer = (struct pretokenizer){
		.family = family,
		.ignores_merges = family->traits & IGNORES_MERGES,
		.adds_bos = family->traits & ADDS_BOS,
		.raw = family->traits & RAW,
	};
	return 0;
}

/* Each piece goes through the rules that are left before the next piece is cut: no rule sees past
 * the end of the piece that the rule before it cut. */
static void cut(const pretokenizer_rule *rules, struct span span, uint32_t at, struct buf *ends)
{
	while (at < span.end) {
		const uint32_t end = rules[0](&span, at);
		if (rules[1])
			cut(rules + 1, (struct span){ span.text, end }, at, ends);
		else
			buf_append(ends, &end, sizeof(end));
		at = end;
	}
}

bool pretokenizer_split(const struct pretokenizer *pretokenizer, const uint8_t *text,
			uint32_t start, uint32_t end, struct buf *ends)
{
	cut(pretokenizer->family->rules, (struct span){ text, end }, start, ends);
	return !ends->failed;
}
