/* Vectors: draft-irtf-cfrg-cpace, testvectors.json, "G_Coffee25519" (ristretto255 with SHA-512). */
#include "proto/cpace.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct cpace_bytes text(const char *string)
{
	return (struct cpace_bytes){ string, strlen(string) };
}

static void from_hex(uint8_t *bytes, size_t size, const char *hex)
{
	size_t n;
	assert_int_equal(sodium_hex2bin(bytes, size, hex, strlen(hex), NULL, &n, NULL), 0);
	assert_int_equal(n, size);
}

#define HEX(name, size, hex)                                                                       \
	uint8_t name[size];                                                                        \
	from_hex(name, size, hex)

static void the_drafts_run_comes_out(void **state)
{
	HEX(ci, 26, "6f630b425f726573706f6e6465720b415f696e69746961746f72");
	HEX(sid, 16, "7e4b4791d6a8ef019b936c79fb7f2c57");
	HEX(g, 32, "a6fc82c3b8968fbb2e06fee81ca858586dea50d248f0c7ca6a18b0902a30b36b");
	HEX(ya, 32, "da3d23700a9e5699258aef94dc060dfda5ebb61f02a5ea77fad53f4ff0976d08");
	HEX(share_a, 32, "d40fb265a7abeaee7939d91a585fe59f7053f982c296ec413c624c669308f87a");
	HEX(yb, 32, "d2316b454718c35362d83d69df6320f38578ed5984651435e2949762d900b80d");
	HEX(share_b, 32, "08bcf6e9777a9c313a3db6daa510f2d398403319c2341bd506a92e672eb7e307");
	HEX(isk, 64, "4c5469a16b2364c4b944ebc1a79e51d1674ad47db26e8718154f59faebfaa52d"
		     "8346f30aa58377117eb20d527f2cbc5c76381f7fd372e89df8239f87f2e02ed1");
	uint8_t generator[32], share[32], key[64];
	const struct cpace_bytes session = { sid, sizeof(sid) };
	cpace_generator(generator, text("Password"), (struct cpace_bytes){ ci, sizeof(ci) },
			session);
	assert_memory_equal(generator, g, 32);
	assert_true(cpace_share(share, ya, generator));
	assert_memory_equal(share, share_a, 32);
	assert_true(cpace_share(share, yb, generator));
	assert_memory_equal(share, share_b, 32);
	const struct cpace_run run = { session, share_a, text("ADa"), share_b, text("ADb") };
	assert_true(cpace_key(key, ya, share_b, &run)); /* as the initiator */
	assert_memory_equal(key, isk, 64);
	memset(key, 0, sizeof(key));
	assert_true(cpace_key(key, yb, share_a, &run)); /* as the responder */
	assert_memory_equal(key, isk, 64);
}

/* K = H without the hashing around it would be the multiplication itself. */
static void the_drafts_multiplication_comes_out(void **state)
{
	HEX(s, 32, "7cd0e075fa7955ba52c02759a6c90dbbfc10e6d40aea8d283e407d88cf538a05");
	HEX(x, 32, "2c3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a51c");
	HEX(result, 32, "7c13645fe790a468f62c39beb7388e541d8405d1ade69d1778c5fe3e7f6b600e");
	uint8_t share[32];
	assert_true(cpace_share(share, s, x));
	assert_memory_equal(share, result, 32);
}

static void invalid_points_abort(void **state)
{
	HEX(s, 32, "7cd0e075fa7955ba52c02759a6c90dbbfc10e6d40aea8d283e407d88cf538a05");
	HEX(not_a_point, 32, "2b3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a51c");
	HEX(neutral, 32, "0000000000000000000000000000000000000000000000000000000000000000");
	const struct cpace_run run = { text("s"), neutral, text("a"), neutral, text("b") };
	uint8_t key[64], untouched[64];
	memset(key, 0x5a, sizeof(key));
	memset(untouched, 0x5a, sizeof(untouched));
	assert_false(cpace_key(key, s, not_a_point, &run));
	assert_false(cpace_key(key, s, neutral, &run));
	assert_memory_equal(key, untouched, sizeof(key));
}

static void every_input_counts(void **state)
{
	static const char *const inputs[][3] = {
		{ "482913", "ci", "sid" }, { "482914", "ci", "sid" }, { "482913", "cj", "sid" },
		{ "482913", "ci", "sie" }, { "48291", "3ci", "sid" }, { "482913", "cis", "id" },
	};
	enum { N = sizeof(inputs) / sizeof(inputs[0]) };
	uint8_t g[N][32];
	for (int i = 0; i < N; i++) {
		cpace_generator(g[i], text(inputs[i][0]), text(inputs[i][1]), text(inputs[i][2]));
		for (int j = 0; j < i; j++)
			assert_memory_not_equal(g[i], g[j], 32);
	}
}

/* lv of sizes around the step to two bytes, by the draft's definition of prepend_len. */
static void lengths_are_leb128(void **state)
{
	static const struct {
		size_t size, head;
		uint8_t bytes[2];
	} cases[] = { { 0, 1, { 0 } }, { 127, 1, { 127 } }, { 128, 2, { 0x80, 1 } },
		      { 300, 2, { 0xac, 2 } } };
	uint8_t content[300], out[302];
	memset(content, 7, sizeof(content));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t *end = cpace_lv(out, content, cases[i].size);
		assert_int_equal(end - out, cases[i].head + cases[i].size);
		assert_memory_equal(out, cases[i].bytes, cases[i].head);
	}
	/* a secret as long as a block: no padding, no crash */
	uint8_t g[32], other[32];
	cpace_generator(g, (struct cpace_bytes){ content, 200 }, text(""), text(""));
	cpace_generator(other, (struct cpace_bytes){ content, 199 }, text(""), text(""));
	assert_memory_not_equal(g, other, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_drafts_run_comes_out),
		cmocka_unit_test(the_drafts_multiplication_comes_out),
		cmocka_unit_test(invalid_points_abort),
		cmocka_unit_test(every_input_counts),
		cmocka_unit_test(lengths_are_leb128),
	};
	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
