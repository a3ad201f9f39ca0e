/* primactl tokenize: text on standard input, token ids out; needs a model's file and no daemon. */
#include "base/buf.h"
#include "compute/compute.h"
#include "daemon/ctl/ctl.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int read_text(struct buf *text)
{
	for (;;) {
		uint8_t *to = buf_extend(text, 65536);
		const ssize_t n = to ? read(STDIN_FILENO, to, 65536) : -1;
		text->size -= to ? 65536 - (size_t)(n > 0 ? n : 0) : 0;
		if (n == 0)
			return CTL_OK;
		if (n < 0 || text->size > TOKENIZER_TEXT_MAX)
			return ctl_complain(CTL_FAILED,
					    n < 0 ? "cannot read standard input"
						  : "the text is longer than 4 MiB");
	}
}

static void print_ids(const struct buf *ids, bool json)
{
	printf("%s", json ? "[" : "");
	for (size_t i = 0; i + 4 <= ids->size; i += 4) {
		uint32_t id;
		memcpy(&id, ids->data + i, sizeof(id));
		printf(json ? "%s%u" : "%s%u", i == 0 ? "" : json ? ", " : " ", id);
	}
	printf("%s\n", json ? "]" : "");
}

static int encode(const struct tokenizer *tokenizer, const struct tokenize_options *options,
		  bool json)
{
	struct buf text, ids;
	struct fail fail;
	buf_init(&text);
	buf_init(&ids);
	int result = read_text(&text);
	if (result == CTL_OK && tokenizer_encode(tokenizer, (const char *)text.data, text.size,
						 options, &ids, &fail) < 0)
		result = ctl_complain(CTL_FAILED, "%s", fail.text);
	if (result == CTL_OK)
		print_ids(&ids, json);
	buf_finish(&text);
	buf_finish(&ids);
	return result;
}

int ctl_tokenize(struct ctl *ctl)
{
	const char *file = NULL;
	struct tokenize_options how = { 0 };
	struct fail fail;
	const struct ctl_option options[] = {
		{ "model", "FILE", "the GGUF file whose vocabulary to use", &file, NULL },
		{ "bos", NULL, "begin with the token that begins texts", NULL, &how.bos },
		{ "special", NULL, "read special tokens in the text as tokens", NULL,
		  &how.special },
		{ NULL },
	};
	int result = ctl_options(ctl, options, NULL, 0, 0);
	if (result != CTL_OK)
		return result;
	if (!file)
		return ctl_complain(CTL_USAGE, "tokenize needs --model FILE");
	struct gguf *gguf = gguf_open(file, &fail);
	struct tokenizer *tokenizer = gguf ? tokenizer_create(gguf, &fail) : NULL;
	gguf_close(gguf);
	result = tokenizer ? encode(tokenizer, &how, ctl->json)
			   : ctl_complain(CTL_FAILED, "%s", fail.text);
	tokenizer_destroy(tokenizer);
	return result;
}
