#include "discovery/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct address make(const char *ip, uint16_t port)
{
	struct address address = { .port = port };
	address.family = strchr(ip, ':') ? 6 : 4;
	assert_int_equal(inet_pton(address.family == 4 ? AF_INET : AF_INET6, ip, address.bytes), 1);
	return address;
}

static void good_near_and_far(void **state)
{
	const struct {
		const char *ip;
		bool near, link_local, loopback;
	} rows[] = {
		{ "127.0.0.1", true, false, true },     { "127.255.1.2", true, false, true },
		{ "10.0.0.1", true, false, false },     { "10.255.255.255", true, false, false },
		{ "172.16.0.1", true, false, false },   { "172.31.255.1", true, false, false },
		{ "172.32.0.1", false, false, false },  { "172.15.9.9", false, false, false },
		{ "192.168.1.7", true, false, false },  { "192.169.1.7", false, false, false },
		{ "100.64.0.1", true, false, false },   { "100.128.0.1", false, false, false },
		{ "169.254.3.4", true, true, false },   { "8.8.8.8", false, false, false },
		{ "224.0.0.251", false, false, false }, { "::1", true, false, true },
		{ "fe80::1", true, true, false },       { "febf::1", true, true, false },
		{ "fec0::1", false, false, false },     { "fd12:3456::1", true, false, false },
		{ "fc00::1", true, false, false },      { "fe00::1", false, false, false },
		{ "2001:db8::1", false, false, false }, { "::2", false, false, false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct address address = make(rows[i].ip, 1);
		assert_int_equal(address_is_near(&address), rows[i].near);
		assert_int_equal(address_is_link_local(&address), rows[i].link_local);
		assert_int_equal(address_is_loopback(&address), rows[i].loopback);
	}
}

static void good_sockets(void **state)
{
	static const char *const ips[] = { "192.168.1.7", "fd00::7", "fe80::7" };
	for (size_t i = 0; i < 3; i++) {
		struct address address = make(ips[i], 47600), back;
		struct sockaddr_storage storage;
		if (i == 2)
			address.scope = if_nametoindex("lo");
		const socklen_t size = address_to_sockaddr(&address, &storage);
		assert_int_equal(size,
				 i == 0 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
		assert_true(address_from_sockaddr(&back, (const struct sockaddr *)&storage));
		assert_true(address_equal(&address, &back));
		back.port++;
		assert_false(address_equal(&address, &back));
	}
	/* what a dual-stack socket shows of an IPv4 peer */
	struct sockaddr_in6 mapped = { .sin6_family = AF_INET6, .sin6_port = htons(5) };
	struct address address;
	const struct address plain = make("10.1.2.3", 5);
	inet_pton(AF_INET6, "::ffff:10.1.2.3", &mapped.sin6_addr);
	assert_true(address_from_sockaddr(&address, (const struct sockaddr *)&mapped));
	assert_true(address_equal(&address, &plain));
	const struct sockaddr local = { .sa_family = AF_UNIX };
	assert_false(address_from_sockaddr(&address, &local));
}

static void good_text(void **state)
{
	char text[ADDRESS_TEXT_BYTES];
	struct address address = make("192.168.1.7", 47600);
	assert_string_equal(address_text(&address, text), "192.168.1.7:47600");
	address = make("fe80::1", 80);
	assert_string_equal(address_text(&address, text), "[fe80::1]:80");
	address.scope = if_nametoindex("lo");
	assert_string_equal(address_text(&address, text), "[fe80::1%lo]:80");
	address.scope = 4000000000u;
	assert_string_equal(address_text(&address, text), "[fe80::1%4000000000]:80");
}

static void good_facts_travel(void **state)
{
	struct address sent[3] = { make("10.0.0.1", 1), make("fd00::1", 65535),
				   make("fe80::9", 3) };
	struct address got[ADDRESSES_MAX];
	struct buf buf;
	sent[2].scope = 7; /* means nothing elsewhere */
	buf_init(&buf);
	addresses_encode(sent, 3, &buf);
	assert_int_equal(buf.size, 3 * 23);
	assert_int_equal(addresses_decode(got, buf.data, buf.size, NULL), 3);
	sent[2].scope = 0;
	for (int i = 0; i < 3; i++)
		assert_true(address_equal(&sent[i], &got[i]));
	assert_int_equal(addresses_decode(got, NULL, 0, NULL), 0);
	buf_finish(&buf);
}

static void bad_facts(void **state)
{
	struct address got[ADDRESSES_MAX];
	struct fail fail;
	uint8_t bytes[(ADDRESSES_MAX + 1) * 23];
	memset(bytes, 4, sizeof(bytes));
	assert_int_equal(addresses_decode(got, bytes, sizeof(bytes), &fail), -FAIL_INVALID);
	assert_int_equal(addresses_decode(got, bytes, 22, &fail), -FAIL_INVALID);
	assert_int_equal(addresses_decode(got, bytes, 23, &fail), 1);
	bytes[0] = 5;
	assert_int_equal(addresses_decode(got, bytes, 23, &fail), -FAIL_INVALID);
	bytes[0] = 6;
	bytes[21] = bytes[22] = 0; /* port */
	assert_int_equal(addresses_decode(got, bytes, 23, &fail), -FAIL_INVALID);
}

static void good_and_bad_host_and_port(void **state)
{
	const struct {
		const char *text;
		const char *host; /* NULL: refused */
		uint16_t port;
	} rows[] = {
		{ "laptop:80", "laptop", 80 },
		{ "laptop", "laptop", 47600 },
		{ "laptop.local:47600", "laptop.local", 47600 },
		{ "192.168.1.7:1", "192.168.1.7", 1 },
		{ "[fe80::1%eth0]:65535", "fe80::1%eth0", 65535 },
		{ "[fd00::1]", "fd00::1", 47600 },
		{ "fd00::1", "fd00::1", 47600 },
		{ "", NULL, 0 },
		{ ":80", NULL, 0 },
		{ "laptop:", NULL, 0 },
		{ "laptop:0", NULL, 0 },
		{ "laptop:65536", NULL, 0 },
		{ "laptop:99999999999999999999", NULL, 0 },
		{ "laptop:8x", NULL, 0 },
		{ "laptop:-1", NULL, 0 },
		{ "[fd00::1", NULL, 0 },
		{ "[fd00::1]80", NULL, 0 },
		{ "[]:80", NULL, 0 },
		{ "a-host-name-that-is-longer-than-the-place-for-it:80", NULL, 0 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char host[32];
		uint16_t port = 0;
		const bool ok = address_split(rows[i].text, host, sizeof(host), &port, 47600);
		assert_int_equal(ok, rows[i].host != NULL);
		if (!ok)
			continue;
		assert_string_equal(host, rows[i].host);
		assert_int_equal(port, rows[i].port);
	}
	char host[32];
	uint16_t port;
	assert_false(address_split("laptop", host, sizeof(host), &port, 0)); /* no default */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_near_and_far), cmocka_unit_test(good_sockets),
		cmocka_unit_test(good_text),         cmocka_unit_test(good_facts_travel),
		cmocka_unit_test(bad_facts),         cmocka_unit_test(good_and_bad_host_and_port),
	};
	return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
