/* Every file of tests/tools/make_hostile.py gets the sentence that its list asks for. */
#include "base/fail.h"
#include "compute/model.h"
#include "compute/tokenizer.h"

#include <stdio.h>
#include <string.h>

static bool check(const char *folder, const char *name, const char *fragment)
{
	char path[4096];
	struct fail fail = { 0 };
	snprintf(path, sizeof(path), "%s/%s.gguf", folder, name);
	struct model *model = model_open(path, &fail);
	struct tokenizer *tokenizer = model ? tokenizer_create(model_gguf(model), &fail) : NULL;
	const bool sound = fragment[0] == 0;
	const bool said = !tokenizer && fail.code != FAIL_NONE && strstr(fail.text, fragment);
	const bool good = sound ? tokenizer != NULL : said;
	if (!good)
		printf("%s: wanted '%s', got '%s'\n", name, fragment,
		       tokenizer ? "a model" : fail.text);
	tokenizer_destroy(tokenizer);
	model_close(model);
	return good;
}

int main(int argc, char **argv)
{
	char line[512];
	int bad = 0, count = 0;
	char list[4096];
	snprintf(list, sizeof(list), "%s/expected.txt", argc > 1 ? argv[1] : ".");
	FILE *file = fopen(list, "r");
	if (!file) {
		perror(list);
		return 1;
	}
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = 0;
		char *tab = strchr(line, '\t');
		if (!tab)
			continue;
		*tab = 0;
		count++;
		bad += !check(argv[1], line, tab + 1);
	}
	fclose(file);
	printf("%d files, %d wrong\n", count, bad);
	return bad || count < 90;
}
