/* primactl model add|list|rm: the models of this home. */
#include "compute/compute.h"
#include "daemon/ctl/client.h"
#include "daemon/ctl/term.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- add ---- */

/* The file's name without folder, .gguf, and the number of a part. */
static void name_of(const char *file, char *name, size_t size)
{
	const char *slash = strrchr(file, '/');
	const char *base = slash ? slash + 1 : file;
	snprintf(name, size, "%.*s", (int)parts_stem(base), base);
}

/* What lies in several files is joined into one, which needs a copy. */
static int check_in_place(const char *file)
{
	struct fail fail = { 0 };
	struct parts *parts = parts_open(file, &fail);
	const uint32_t count = parts ? parts_count(parts) : 0;
	const uint64_t size = parts ? parts_size(parts) : 0;
	char text[16];
	parts_close(parts);
	if (!parts)
		return ctl_complain(CTL_FAILED, "%s", fail.text);
	if (count == 1)
		return CTL_OK;
	return ctl_complain(
		CTL_FAILED,
		"a model in %u parts cannot stay in place: added without --in-place it "
		"is joined into one file of %s in the daemon's store, and the parts may "
		"be deleted then",
		count, term_size(size, text));
}

static int add_in_place(struct ctl *ctl, const char *file, json_t **answer)
{
	char path[PATH_MAX];
	if (!realpath(file, path))
		return ctl_complain(CTL_FAILED, "cannot find %s: %s", file, strerror(errno));
	const int checked = check_in_place(file);
	if (checked != CTL_OK)
		return checked;
	json_t *body = json_pack("{s:s}", "path", path);
	if (!body)
		return ctl_complain(CTL_USAGE, "the path is not UTF-8");
	term_bar("checking", 0, 0, false);
	const int result = client_ask(ctl, CLIENT_CONTROL, "POST", "/models", body, answer);
	json_decref(body);
	return result;
}

static int add_copy(struct ctl *ctl, const char *file, const char *name, json_t **answer)
{
	char *path = client_path("/models/", name);
	const int result = path ? client_upload(ctl, path, file, answer)
				: ctl_complain(CTL_FAILED, "out of memory");
	free(path);
	return result;
}

static int add(struct ctl *ctl, const char *file, const char *named, bool in_place)
{
	char name[256];
	json_t *answer = NULL;
	if (named)
		snprintf(name, sizeof(name), "%s", named);
	else
		name_of(file, name, sizeof(name));
	if (in_place && named)
		return ctl_complain(CTL_USAGE, "a file in place keeps its own name");
	const int result =
		in_place ? add_in_place(ctl, file, &answer) : add_copy(ctl, file, name, &answer);
	term_clear();
	if (result != CTL_OK)
		return result;
	if (ctl->json) {
		client_print(answer);
		return CTL_OK;
	}
	const char *given = json_string_value(json_object_get(answer, "name"));
	printf("%s is ready to be asked: primactl run %s \"...\"\n", given ? given : name,
	       given ? given : name);
	json_decref(answer);
	return CTL_OK;
}

/* ---- list ---- */

static const char *meta_text(const json_t *meta, const char *name)
{
	const char *text = json_string_value(json_object_get(meta, name));
	return text ? text : "";
}

static void show_model(const json_t *model)
{
	char size[16];
	const json_t *meta = json_object_get(model, "meta");
	const json_t *holders = json_object_get(meta, "holders"), *holder;
	size_t i;
	printf("%-32s %9s  %-8s %-10s %-8s", meta_text(model, "id"),
	       term_size((uint64_t)json_integer_value(json_object_get(meta, "file_bytes")), size),
	       meta_text(meta, "quantization"), meta_text(meta, "family"),
	       meta_text(meta, "state"));
	json_array_foreach(holders, i, holder)
		printf("%s%s", i ? ", " : " on ",
		       json_string_value(holder) ? json_string_value(holder) : "?");
	putchar('\n');
}

static void show_list(const json_t *answer)
{
	const json_t *data = json_object_get(answer, "data"), *model;
	size_t i;
	json_array_foreach(data, i, model) show_model(model);
	if (json_array_size(data) == 0)
		printf("no models yet: primactl model add FILE.gguf\n");
}

/* ---- rm ---- */

static void show_removed(const json_t *answer)
{
	printf("removed\n");
}

static int rm(struct ctl *ctl, const char *model)
{
	char *path = client_path("/models/", model);
	const int result =
		path ? client_show(ctl, CLIENT_CONTROL, "DELETE", path, NULL, show_removed)
		     : ctl_complain(CTL_FAILED, "out of memory");
	free(path);
	return result;
}

int ctl_model(struct ctl *ctl)
{
	const char *words[2] = { NULL, NULL }, *name = NULL;
	bool in_place = false;
	const struct ctl_option options[] = {
		{ "name", "NAME", "add: what to call it (default: the file's name)", &name, NULL },
		{ "in-place", NULL,
		  "add: leave the file where it is; the daemon must be able to "
		  "read it there",
		  NULL, &in_place },
		{ NULL },
	};
	const int parsed = ctl_options(ctl, options, words, 1, 2);
	if (parsed != CTL_OK)
		return parsed;
	if (strcmp(words[0], "list") == 0 && !words[1])
		return client_show(ctl, CLIENT_API, "GET", "/v1/models", NULL, show_list);
	if (strcmp(words[0], "add") == 0 && words[1])
		return add(ctl, words[1], name, in_place);
	if (strcmp(words[0], "rm") == 0 && words[1])
		return rm(ctl, words[1]);
	return ctl_complain(CTL_USAGE, "usage: primactl model add FILE | list | rm MODEL");
}
