/* Settings: sizes, addresses, precedence, and the sentence for each way to be wrong. */
#include "daemon/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void sizes(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		uint64_t bytes;
	} cases[] = {
		{ "4096", true, 4096 },
		{ "0", true, 0 },
		{ "1K", true, 1024 },
		{ "300M", true, 300ull << 20 },
		{ "1.5G", true, 1536ull << 20 },
		{ "2GiB", true, 2ull << 30 },
		{ "2gb", false, 0 },
		{ "2T", true, 2ull << 40 },
		{ "7B", true, 7 },
		{ "7iB", false, 0 },
		{ "", false, 0 },
		{ "-1", false, 0 },
		{ "1e9", false, 0 },
		{ "nan", false, 0 },
		{ " 1", false, 0 },
		{ "1 ", false, 0 },
		{ "9223372036854775807", true, INT64_MAX },
		{ "9223372036854775808", false, 0 },
		{ "18446744073709551616", false, 0 },
		{ "8388608T", false, 0 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t bytes = 0;
		if (config_size(cases[i].text, &bytes) != cases[i].ok)
			fail_msg("\"%s\"", cases[i].text);
		if (cases[i].ok)
			assert_int_equal(bytes, cases[i].bytes);
	}
}

static void addresses(void **state)
{
	char host[20];
	uint16_t port;
	assert_true(config_address("127.0.0.1:80", host, sizeof(host), 0, &port));
	assert_string_equal(host, "127.0.0.1");
	assert_int_equal(port, 80);
	assert_true(config_address("[fe80::1%eth0]:9", host, sizeof(host), 0, &port));
	assert_string_equal(host, "fe80::1%eth0");
	assert_true(config_address("pi", host, sizeof(host), 47600, &port));
	assert_int_equal(port, 47600);
	assert_true(config_address("[::1]", host, sizeof(host), 7, &port));
	static const char *const bad[] = { "pi", "", ":80", "pi:", "pi:0", "pi:65536", "pi:8x",
					   "[::1", "[::1]80", "a b:1", "a/b:1",
					   "a-very-long-host-name-indeed:1" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (config_address(bad[i], host, sizeof(host), 0, &port))
			fail_msg("\"%s\"", bad[i]);
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int load(struct config *config, struct fail *fail, const char *const *words)
{
	char *argv[16] = { (char *)(uintptr_t)"primad" };
	int argc = 1;
	while (*words)
		argv[argc++] = (char *)(uintptr_t)*words++;
	return config_load(config, argc, argv, fail);
}

static char folder[] = "/tmp/primad-config-XXXXXX";
static char file[64];

static int make_folder(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	snprintf(file, sizeof(file), "%s/primad.conf", folder);
	return 0;
}

static int drop_folder(void **state)
{
	unlink(file);
	return rmdir(folder);
}

static void arguments_win_over_environment_over_file(void **state)
{
	struct config config;
	struct fail why = { 0 };
	write_text(file, "# settings\n\n memory = 300M\nthreads=3\n context = 512\r\n"
			 "peers = pi:1, [fe80::2]:7, laptop\n");
	setenv("PRIMAD_THREADS", "4", 1);
	setenv("PRIMAD_STORE_LIMIT", "1G", 1);
	setenv("PRIMAD_CONTEXT", "600", 1);
	const int result = load(&config, &why,
				(const char *[]){ "--config", file, "--context=700", "--mdns",
						  "no", NULL });
	unsetenv("PRIMAD_THREADS");
	unsetenv("PRIMAD_STORE_LIMIT");
	unsetenv("PRIMAD_CONTEXT");
	if (result)
		fail_msg("%s", why.text);
	assert_int_equal(config.memory_bytes, 300 << 20);
	assert_int_equal(config.threads, 4);
	assert_int_equal(config.context, 700);
	assert_int_equal(config.store_limit_bytes, 1 << 30);
	assert_false(config.mdns);
	assert_int_equal(config.n_peers, 3);
	assert_string_equal(config.peers[0], "pi:1");
	assert_string_equal(config.peers[1], "[fe80::2]:7");
	assert_string_equal(config.peers[2], "laptop:47600");
}

static void nothing_has_to_be_set(void **state)
{
	struct config config;
	struct fail why = { 0 };
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	assert_int_equal(load(&config, &why, (const char *[]){ NULL }), 0);
	assert_int_equal(config.context, 4096);
	assert_true(config.mdns);
	assert_string_equal(config.http, "");
	assert_string_equal(config.log_level, "info");
	assert_true(config.name[0]);
	assert_string_equal(config.run, geteuid() ? "/run/user/7/primad" : "/run/primad");
}

static void sentences_name_the_place(void **state)
{
	static const struct {
		const char *words[3];
		const char *line;
		const char *says;
	} cases[] = {
		{ { "--memory", "many" }, NULL, "--memory: \"many\" is not a size" },
		{ { "--memory" }, NULL, "--memory needs a value" },
		{ { "--treads", "4" }, NULL, "no option --treads" },
		{ { "here" }, NULL, "\"here\" is not an option" },
		{ { "--threads", "0" }, NULL, "from 1 to 1024" },
		{ { "--threads", "-1" }, NULL, "from 1 to 1024" },
		{ { "--threads", "99999999999999999999" }, NULL, "from 1 to 1024" },
		{ { "--http", "8080" }, NULL, "--http: \"8080\" is not ADDRESS:PORT" },
		{ { "--mdns", "maybe" }, NULL, "neither yes nor no" },
		{ { "--log-level", "loud" }, NULL, "none of: error warn info debug" },
		{ { "--log-level", "" }, NULL, "none of" },
		{ { "--name", "" }, NULL, "--name: is empty" },
		{ { "--name", "a\nb" }, NULL, "control character" },
		{ { "--peers", "a:b:c" }, NULL, "\"a:b:c\" is not HOST:PORT" },
		{ { "--config", "/nowhere/x" }, NULL, "/nowhere/x" },
		{ { NULL }, "context", "line 1: expected" },
		{ { NULL }, "\n\ncolour = red", "line 3: there is no setting \"colour\"" },
		{ { NULL }, "context = 15", "line 1: context: \"15\" is not a whole number" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config config;
		struct fail why = { 0 };
		if (cases[i].line)
			write_text(file, cases[i].line);
		const int result = cases[i].line
			? load(&config, &why, (const char *[]){ "--config", file, NULL })
			: load(&config, &why, cases[i].words);
		if (result >= 0 || !strstr(why.text, cases[i].says))
			fail_msg("wanted \"%s\", got %d \"%s\"", cases[i].says, result, why.text);
	}
}

static void hostile_files_are_refused(void **state)
{
	struct config config;
	struct fail why;
	char *big = malloc(CONFIG_FILE_BYTES_MAX + 2);
	memset(big, '#', CONFIG_FILE_BYTES_MAX + 1);
	big[CONFIG_FILE_BYTES_MAX + 1] = 0;
	write_text(file, big);
	assert_true(load(&config, &why, (const char *[]){ "--config", file, NULL }) < 0);
	assert_non_null(strstr(why.text, "more than"));
	assert_true(config_parse(&config, "f", big, 60000, &why) < 0);
	assert_non_null(strstr(why.text, "f line 1: is too long"));
	assert_true(config_parse(&config, "f", "a\0b", 3, &why) < 0);
	free(big);
}

static void help_and_version(void **state)
{
	struct config config;
	struct fail why;
	assert_int_equal(load(&config, &why, (const char *[]){ "--help", NULL }), 1);
	assert_int_equal(load(&config, &why, (const char *[]){ "--version", NULL }), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(addresses),
		cmocka_unit_test(arguments_win_over_environment_over_file),
		cmocka_unit_test(nothing_has_to_be_set),
		cmocka_unit_test(sentences_name_the_place),
		cmocka_unit_test(hostile_files_are_refused),
		cmocka_unit_test(help_and_version),
	};
	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
