/* Pairing over real sockets: right, wrong and expired codes, and strangers who dial to be in the
 * way. The clock that the window goes by is the test's own. */
#include "daemon/pair.h"

#include "base/clock.h"
#include "daemon/door.h"
#include "proto/deadlines.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int64_t now_ms = 5000;

int64_t clock_ms(void)
{
	return now_ms;
}

int64_t clock_us(void)
{
	return now_ms * 1000;
}

int64_t clock_boot_ms(void)
{
	return now_ms;
}

int64_t clock_wall_s(void)
{
	return 1700000000;
}

/* ---- a member that invites, and two that may join ---- */

struct device {
	char folder[64];
	struct home *home;
	struct pair *pair;
	bool open; /* its window */
	uint32_t admitted;
	bool done; /* its attempt to join */
	struct fail why;
};

static uv_loop_t loop;
static struct door *door;
static struct device member, joiner, other;

static void on_window(void *context, const char *label)
{
	((struct device *)context)->open = label != NULL;
}

static void on_admitted(void *context, const struct device_id *id, const char *name)
{
	((struct device *)context)->admitted++;
}

static void device_open(struct device *device, const char *name)
{
	const struct pair_events events = { on_window, on_admitted };
	struct fail why;
	memset(device, 0, sizeof(*device));
	snprintf(device->folder, sizeof(device->folder), "/tmp/pair_test.XXXXXX");
	assert_non_null(mkdtemp(device->folder));
	device->home = home_open(device->folder, name, &why);
	assert_non_null(device->home);
	device->pair = pair_create(&loop, device->home, &events, device);
	assert_non_null(device->pair);
}

static void device_close(struct device *device)
{
	static const char *const files[] = { "identity.key", "roster.bin", "numbers.bin" };
	char path[128];
	pair_destroy(device->pair);
	home_close(device->home);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", device->folder, files[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(device->folder), 0);
}

static void on_arrived(void *context, uv_os_sock_t socket, enum connection_kind kind,
		       const uint8_t preamble[PREAMBLE_BYTES])
{
	assert_int_equal(kind, CONNECTION_PAIR);
	pair_accept(member.pair, socket, preamble);
}

static uint16_t free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t size = sizeof(address);
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static int begin(void **state)
{
	struct fail why;
	assert_int_equal(uv_loop_init(&loop), 0);
	char listen[32];
	snprintf(listen, sizeof(listen), "127.0.0.1:%u", free_port());
	door = door_open(&loop, listen, 0, on_arrived, NULL, &why);
	assert_non_null(door);
	device_open(&member, "desk");
	device_open(&joiner, "laptop");
	device_open(&other, "attic");
	return 0;
}

static int end(void **state)
{
	device_close(&member);
	device_close(&joiner);
	device_close(&other);
	door_close(door);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	return 0;
}

static void on_joined(void *context, const struct pairing_welcome *welcome, const struct fail *fail)
{
	struct device *device = context;
	device->done = true;
	device->why.code = FAIL_NONE;
	if (!welcome)
		device->why = *fail;
}

static void address_of_door(struct sockaddr_storage *address)
{
	assert_int_equal(uv_ip4_addr("127.0.0.1", door_port(door), (struct sockaddr_in *)address),
			 0);
}

static void join_begin(struct device *device, const char *code)
{
	struct sockaddr_storage address;
	struct fail why;
	address_of_door(&address);
	device->done = false;
	assert_int_equal(pair_join(device->pair, (const struct sockaddr *)&address, code, on_joined,
				   device, &why),
			 0);
}

/* Gives the code of the failure, FAIL_NONE when it was admitted. */
static enum fail_code join(struct device *device, const char *code)
{
	join_begin(device, code);
	while (!device->done)
		uv_run(&loop, UV_RUN_ONCE);
	return device->why.code;
}

static void invite(char code[PAIRING_CODE_BYTES])
{
	struct fail why;
	assert_int_equal(pair_invite(member.pair, ROLE_ADMIN, code, &why), 0);
	assert_true(member.open);
}

static const char *wrong(const char *code)
{
	static char text[PAIRING_CODE_BYTES];
	memcpy(text, code, sizeof(text));
	text[5] = text[5] == '9' ? '0' : (char)(text[5] + 1);
	return text;
}

/* ---- strangers ---- */

static int dial(uint8_t last_byte)
{
	struct sockaddr_storage address;
	struct sockaddr_in from;
	uint8_t preamble[PREAMBLE_BYTES];
	char text[32];
	address_of_door(&address);
	snprintf(text, sizeof(text), "127.0.0.%u", last_byte);
	assert_int_equal(uv_ip4_addr(text, 0, &from), 0);
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(struct sockaddr_in)),
			 0);
	preamble_make(preamble, CONNECTION_PAIR);
	assert_int_equal(write(fd, preamble, sizeof(preamble)), sizeof(preamble));
	for (int i = 0; i < 6; i++) /* the door hands it over */
		uv_run(&loop, UV_RUN_NOWAIT);
	return fd;
}

/* ---- the tests ---- */

static void the_right_code_admits_once(void **state)
{
	char code[PAIRING_CODE_BYTES];
	invite(code);
	assert_int_equal(join(&joiner, code), FAIL_NONE);
	assert_false(member.open);
	assert_int_equal(member.admitted, 1);
	assert_int_not_equal(join(&other, code), FAIL_NONE);
	assert_int_equal(member.admitted, 1);
}

static void three_wrong_codes_close_the_window(void **state)
{
	char code[PAIRING_CODE_BYTES];
	invite(code);
	for (int i = 0; i < INVITE_ATTEMPTS; i++) {
		assert_true(member.open);
		assert_int_equal(join(&joiner, wrong(code)), FAIL_DENIED);
	}
	for (int i = 0; i < 20 && member.open; i++) /* it hears of it after the joiner */
		uv_run(&loop, UV_RUN_ONCE);
	assert_false(member.open);
	assert_int_equal(join(&joiner, code), FAIL_DENIED); /* too late, although right */
	assert_int_equal(member.admitted, 0);
}

static void an_expired_code_is_refused(void **state)
{
	char code[PAIRING_CODE_BYTES];
	invite(code);
	now_ms += DEADLINE_INVITE_MS - 1;
	assert_int_equal(pair_invite_left_ms(member.pair), 1);
	now_ms += 1;
	assert_int_equal(pair_invite_left_ms(member.pair), 0);
	assert_int_equal(join(&joiner, code), FAIL_DENIED);
	assert_int_equal(member.admitted, 0);
	invite(code); /* a new one is as good as ever */
	assert_int_equal(join(&joiner, code), FAIL_NONE);
}

static void a_code_that_expires_while_pairing_is_refused(void **state)
{
	char code[PAIRING_CODE_BYTES];
	invite(code);
	const int fd = dial(2); /* the window is open when it comes */
	uint8_t greeting[PREAMBLE_BYTES + 80], nonsense[48] = { 0 };
	size_t n = 0;
	while (n < sizeof(greeting)) {
		uv_run(&loop, UV_RUN_NOWAIT);
		const ssize_t got = recv(fd, greeting + n, sizeof(greeting) - n, MSG_DONTWAIT);
		n += got > 0 ? (size_t)got : 0;
	}
	now_ms += DEADLINE_INVITE_MS;
	assert_int_equal(write(fd, nonsense, sizeof(nonsense)), sizeof(nonsense));
	ssize_t got;
	while ((got = recv(fd, greeting, sizeof(greeting), MSG_DONTWAIT)) < 0)
		uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(got, 0); /* closed without a word */
	close(fd);
}

static void strangers_are_not_in_the_way(void **state)
{
	char code[PAIRING_CODE_BYTES];
	int fds[40];
	int n = 0;
	invite(code);
	for (int round = 0; round < 4; round++)
		for (uint8_t source = 1; source <= 10; source++)
			fds[n++] = dial(source);
	assert_int_equal(join(&joiner, code), FAIL_NONE);
	assert_int_equal(member.admitted, 1);
	while (n > 0)
		close(fds[--n]);
}

static void dialling_on_and_on_is_not_in_the_way(void **state)
{
	char code[PAIRING_CODE_BYTES];
	int fds[200];
	int n = 0;
	invite(code);
	join_begin(&joiner, code);
	while (!joiner.done && n < 200)
		fds[n++] = dial(2);
	while (!joiner.done)
		uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(joiner.why.code, FAIL_NONE);
	while (n > 0)
		close(fds[--n]);
}

static void of_two_with_the_code_one_is_admitted(void **state)
{
	char code[PAIRING_CODE_BYTES];
	invite(code);
	join_begin(&joiner, code);
	join_begin(&other, code);
	while (!joiner.done || !other.done)
		uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(member.admitted, 1);
	assert_int_equal((joiner.why.code == FAIL_NONE) + (other.why.code == FAIL_NONE), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_right_code_admits_once, begin, end),
		cmocka_unit_test_setup_teardown(three_wrong_codes_close_the_window, begin, end),
		cmocka_unit_test_setup_teardown(an_expired_code_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(a_code_that_expires_while_pairing_is_refused, begin,
						end),
		cmocka_unit_test_setup_teardown(strangers_are_not_in_the_way, begin, end),
		cmocka_unit_test_setup_teardown(dialling_on_and_on_is_not_in_the_way, begin, end),
		cmocka_unit_test_setup_teardown(of_two_with_the_code_one_is_admitted, begin, end),
	};
	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
