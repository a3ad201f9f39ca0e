#include "daemon/config.h"

#include "base/buf.h"
#include "base/file.h"
#include "daemon/kv_choice.h"
#include "discovery/discovery.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYSTEM_RUN "/run/primad"
#define SYSTEM_STATE "/var/lib/primad"

struct row {
	const char *name;     /* "store-limit" */
	const char *argument; /* "SIZE" */
	const char *help;     /* wrapped by the printer */
	/* Writes the value into the config, or gives a sentence without the setting's name. */
	int (*set)(struct config *config, const struct row *row, const char *value,
		   struct fail *fail);
	size_t offset;
	size_t size;          /* of a text field */
	uint32_t least, most; /* of a number */
	const char *choices;  /* " c avx2 ": one of these words */
};

/* ---- sizes and addresses ---- */

static bool digits(const char **text, uint64_t *value)
{
	const char *at = *text;
	uint64_t sum = 0;
	for (; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(sum, 10, &sum) ||
		    __builtin_add_overflow(sum, (uint64_t)(*at - '0'), &sum))
			return false;
	const bool any = at != *text;
	*text = at;
	*value = sum;
	return any;
}

/* The unit's power of 1024: "", "K", "M", "G", "T", each also as "KB" or "KiB". */
static bool unit_shift(const char *text, unsigned *shift)
{
	static const char units[] = "KMGT";
	*shift = 0;
	if (*text == 0)
		return true;
	const char *unit = strchr(units, *text & ~0x20);
	if (unit && *unit) {
		*shift = 10 * (unsigned)(unit - units + 1);
		text++;
	}
	return *text == 0 || strcmp(text, "B") == 0 || (*shift && strcmp(text, "iB") == 0);
}

bool config_size(const char *text, uint64_t *bytes)
{
	uint64_t whole;
	double part = 0;
	if (!digits(&text, &whole))
		return false;
	if (*text == '.') {
		double scale = 1;
		for (text++; *text >= '0' && *text <= '9'; text++) {
			scale /= 10;
			part += scale * (*text - '0');
		}
	}
	unsigned shift;
	if (!unit_shift(text, &shift) || whole > (uint64_t)INT64_MAX >> shift)
		return false;
	*bytes = (whole << shift) + (uint64_t)(part * (double)(UINT64_C(1) << shift));
	return true;
}

static bool parse_port(const char *text, uint16_t *port)
{
	uint64_t value;
	if (!digits(&text, &value) || *text || value < 1 || value > 65535)
		return false;
	*port = (uint16_t)value;
	return true;
}

static bool host_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr(".:-_%", c));
}

bool config_address(const char *text, char *host, size_t host_size, uint16_t default_port,
		    uint16_t *port)
{
	const bool bracket = *text == '[';
	const char *start = text + bracket;
	const char *end = bracket ? strchr(start, ']') : strchr(start, ':');
	const size_t size = end ? (size_t)(end - start) : strlen(start);
	if (size == 0 || size >= host_size || (bracket && !end))
		return false;
	for (size_t i = 0; i < size; i++)
		if (!host_character(start[i]))
			return false;
	const char *rest = start + size + bracket;
	memcpy(host, start, size);
	host[size] = 0;
	*port = default_port;
	if (*rest == 0)
		return default_port != 0;
	return *rest == ':' && parse_port(rest + 1, port);
}

/* ---- setters ---- */

static char *text_field(struct config *config, const struct row *row)
{
	return (char *)config + row->offset;
}

static int set_text(struct config *config, const struct row *row, const char *value,
		    struct fail *fail)
{
	if (strlen(value) >= row->size)
		return fail_set(fail, FAIL_INVALID, "is longer than %zu bytes", row->size - 1);
	strcpy(text_field(config, row), value);
	return 0;
}

static int set_path(struct config *config, const struct row *row, const char *value,
		    struct fail *fail)
{
	char folder[PATH_MAX];
	if (*value == 0)
		return fail_set(fail, FAIL_INVALID, "needs a folder");
	if (*value == '/')
		return set_text(config, row, value, fail);
	if (!getcwd(folder, sizeof(folder)) ||
	    !file_join(text_field(config, row), row->size, folder, value))
		return fail_set(fail, FAIL_INVALID, "is too long a path: %s", value);
	return 0;
}

static int set_name(struct config *config, const struct row *row, const char *value,
		    struct fail *fail)
{
	for (const char *at = value; *at; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			return fail_set(fail, FAIL_INVALID, "holds a control character");
	if (*value == 0)
		return fail_set(fail, FAIL_INVALID, "is empty");
	return set_text(config, row, value, fail);
}

static int set_size(struct config *config, const struct row *row, const char *value,
		    struct fail *fail)
{
	uint64_t bytes;
	if (!config_size(value, &bytes))
		return fail_set(fail, FAIL_INVALID,
				"\"%s\" is not a size; write for example 800M or 1.5G", value);
	memcpy((char *)config + row->offset, &bytes, sizeof(bytes));
	return 0;
}

static int set_number(struct config *config, const struct row *row, const char *value,
		      struct fail *fail)
{
	uint64_t number;
	const char *at = value;
	if (!digits(&at, &number) || *at || number < row->least || number > row->most)
		return fail_set(fail, FAIL_INVALID, "\"%s\" is not a whole number from %u to %u",
				value, row->least, row->most);
	const uint32_t narrow = (uint32_t)number;
	memcpy((char *)config + row->offset, &narrow, sizeof(narrow));
	return 0;
}

static int set_yes_no(struct config *config, const struct row *row, const char *value,
		      struct fail *fail)
{
	const bool yes = strcmp(value, "yes") == 0;
	if (!yes && strcmp(value, "no") != 0)
		return fail_set(fail, FAIL_INVALID, "\"%s\" is neither yes nor no", value);
	memcpy((char *)config + row->offset, &yes, sizeof(yes));
	return 0;
}

static int set_choice(struct config *config, const struct row *row, const char *value,
		      struct fail *fail)
{
	char word[32];
	const int size = snprintf(word, sizeof(word), " %s ", value);
	if (size < 3 || size >= (int)sizeof(word) || strchr(value, ' ') ||
	    !strstr(row->choices, word))
		return fail_set(fail, FAIL_INVALID, "\"%s\" is none of:%s", value, row->choices);
	return set_text(config, row, value, fail);
}

static int set_kv_cache(struct config *config, const struct row *row, const char *value,
			struct fail *fail)
{
	if (kv_choice_check(value, fail) != 0)
		return -FAIL_INVALID;
	return set_text(config, row, value, fail);
}

static int set_address(struct config *config, const struct row *row, const char *value,
		       struct fail *fail)
{
	char host[128];
	uint16_t port;
	if (!config_address(value, host, sizeof(host), 0, &port))
		return fail_set(fail, FAIL_INVALID,
				"\"%s\" is not ADDRESS:PORT, for example 127.0.0.1:8080 or "
				"[::1]:8080",
				value);
	return set_text(config, row, value, fail);
}

static int add_peer(struct config *config, const char *word, struct fail *fail)
{
	char host[100];
	uint16_t port;
	if (!config_address(word, host, sizeof(host), DEFAULT_PORT, &port))
		return fail_set(fail, FAIL_INVALID, "\"%s\" is not HOST:PORT", word);
	if (config->n_peers == CONFIG_PEERS_MAX)
		return fail_set(fail, FAIL_INVALID, "names more than %d peers", CONFIG_PEERS_MAX);
	const char *form = strchr(host, ':') ? "[%s]:%u" : "%s:%u";
	char *peer = config->peers[config->n_peers++];
	snprintf(peer, sizeof(config->peers[0]), form, host, port);
	return 0;
}

static int set_peers(struct config *config, const struct row *row, const char *value,
		     struct fail *fail)
{
	char list[8192], *rest = list;
	if (strlen(value) >= sizeof(list))
		return fail_set(fail, FAIL_INVALID, "is longer than %zu bytes", sizeof(list) - 1);
	strcpy(list, value);
	config->n_peers = 0;
	for (char *word; (word = strsep(&rest, ", \t"));)
		if (*word && add_peer(config, word, fail) < 0)
			return -FAIL_INVALID;
	return 0;
}

/* ---- the table ---- */

#define FIELD(member) offsetof(struct config, member), sizeof(((struct config *)0)->member)

static const struct row rows[] = {
	{ "state", "DIR",
	  "identity, home and models (default: " SYSTEM_STATE " for root, "
	  "else $XDG_STATE_HOME/primad or ~/.local/state/primad)",
	  set_path, FIELD(state) },
	{ "run", "DIR",
	  "where api.sock and control.sock lie (default: " SYSTEM_RUN " for "
	  "root, else $XDG_RUNTIME_DIR/primad)",
	  set_path, FIELD(run) },
	{ "listen", "ADDR:PORT",
	  "where other devices reach this one (default: all addresses, "
	  "port 47600; where it is taken, a free one that is remembered)",
	  set_address, FIELD(listen) },
	{ "http", "ADDR:PORT", "also answer requests on this loopback address (default: off)",
	  set_address, FIELD(http) },
	{ "name", "NAME", "what the others call this device (default: the host name)", set_name,
	  FIELD(name) },
	{ "peers", "LIST",
	  "HOST:PORT,... of devices to look for besides those that mDNS "
	  "finds (default: none)",
	  set_peers, 0 },
	{ "mdns", "yes|no", "find devices by mDNS (default: yes)", set_yes_no, FIELD(mdns) },
	{ "battery", "yes|no",
	  "compute also while on battery (default: no, only where no plan can do without it)",
	  set_yes_no, FIELD(battery) },
	{ "memory", "SIZE",
	  "most memory for weights, KV cache, buffers and queues (default: " MACHINE_BUDGET_RULE
	  ")",
	  set_size, FIELD(memory_bytes) },
	{ "threads", "N", "compute threads (default: one for each core it may use)", set_number,
	  FIELD(threads), 1, 1024 },
	{ "context", "N", "positions that a prompt and its answer may have (default: 4096)",
	  set_number, FIELD(context), 16, 1u << 20 },
	{ "kv-cache", "TYPE|MODEL:TYPE,...",
	  "how keys and values are cached in plans that this device makes: f16, q8_0 (half the "
	  "memory) or f32, for all models or for some (default: f16)",
	  set_kv_cache, FIELD(kv_cache) },
	{ "store-limit", "SIZE",
	  "most disk space for models (default: nine tenths of what is "
	  "free in the state directory)",
	  set_size, FIELD(store_limit_bytes) },
	{ "cpu", "c|avx2|avxvnni|avx512|neon|i8mm",
	  "instruction set of the kernels (default: the best there is)", set_choice, FIELD(cpu),
	  .choices = " c avx2 avxvnni avx512 neon i8mm " },
	{ "log-level", "LEVEL", "error, warn, info or debug (default: info)", set_choice,
	  FIELD(log_level), .choices = " error warn info debug " },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static const struct row *find_row(const char *name, size_t size)
{
	for (size_t i = 0; i < ROWS; i++)
		if (strlen(rows[i].name) == size && memcmp(rows[i].name, name, size) == 0)
			return &rows[i];
	return NULL;
}

/* Puts the setting's name before a setter's sentence. */
static int set_value(struct config *config, const struct row *row, const char *where,
		     const char *value, struct fail *fail)
{
	struct fail reason;
	if (row->set(config, row, value, &reason) == 0)
		return 0;
	return fail_set(fail, reason.code, "%s: %s", where, reason.text);
}

/* ---- defaults ---- */

/* `base`/primad, where `base` is the variable's value or `home` in the home directory. */
static bool user_folder(char *path, size_t size, const char *variable, const char *home)
{
	char base[PATH_MAX];
	const char *value = getenv(variable);
	if (value && *value == '/')
		return file_join(path, size, value, "primad");
	value = getenv("HOME");
	return home && value && *value == '/' && file_join(base, sizeof(base), value, home) &&
	       file_join(path, size, base, "primad");
}

bool config_default_run(char *path, size_t size)
{
	if (geteuid() == 0)
		return (size_t)snprintf(path, size, "%s", SYSTEM_RUN) < size;
	if (user_folder(path, size, "XDG_RUNTIME_DIR", NULL))
		return true;
	/* No session manager: a folder of the user's own, never a shared temporary one. */
	char state[PATH_MAX];
	return user_folder(state, sizeof(state), "XDG_STATE_HOME", ".local/state") &&
	       file_join(path, size, state, "run");
}

static bool default_state(char *path, size_t size)
{
	if (geteuid() == 0)
		return (size_t)snprintf(path, size, "%s", SYSTEM_STATE) < size;
	return user_folder(path, size, "XDG_STATE_HOME", ".local/state");
}

static void default_name(char *name, size_t size)
{
	char host[256] = "";
	if (gethostname(host, sizeof(host) - 1) != 0 || !host[0])
		strcpy(host, "device");
	host[strcspn(host, ".")] = 0;
	snprintf(name, size, "%.*s", (int)size - 1, host);
}

void config_defaults(struct config *config)
{
	memset(config, 0, sizeof(*config));
	config->context = DEFAULT_CONTEXT;
	config->mdns = true;
	strcpy(config->log_level, "info");
	default_name(config->name, sizeof(config->name));
	if (!config_default_run(config->run, sizeof(config->run)))
		config->run[0] = 0;
	if (!default_state(config->state, sizeof(config->state)))
		config->state[0] = 0;
}

/* ---- the file ---- */

static char *trim(char *text)
{
	text += strspn(text, " \t\r");
	size_t size = strlen(text);
	while (size > 0 && strchr(" \t\r", text[size - 1]))
		text[--size] = 0;
	return text;
}

/* "name = value", with # comments; `line` is changed. */
static int parse_line(struct config *config, const char *name, unsigned number, char *line,
		      struct fail *fail)
{
	char where[PATH_MAX + 64];
	char *text = trim(line);
	if (*text == 0 || *text == '#')
		return 0;
	char *value = strchr(text, '=');
	if (!value)
		return fail_set(fail, FAIL_INVALID, "%s line %u: expected \"setting = value\"",
				name, number);
	*value++ = 0;
	text = trim(text);
	const struct row *row = find_row(text, strlen(text));
	if (!row)
		return fail_set(fail, FAIL_INVALID,
				"%s line %u: there is no setting \"%.60s\"; see primad.conf(5)",
				name, number, text);
	snprintf(where, sizeof(where), "%s line %u: %s", name, number, row->name);
	return set_value(config, row, where, trim(value), fail);
}

int config_parse(struct config *config, const char *name, const char *text, size_t size,
		 struct fail *fail)
{
	char line[8400];
	if (memchr(text, 0, size))
		return fail_set(fail, FAIL_INVALID, "%s is not a text file", name);
	for (unsigned number = 1; size > 0; number++) {
		const char *end = memchr(text, '\n', size);
		const size_t length = end ? (size_t)(end - text) : size;
		if (length >= sizeof(line))
			return fail_set(fail, FAIL_INVALID, "%s line %u: is too long", name, number);
		memcpy(line, text, length);
		line[length] = 0;
		const int result = parse_line(config, name, number, line, fail);
		if (result < 0)
			return result;
		text += length + (end != NULL);
		size -= length + (end != NULL);
	}
	return 0;
}

/* Follows links, unlike file_read: people keep their settings where they like. */
static int read_settings(const char *path, struct buf *text, struct fail *fail)
{
	FILE *file = fopen(path, "re");
	if (!file)
		return fail_errno(fail, errno, "cannot open the settings in %s", path);
	uint8_t *to = buf_extend(text, CONFIG_FILE_BYTES_MAX + 1);
	text->size = to ? fread(to, 1, CONFIG_FILE_BYTES_MAX + 1, file) : 0;
	const bool bad = ferror(file) || !to;
	fclose(file);
	if (bad)
		return fail_set(fail, FAIL_IO, "cannot read the settings in %s", path);
	if (text->size > CONFIG_FILE_BYTES_MAX)
		return fail_set(fail, FAIL_INVALID, "%s has more than %d bytes", path,
				CONFIG_FILE_BYTES_MAX);
	return 0;
}

static int load_file(struct config *config, const char *path, struct fail *fail)
{
	struct buf text;
	buf_init(&text);
	int result = read_settings(path, &text, fail);
	if (result == 0)
		result = config_parse(config, path, (const char *)text.data, text.size, fail);
	buf_finish(&text);
	return result;
}

static bool default_file(char *path, size_t size)
{
	char folder[PATH_MAX];
	if (geteuid() == 0)
		return (size_t)snprintf(path, size, "%s", SYSTEM_FILE) < size;
	return user_folder(folder, sizeof(folder), "XDG_CONFIG_HOME", ".config") &&
	       file_join(path, size, folder, "primad.conf");
}

/* The file named by the arguments or the environment must exist; the default one need not. */
static int load_settings(struct config *config, const char *named, struct fail *fail)
{
	char path[PATH_MAX];
	if (!named || !*named)
		named = getenv("PRIMAD_CONFIG");
	if (named && *named)
		return load_file(config, named, fail);
	if (!default_file(path, sizeof(path)) || access(path, F_OK) != 0)
		return 0;
	return load_file(config, path, fail);
}

/* ---- environment and arguments ---- */

static void variable_name(const struct row *row, char *name, size_t size)
{
	snprintf(name, size, "PRIMAD_%s", row->name);
	for (char *at = name; *at; at++)
		*at = *at == '-' ? '_' : (char)(*at >= 'a' && *at <= 'z' ? *at & ~0x20 : *at);
}

static int load_environment(struct config *config, struct fail *fail)
{
	for (size_t i = 0; i < ROWS; i++) {
		char name[64];
		variable_name(&rows[i], name, sizeof(name));
		const char *value = getenv(name);
		if (!value || !*value)
			continue;
		const int result = set_value(config, &rows[i], name, value, fail);
		if (result < 0)
			return result;
	}
	return 0;
}

/* An argument taken apart: "--name=value" or "--name" "value". */
struct flag {
	const char *name;
	size_t name_size;
	const char *value; /* NULL: missing */
	int used;          /* arguments consumed */
};

static bool take_flag(int left, char **argv, struct flag *flag)
{
	const char *text = argv[0];
	if (strncmp(text, "--", 2) != 0 || !text[2])
		return false;
	flag->name = text + 2;
	flag->name_size = strcspn(flag->name, "=");
	const bool joined = flag->name[flag->name_size] == '=';
	flag->value = joined ? flag->name + flag->name_size + 1 : left > 1 ? argv[1] : NULL;
	flag->used = joined ? 1 : 2;
	return true;
}

static bool flag_is(const struct flag *flag, const char *name)
{
	return strlen(name) == flag->name_size && memcmp(flag->name, name, flag->name_size) == 0;
}

static int load_arguments(struct config *config, int argc, char **argv, const char **file,
			  struct fail *fail)
{
	struct flag flag;
	for (int i = 1; i < argc; i += flag.used) {
		if (!take_flag(argc - i, argv + i, &flag))
			return fail_set(fail, FAIL_INVALID,
					"\"%s\" is not an option; primad --help lists them",
					argv[i]);
		const struct row *row = find_row(flag.name, flag.name_size);
		if (!row && !flag_is(&flag, "config"))
			return fail_set(fail, FAIL_INVALID,
					"there is no option %s; primad --help lists them", argv[i]);
		char where[64];
		snprintf(where, sizeof(where), "--%s", row ? row->name : "config");
		if (!flag.value)
			return fail_set(fail, FAIL_INVALID, "%s needs a value", where);
		if (!row)
			*file = flag.value;
		else if (config && set_value(config, row, where, flag.value, fail) < 0)
			return -FAIL_INVALID;
	}
	return 0;
}

/* ---- help ---- */

#define HELP_INDENT 25
#define HELP_WIDTH 78

static void print_row(const char *name, const char *argument, const char *help)
{
	char left[64];
	snprintf(left, sizeof(left), "--%s %s", name, argument);
	printf("  %-22s", left);
	size_t column = HELP_INDENT - 1;
	while (*help) {
		const size_t word = strcspn(help, " ");
		if (column + 1 + word > HELP_WIDTH) {
			printf("\n%*s", HELP_INDENT - 1, "");
			column = HELP_INDENT - 1;
		}
		printf(" %.*s", (int)word, help);
		column += 1 + word;
		help += word + strspn(help + word, " ");
	}
	putchar('\n');
}

static void print_help(void)
{
	printf("usage: primad [option]...\n\n"
	       "Runs this device's part of the home, in the foreground. Nothing has to be set.\n\n");
	for (size_t i = 0; i < ROWS; i++)
		print_row(rows[i].name, rows[i].argument, rows[i].help);
	print_row("config", "FILE",
		  "settings, a line \"store-limit = 20G\" each (default, if there: " SYSTEM_FILE
		  " for root, else $XDG_CONFIG_HOME/primad/primad.conf)");
	printf("  %-22s this text\n  %-22s the version\n\n", "--help", "--version");
	printf("An option wins over the environment (--store-limit is PRIMAD_STORE_LIMIT), which\n"
	       "wins over the file. SIZE is bytes, or has a unit: 300M, 1.5G.\n");
}

static bool print_asked(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			print_help();
			return true;
		}
		if (strcmp(argv[i], "--version") == 0) {
			printf("primad %s\n", PRIMAD_VERSION);
			return true;
		}
	}
	return false;
}

static int check_folders(const struct config *config, struct fail *fail)
{
	if (config->state[0] && config->run[0])
		return 0;
	return fail_set(fail, FAIL_INVALID,
			"neither HOME nor the XDG folders are set: give --state DIR and --run DIR");
}

int config_load(struct config *config, int argc, char **argv, struct fail *fail)
{
	const char *file = NULL;
	if (print_asked(argc, argv))
		return 1;
	/* The first pass over the arguments only finds --config and what is misspelt. */
	int result = load_arguments(NULL, argc, argv, &file, fail);
	config_defaults(config);
	if (result == 0)
		result = load_settings(config, file, fail);
	if (result == 0)
		result = load_environment(config, fail);
	if (result == 0)
		result = load_arguments(config, argc, argv, &file, fail);
	return result < 0 ? result : check_folders(config, fail);
}
