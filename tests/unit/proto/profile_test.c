/* Profiles of devices and facts of models. */
#include "proto/profile.h"

#include "proto/facts.h"
#include "tests/unit/proto/samples.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct profile profile, back;
static struct model_facts facts, facts_back;

static int recode(void)
{
	struct buf bytes;
	buf_init(&bytes);
	profile_encode(&profile, &bytes);
	const int result = profile_decode(&back, bytes.data, bytes.size, NULL);
	buf_finish(&bytes);
	return result;
}

static void a_profile_comes_back(void **state)
{
	memset(&profile, 0, sizeof(profile));
	sample_profile(&profile);
	assert_int_equal(recode(), 0);
	assert_string_equal(back.name, "kitchen-pi");
	assert_int_equal(back.n_backends, 2);
	assert_int_equal(back.backends[0].n_rates, 2);
	assert_int_equal(back.backends[0].rates[1].rows, 64);
	assert_true(back.backends[1].rates[0].weights_per_s == 3.25e10);
	assert_int_equal(back.links[0].medium, LINK_WIRED);
	assert_true(back.battery_use_allowed);
	assert_true(back.disk_bytes_per_s == 4.5e8);
}

#define REFUSED(change)                                                                            \
	do {                                                                                       \
		sample_profile(&profile);                                                          \
		change;                                                                            \
		assert_int_equal(recode(), -FAIL_INVALID);                                         \
	} while (0)
#define ACCEPTED(change)                                                                           \
	do {                                                                                       \
		sample_profile(&profile);                                                          \
		change;                                                                            \
		assert_int_equal(recode(), 0);                                                     \
	} while (0)

static void absurd_profiles_are_refused(void **state)
{
	ACCEPTED(profile.cores = 4096);
	REFUSED(profile.cores = 4097);
	ACCEPTED(profile.memory_total_bytes = 1ull << 50);
	REFUSED(profile.memory_total_bytes = (1ull << 50) + 1);
	REFUSED(profile.power = POWER_BATTERY + 1);
	REFUSED(profile.disk_bytes_per_s = NAN);
	REFUSED(profile.disk_bytes_per_s = -1);
	ACCEPTED(profile.disk_bytes_per_s = 1e18);
	REFUSED(profile.disk_bytes_per_s = 1.1e18);
	REFUSED(profile.backends[0].kind = BACKEND_KINDS);
	REFUSED(profile.backends[0].reserve_bytes = profile.backends[0].memory_bytes + 1);
	ACCEPTED(profile.backends[0].reserve_bytes = profile.backends[0].memory_bytes);
	REFUSED(profile.backends[0].layer_overhead_s = INFINITY);
	REFUSED(profile.backends[0].kv_bytes_per_s = -1);
	REFUSED(profile.backends[0].rates[0].rows = 0);
	ACCEPTED(profile.backends[0].rates[0].rows = 65536);
	REFUSED(profile.backends[0].rates[0].rows = 65537);
	ACCEPTED(profile.backends[0].rates[0].type = 255);
	REFUSED(profile.backends[0].rates[0].type = 256);
	REFUSED(profile.backends[0].rates[0].weights_per_s = -1);
	ACCEPTED(profile.backends[0].rates[0].weights_per_s = 1);
	REFUSED(profile.backends[0].rates[0].weights_per_s = 0x1p-1030); /* 1 / it is infinite */
	ACCEPTED(profile.disk_bytes_per_s = 0);
	REFUSED(profile.disk_bytes_per_s = 0.5);
	REFUSED(profile.backends[0].kv_bytes_per_s = 0.5);
	REFUSED(profile.links[0].bytes_per_s = 1e-300);
	REFUSED(profile.links[0].medium = LINK_LOOPBACK + 1);
	REFUSED(profile.links[0].rtt_p50_s = -1);
	ACCEPTED(profile.links[0].rtt_p95_s = 3600);
	REFUSED(profile.links[0].rtt_p95_s = 3601);
	REFUSED(profile.links[0].bytes_per_s = NAN);
}

static void the_largest_profile_fits(void **state)
{
	struct buf bytes;
	buf_init(&bytes);
	sample_profile(&profile);
	profile.n_backends = PROFILE_BACKENDS_MAX;
	profile.n_links = PROFILE_LINKS_MAX;
	memset(profile.name, 'n', sizeof(profile.name) - 1);
	profile.version = UINT64_MAX;
	for (int b = 0; b < PROFILE_BACKENDS_MAX; b++) {
		profile.backends[b] = profile.backends[0];
		profile.backends[b].n_rates = PROFILE_RATES_MAX;
		for (int r = 0; r < PROFILE_RATES_MAX; r++)
			profile.backends[b].rates[r] = (struct profile_rate){ 255, 65536, 1e17 };
	}
	for (int i = 0; i < PROFILE_LINKS_MAX; i++)
		profile.links[i] = profile.links[0];
	profile_encode(&profile, &bytes);
	assert_true(bytes.size <= PROFILE_BYTES_MAX);
	assert_int_equal(profile_decode(&back, bytes.data, bytes.size, NULL), 0);
	assert_int_equal(back.backends[3].rates[47].rows, 65536);
	assert_int_equal(profile_decode(&back, bytes.data, PROFILE_BYTES_MAX + 1, NULL),
			 -FAIL_INVALID); /* refused before it is looked at */
	buf_finish(&bytes);
}

static bool near(double a, double b)
{
	return fabs(a - b) <= 1e-9 * fabs(b);
}

static void rates_are_found_between_and_beyond(void **state)
{
	const struct profile_backend backend = {
		.n_rates = 5,
		.rates = { { 12, 1, 8e9 }, { 12, 65, 1e9 }, { 14, 4, 6e9 }, { 8, 1, 0 },
			   { 2, 1, 7e9 } },
	};
	const struct profile_backend empty = { 0 };
	assert_true(near(profile_rate(&backend, 12, 1), 8e9));
	assert_true(near(profile_rate(&backend, 12, 65), 1e9));
	/* half-way in rows is half-way in time: (1/8 + 1/1) / 2 ns a weight */
	assert_true(near(profile_rate(&backend, 12, 33), 1e9 / 0.5625));
	assert_true(near(profile_rate(&backend, 12, 130), 0.5e9)); /* twice the rows, twice as long */
	assert_true(near(profile_rate(&backend, 14, 1), 6e9));     /* fewer rows are not slower */
	assert_true(near(profile_rate(&backend, 14, 8), 3e9));
	/* unmeasured, or measured as nothing: the slowest of the others */
	assert_true(near(profile_rate(&backend, 99, 1), 6e9));
	assert_true(near(profile_rate(&backend, 8, 1), 6e9));
	assert_true(near(profile_rate(&backend, 99, 65), 7e9 / 65));
	assert_true(profile_rate(&empty, 12, 1) == 0);
}

/* ---- facts ---- */

static int recode_facts(void)
{
	struct buf bytes;
	buf_init(&bytes);
	facts_encode(&facts, &bytes);
	const int result = facts_decode(&facts_back, bytes.data, bytes.size, NULL);
	buf_finish(&bytes);
	return result;
}

static void facts_come_back(void **state)
{
	sample_facts(&facts);
	assert_int_equal(recode_facts(), 0);
	assert_memory_equal(&facts_back, &facts, sizeof(facts));
}

#define FACTS_REFUSED(change)                                                                      \
	do {                                                                                       \
		sample_facts(&facts);                                                              \
		change;                                                                            \
		assert_int_equal(recode_facts(), -FAIL_INVALID);                                   \
	} while (0)

static void facts_that_contradict_themselves_are_refused(void **state)
{
	FACTS_REFUSED(facts.n_layers = 0);
	FACTS_REFUSED(facts.n_layers = 4); /* the fourth has no bytes */
	FACTS_REFUSED(facts.n_embd = 0);
	FACTS_REFUSED(facts.n_embd = 65537);
	FACTS_REFUSED(facts.n_vocab = 0);
	FACTS_REFUSED(facts.context_max = 0);
	FACTS_REFUSED(facts.name[0] = 0);
	FACTS_REFUSED(facts.file_bytes = 1000);
	FACTS_REFUSED(facts.file_bytes = (1ull << 48) + 1);
	FACTS_REFUSED(facts.layers[1].bytes = 1ull << 48);
	FACTS_REFUSED(facts.layers[1].types[0].type = 256);
	FACTS_REFUSED(facts.layers[1].types[0].weights = (1ull << 48) + 1);
	FACTS_REFUSED(facts.kv_bytes[1] = (1u << 24) + 1);
	FACTS_REFUSED(facts.kv_types = 8);
	sample_facts(&facts);
	facts.kv_bytes[1] = 1u << 24;
	facts.file_bytes = 1ull << 48;
	assert_int_equal(recode_facts(), 0);
	/* exactly as many bytes as the parts have */
	sample_facts(&facts);
	facts.file_bytes = 6000000 + 178000000 + 2560 + 4000000 + 4000001 + 4000002;
	assert_int_equal(recode_facts(), 0);
	facts.file_bytes--;
	assert_int_equal(recode_facts(), -FAIL_INVALID);
}

static void the_largest_facts_fit(void **state)
{
	struct buf bytes;
	buf_init(&bytes);
	sample_facts(&facts);
	memset(facts.name, 'n', sizeof(facts.name) - 1);
	memset(facts.family, 'f', sizeof(facts.family) - 1);
	facts.n_layers = MODEL_LAYERS_MAX;
	facts.file_bytes = 1ull << 48;
	for (int i = 0; i < MODEL_LAYERS_MAX; i++) {
		facts.layers[i].bytes = 1ull << 38;
		facts.layers[i].n_types = MODEL_TYPES_MAX;
		for (int t = 0; t < MODEL_TYPES_MAX; t++) {
			facts.layers[i].types[t].type = 255;
			facts.layers[i].types[t].weights = 1ull << 48;
		}
		facts.kv_bytes[i] = 1u << 24;
		facts.kv_windows[i] = UINT32_MAX;
	}
	facts_encode(&facts, &bytes);
	assert_true(bytes.size <= FACTS_BYTES_MAX);
	assert_int_equal(facts_decode(&facts_back, bytes.data, bytes.size, NULL), 0);
	assert_int_equal(facts_decode(&facts_back, bytes.data, FACTS_BYTES_MAX + 1, NULL),
			 -FAIL_INVALID);
	/* with experts and states: of half as many types */
	facts.n_expert = facts.n_expert_used = 65536;
	for (int i = 0; i < MODEL_LAYERS_MAX; i++) {
		facts.layers[i].n_types = MODEL_TYPES_MAX / 2;
		for (int t = 0; t < MODEL_TYPES_MAX / 2; t++)
			facts.layers[i].types[t].chosen = 1ull << 48;
		facts.state_bytes[i] = 1u << 30;
	}
	buf_clear(&bytes);
	facts_encode(&facts, &bytes);
	assert_true(bytes.size <= FACTS_BYTES_MAX);
	assert_int_equal(facts_decode(&facts_back, bytes.data, bytes.size, NULL), 0);
	buf_finish(&bytes);
}

/* The lists of layers must be of one length. */
static void layers_and_their_cache_are_counted_alike(void **state)
{
	struct buf bytes;
	buf_init(&bytes);
	sample_facts(&facts);
	facts_encode(&facts, &bytes);
	/* the last field is [0, 2097152, 0]: make it a list of two */
	assert_int_equal(bytes.data[bytes.size - 8], 0x93);
	bytes.data[bytes.size - 8] = 0x92;
	assert_int_equal(facts_decode(&facts_back, bytes.data, bytes.size - 1, NULL), -FAIL_INVALID);
	buf_finish(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_profile_comes_back),
		cmocka_unit_test(absurd_profiles_are_refused),
		cmocka_unit_test(the_largest_profile_fits),
		cmocka_unit_test(rates_are_found_between_and_beyond),
		cmocka_unit_test(facts_come_back),
		cmocka_unit_test(facts_that_contradict_themselves_are_refused),
		cmocka_unit_test(the_largest_facts_fit),
		cmocka_unit_test(layers_and_their_cache_are_counted_alike),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
