/* The sampler: the committed tokens of a second reading of its rule, distributions, edges. */
#include "compute/sampler.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct sampler_config plain = { .temperature = 1, .top_p = 1, .repeat_penalty = 1 };

static uint32_t pick(const struct sampler_config *config, const float *logits, uint32_t n,
		     const uint32_t *history, uint32_t n_history, uint64_t position)
{
	float copy[64];
	uint32_t scratch[128];
	assert_true(n <= 64);
	memcpy(copy, logits, n * sizeof(float));
	return sampler_pick(config, copy, n, history, n_history, position, scratch);
}

/* ---- tests/vectors/sampler.txt ---- */

static const char *vectors_path;

static float vector_logit(uint32_t i, uint32_t round)
{
	uint32_t h = i * 2654435761u + round * 40503u;
	h = (h ^ h >> 15) * 2246822519u;
	h ^= h >> 13;
	return ((float)(h % 4001) - 2000.0f) / 128.0f;
}

static void check_line(const char *line)
{
	struct sampler_config config;
	uint32_t n, round, expected, history[16];
	int used, more;
	assert_int_equal(sscanf(line, "%u %u %f %u %f %f %f %u %lu%n", &n, &round,
				&config.temperature, &config.top_k, &config.top_p, &config.min_p,
				&config.repeat_penalty, &config.repeat_last,
				(unsigned long *)&config.seed, &used),
			 9);
	float *logits = malloc(n * sizeof(float));
	uint32_t *scratch = malloc(2 * n * sizeof(uint32_t));
	assert_true(logits && scratch);
	for (uint32_t position = 0; position < 16; position++) {
		for (uint32_t i = 0; i < n; i++)
			logits[i] = vector_logit(i, round);
		assert_int_equal(sscanf(line + used, "%u%n", &expected, &more), 1);
		used += more;
		history[position] =
			sampler_pick(&config, logits, n, history, position, position, scratch);
		if (history[position] != expected)
			fail_msg("%u at position %u of: %s", history[position], position, line);
	}
	free(logits);
	free(scratch);
}

static void second_reading(void **state)
{
	FILE *file = fopen(vectors_path, "r");
	assert_non_null(file);
	char line[512];
	int lines = 0;
	for (; fgets(line, sizeof(line), file); lines++)
		check_line(line);
	fclose(file);
	assert_int_equal(lines, 64);
}

/* ---- distributions ---- */

/* Draws over many seeds against the probabilities; the limit is chi-square's at 1 in 10,000. */
static void check_counts(const struct sampler_config *config, const float *logits, uint32_t n,
			 const double *chances, double limit)
{
	enum { DRAWS = 40000 };
	uint32_t counts[64] = { 0 };
	struct sampler_config one = *config;
	for (uint32_t i = 0; i < DRAWS; i++) {
		one.seed = i / 4;
		counts[pick(&one, logits, n, NULL, 0, i % 4)]++;
	}
	double chi = 0;
	for (uint32_t i = 0; i < n; i++) {
		const double expected = chances[i] * DRAWS;
		if (chances[i] == 0)
			assert_int_equal(counts[i], 0);
		else
			chi += (counts[i] - expected) * (counts[i] - expected) / expected;
	}
	if (chi > limit)
		fail_msg("chi-square is %g", chi);
}

static void distributions(void **state)
{
	float logits[8];
	for (int i = 0; i < 8; i++)
		logits[i] = (float)log(i + 1.0); /* chances i + 1 in 36 */
	double all[8], hot[8];
	double sum = 0;
	for (int i = 0; i < 8; i++) {
		all[i] = (i + 1) / 36.0;
		sum += sqrt(i + 1);
	}
	for (int i = 0; i < 8; i++)
		hot[i] = sqrt(i + 1) / sum;
	struct sampler_config config = plain;
	check_counts(&config, logits, 8, all, 30);
	config.temperature = 2;
	check_counts(&config, logits, 8, hot, 30);
	config = plain;
	config.top_k = 3;
	check_counts(&config, logits, 8, (double[]){ 0, 0, 0, 0, 0, 6 / 21.0, 7 / 21.0, 8 / 21.0 },
		     19);
	config = plain;
	config.top_p = 0.58f; /* 8 + 7 + 6 = 21 of 36 are 0.583 */
	check_counts(&config, logits, 8, (double[]){ 0, 0, 0, 0, 0, 6 / 21.0, 7 / 21.0, 8 / 21.0 },
		     19);
	config = plain;
	config.min_p = 0.7f; /* 6/8 is kept, 5/8 not */
	check_counts(&config, logits, 8, (double[]){ 0, 0, 0, 0, 0, 6 / 21.0, 7 / 21.0, 8 / 21.0 },
		     19);
	config.top_p = 0.3f; /* after it 8 + 7 of 36 */
	check_counts(&config, logits, 8, (double[]){ 0, 0, 0, 0, 0, 0, 7 / 15.0, 8 / 15.0 }, 16);
}

/* Top-k counts what top-p then takes its share of. */
static void top_p_of_top_k(void **state)
{
	float logits[4] = { 0, 0, 0, 0 };
	struct sampler_config config = plain;
	config.top_k = 2;
	config.top_p = 0.5f;
	check_counts(&config, logits, 4, (double[]){ 1, 0, 0, 0 }, 1);
	config.top_p = 0.51f;
	check_counts(&config, logits, 4, (double[]){ 0.5, 0.5, 0, 0 }, 16);
}

static void uniform_numbers(void **state)
{
	double sum = 0, squares = 0, neighbours = 0, before = 0.5;
	enum { N = 100000 };
	for (uint32_t i = 0; i < N; i++) {
		const float u = sampler_uniform(i / 10, i % 10);
		assert_true(u >= 0 && u < 1);
		sum += u;
		squares += (double)u * u;
		neighbours += (u - 0.5) * (before - 0.5);
		before = u;
	}
	assert_true(fabs(sum / N - 0.5) < 0.005);
	assert_true(fabs(squares / N - 1 / 3.0) < 0.005);
	assert_true(fabs(neighbours / N) < 0.002);
	/* frozen: equal on every machine and in every version of one numerics */
	assert_true(sampler_uniform(0, 0) == 0x1.4e0dbap-1f);
	assert_true(sampler_uniform(UINT64_MAX, UINT64_MAX) == 0x1.11406p-2f);
}

/* ---- edges ---- */

static void not_numbers(void **state)
{
	struct sampler_config greedy = plain, warm = plain;
	greedy.temperature = 0;
	warm.seed = 3;
	static const struct {
		float logits[4];
		uint32_t token;
	} cases[] = {
		{ { NAN, -5, NAN, NAN }, 1 },
		{ { NAN, NAN, NAN, NAN }, 0 },
		{ { -INFINITY, -INFINITY, -INFINITY, -INFINITY }, 0 },
		{ { NAN, -INFINITY, NAN, -INFINITY }, 0 },
		{ { 1, INFINITY, 2, INFINITY }, 1 },
		{ { -INFINITY, NAN, -INFINITY, -3e38f }, 3 },
		{ { -3e38f, 3e38f, NAN, -3e38f }, 1 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (uint32_t cut = 0; cut < 4; cut++) {
			warm.top_k = cut & 1 ? 2 : 0;
			warm.top_p = cut & 2 ? 0.9f : 1;
			warm.min_p = cut == 3 ? 0.1f : 0;
			assert_int_equal(pick(&warm, cases[i].logits, 4, NULL, 0, cut),
					 cases[i].token);
		}
		assert_int_equal(pick(&greedy, cases[i].logits, 4, NULL, 0, 0), cases[i].token);
	}
	assert_int_equal(pick(&warm, (float[]){ NAN }, 1, NULL, 0, 0), 0);
}

static void ties_go_to_the_lowest_id(void **state)
{
	float logits[40];
	for (int i = 0; i < 40; i++)
		logits[i] = i % 10 == 7 ? 0.0f : -1.0f;
	logits[17] = -0.0f;
	struct sampler_config config = plain;
	config.temperature = 0;
	assert_int_equal(pick(&config, logits, 40, NULL, 0, 0), 7);
	config.temperature = 1;
	config.top_k = 2;
	for (uint32_t i = 0; i < 200; i++) {
		const uint32_t token = pick(&config, logits, 40, NULL, 0, i);
		assert_true(token == 7 || token == 17);
	}
}

static void penalties(void **state)
{
	const float logits[4] = { 4, 3, -1, -2 };
	struct sampler_config config = plain;
	config.temperature = 0;
	config.repeat_penalty = 2;
	config.repeat_last = 2;
	assert_int_equal(pick(&config, logits, 4, (uint32_t[]){ 0 }, 1, 1), 1);
	assert_int_equal(pick(&config, logits, 4, (uint32_t[]){ 0, 2, 2 }, 3, 3),
			 0); /* too long ago */
	assert_int_equal(pick(&config, logits, 4, (uint32_t[]){ 0, 1 }, 2, 2), 0);
	/* once a token, however often it occurs: 4/2 = 2 stays above 3/2 */
	config.repeat_last = 8;
	assert_int_equal(pick(&config, logits, 4, (uint32_t[]){ 0, 0, 0, 1 }, 4, 4), 0);
	/* negative logits fall too; ids past the vocabulary are passed over */
	const float below[2] = { -1, -1.5f };
	assert_int_equal(pick(&config, below, 2, (uint32_t[]){ 0, 2, UINT32_MAX }, 3, 3), 1);
	config.repeat_last = 0;
	assert_int_equal(pick(&config, logits, 4, (uint32_t[]){ 0 }, 1, 1), 0);
}

static void settings(void **state)
{
	static const struct {
		struct sampler_config config;
		const char *reason;
	} cases[] = {
		{ { 0, 0, 1, 0, 1, 0, 0 }, NULL },
		{ { 100, UINT32_MAX, 0, 1, 100, UINT32_MAX, UINT64_MAX }, NULL },
		{ { NAN, 0, 1, 0, 1, 0, 0 }, "temperature" },
		{ { -0.1f, 0, 1, 0, 1, 0, 0 }, "temperature" },
		{ { 101, 0, 1, 0, 1, 0, 0 }, "temperature" },
		{ { INFINITY, 0, 1, 0, 1, 0, 0 }, "temperature" },
		{ { 1, 0, 1.1f, 0, 1, 0, 0 }, "top_p" },
		{ { 1, 0, NAN, 0, 1, 0, 0 }, "top_p" },
		{ { 1, 0, 1, -1, 1, 0, 0 }, "min_p" },
		{ { 1, 0, 1, 0, 0, 0, 0 }, "repeat_penalty" },
		{ { 1, 0, 1, 0, NAN, 0, 0 }, "repeat_penalty" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *reason = "";
		const bool ok = sampler_config_check(&cases[i].config, &reason);
		assert_int_equal(ok, cases[i].reason == NULL);
		assert_int_equal(ok, reason == NULL);
		if (!ok)
			assert_non_null(strstr(reason, cases[i].reason));
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(second_reading), cmocka_unit_test(distributions),
		cmocka_unit_test(top_p_of_top_k), cmocka_unit_test(uniform_numbers),
		cmocka_unit_test(not_numbers),    cmocka_unit_test(ties_go_to_the_lowest_id),
		cmocka_unit_test(penalties),      cmocka_unit_test(settings),
	};
	vectors_path = argc > 1 ? argv[1] : "tests/vectors/sampler.txt";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
