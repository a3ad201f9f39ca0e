#include "compute/sampler.h"

#include <math.h>
#include <string.h>

#define WEIGHT_ONE   0x1p40f
#define FALL_MOST    28.0f /* e^-28 < 2^-40 */
#define UNIFORM_BITS 24

/* ---- configuration ---- */

static bool within(float value, float low, float high)
{
	return value >= low && value <= high; /* false for NaN */
}

bool sampler_config_check(const struct sampler_config *config, const char **reason)
{
	*reason = NULL;
	if (!within(config->temperature, 0.0f, 100.0f))
		*reason = "temperature must be between 0 and 100";
	else if (!within(config->top_p, 0.0f, 1.0f))
		*reason = "top_p must be between 0 and 1";
	else if (!within(config->min_p, 0.0f, 1.0f))
		*reason = "min_p must be between 0 and 1";
	else if (!within(config->repeat_penalty, 0.0f, 100.0f) || config->repeat_penalty == 0.0f)
		*reason = "repeat_penalty must be above 0 and at most 100";
	return *reason == NULL;
}

/* ---- randomness ---- */

/* The finaliser of SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t value)
{
	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

/* The seed is mixed on its own first, so that neighbouring seeds do not give one another's numbers
 * at neighbouring positions. */
static uint32_t uniform_bits(uint64_t seed, uint64_t position)
{
	const uint64_t golden = UINT64_C(0x9e3779b97f4a7c15);
	const uint64_t state = mix(seed + golden) + golden * (position + 1);
	return (uint32_t)(mix(state) >> (64 - UNIFORM_BITS));
}

float sampler_uniform(uint64_t seed, uint64_t position)
{
	return (float)uniform_bits(seed, position) * 0x1p-24f;
}

/* floor(total * bits / 2^24) without a wider type; total is below 2^61. */
static uint64_t share(uint64_t total, uint32_t bits)
{
	const uint64_t low = total & ((1u << UNIFORM_BITS) - 1);
	return (total >> UNIFORM_BITS) * bits + (low * bits >> UNIFORM_BITS);
}

/* ---- penalty ---- */

static void penalize(const struct sampler_config *config, float *logits, uint32_t n_vocab,
		     const uint32_t *history, uint32_t n_history, uint32_t *seen)
{
	const uint32_t last = config->repeat_last < n_history ? config->repeat_last : n_history;
	if (last == 0 || config->repeat_penalty == 1.0f)
		return;
	memset(seen, 0, ((size_t)n_vocab + 31) / 32 * sizeof(*seen));
	for (uint32_t i = n_history - last; i < n_history; i++) {
		const uint32_t token = history[i];
		if (token >= n_vocab || (seen[token / 32] >> token % 32 & 1))
			continue;
		seen[token / 32] |= 1u << token % 32;
		if (logits[token] > 0)
			logits[token] /= config->repeat_penalty;
		else
			logits[token] *= config->repeat_penalty;
	}
}

static int32_t bits_of(float value)
{
	int32_t bits;
	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static float float_of(int32_t bits)
{
	float value;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* ---- the largest ---- */

#define LANES 16
#define BLOCK 256u

/* NaNs never compare, so they are passed over. -infinity when nothing is larger. */
static float largest(const float *logits, uint32_t n)
{
	float lanes[LANES];
	for (uint32_t j = 0; j < LANES; j++)
		lanes[j] = -INFINITY;
	uint32_t i = 0;
	for (; i + LANES <= n; i += LANES) {
		for (uint32_t j = 0; j < LANES; j++)
			lanes[j] = logits[i + j] > lanes[j] ? logits[i + j] : lanes[j];
	}
	for (; i < n; i++)
		lanes[0] = logits[i] > lanes[0] ? logits[i] : lanes[0];
	for (uint32_t j = 1; j < LANES; j++)
		lanes[0] = lanes[j] > lanes[0] ? lanes[j] : lanes[0];
	return lanes[0];
}

/* The value is there. */
static uint32_t first_of(const float *logits, uint32_t n, float value)
{
	uint32_t i = 0;
	while (i + 1 < n && logits[i] != value)
		i++;
	return i;
}

/* ---- candidates ---- */

/* What may still be drawn, in order of id. */
struct candidates {
	uint32_t count;
	uint32_t *ids;
	float *values; /* logits, then e^x in (0, 1] */
	uint32_t *keys;
};

/* All larger keys are kept, and equal ones from the left while `rest` is above 0. */
struct threshold {
	uint32_t key;
	uint64_t rest;
};

/* Larger floats have larger keys; -0 and 0 are equal; NaN is below all. */
static uint32_t key_of(float value)
{
	const uint32_t bits = (uint32_t)bits_of(value + 0.0f);
	if (value != value)
		return 0;
	return bits >> 31 ? ~bits : bits | 0x80000000;
}

static float value_of_key(uint32_t key)
{
	return float_of((int32_t)(key >> 31 ? key & 0x7fffffff : ~key));
}

static uint64_t weight_of(float value)
{
	return (uint64_t)(int64_t)(value * WEIGHT_ONE);
}

static uint64_t one(float value)
{
	return 1;
}

/* Walks buckets from the largest down to the one where `rest` is used up. */
static uint32_t find_bucket(const uint64_t *sums, uint32_t n, uint64_t *rest)
{
	uint32_t at = n - 1;
	while (at > 0 && sums[at] < *rest)
		*rest -= sums[at--];
	return at;
}

/* Finds where the sum of amounts of the largest candidates reaches `rest` (above 0, no more than
 * all together), without sorting: eleven, eleven and ten bits of the key at a time. */
static struct threshold find_threshold(const struct candidates *candidates,
				       uint64_t (*amount)(float), uint64_t rest)
{
	static const uint32_t shifts[] = { 21, 10, 0 }, widths[] = { 11, 11, 10 };
	uint32_t prefix = 0;
	for (int level = 0; level < 3; level++) {
		uint64_t sums[2048] = { 0 };
		const uint32_t shift = shifts[level], mask = (1u << widths[level]) - 1;
		for (uint32_t i = 0; i < candidates->count; i++) {
			const uint32_t key = candidates->keys[i];
			if (level == 0 || (key ^ prefix) >> shifts[level - 1] == 0)
				sums[key >> shift & mask] += amount(candidates->values[i]);
		}
		prefix |= find_bucket(sums, mask + 1, &rest) << shift;
	}
	return (struct threshold){ .key = prefix, .rest = rest };
}

static void keep(struct candidates *candidates, struct threshold threshold,
		 uint64_t (*amount)(float))
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < candidates->count; i++) {
		const uint32_t key = candidates->keys[i];
		if (key < threshold.key || (key == threshold.key && threshold.rest == 0))
			continue;
		if (key == threshold.key) {
			const uint64_t part = amount(candidates->values[i]);
			threshold.rest -= part < threshold.rest ? part : threshold.rest;
		}
		candidates->ids[kept] = candidates->ids[i];
		candidates->values[kept++] = candidates->values[i];
	}
	candidates->count = kept;
}

static void make_keys(struct candidates *candidates)
{
	for (uint32_t i = 0; i < candidates->count; i++)
		candidates->keys[i] = key_of(candidates->values[i]);
}

static void keep_largest(struct candidates *candidates, uint64_t (*amount)(float), uint64_t rest)
{
	make_keys(candidates);
	keep(candidates, find_threshold(candidates, amount, rest), amount);
}

/* Keeps values of at least `bound`: mostly few, so whole blocks are passed over at once. */
static void keep_from(struct candidates *candidates, float bound)
{
	uint32_t kept = 0;
	for (uint32_t start = 0; start < candidates->count; start += BLOCK) {
		const uint32_t left = candidates->count - start;
		const uint32_t size = left < BLOCK ? left : BLOCK;
		if (largest(candidates->values + start, size) < bound)
			continue;
		for (uint32_t i = start; i < start + size; i++) {
			candidates->ids[kept] = candidates->ids[i];
			candidates->values[kept] = candidates->values[i];
			kept += candidates->values[i] >= bound;
		}
	}
	candidates->count = kept;
}

/* The k-th largest of the blocks' maxima: at least k values are not below it. */
static float bound_of_k(const struct candidates *candidates, uint32_t k)
{
	struct candidates maxima = { .values = candidates->values, .keys = candidates->keys };
	maxima.count = candidates->count / BLOCK;
	if (maxima.count < k)
		return -INFINITY;
	for (uint32_t i = 0; i < maxima.count; i++)
		maxima.keys[i] = key_of(largest(candidates->values + i * BLOCK, BLOCK));
	return value_of_key(find_threshold(&maxima, one, k).key);
}

static void keep_top_k(struct candidates *candidates, uint32_t k)
{
	if (k == 0 || k >= candidates->count)
		return;
	keep_from(candidates, bound_of_k(candidates, k));
	if (k < candidates->count)
		keep_largest(candidates, one, k);
}

/* e^-x for 0 <= x <= 28 to about 2^-22, by single operations that every machine rounds alike:
 * -x = k ln 2 + r, |r| <= ln 2 / 2, a polynomial for e^r (Taylor), and 2^k by its bits. */
static float decay(float x)
{
	const float shifted = 0x1.8p23f - x * 0x1.715476p+0f;
	const float k = shifted - 0x1.8p23f;
	const float r = (-x - k * 0x1.62e4p-1f) - k * 0x1.7f7d1cp-20f;
	float p = 1.0f / 5040.0f;
	p = p * r + 1.0f / 720.0f;
	p = p * r + 1.0f / 120.0f;
	p = p * r + 1.0f / 24.0f;
	p = p * r + 1.0f / 6.0f;
	p = p * r + 0.5f;
	p = p * r + 1.0f;
	p = p * r + 1.0f;
	return p * float_of((bits_of(shifted) - bits_of(0x1.8p23f) + 127) * (1 << 23));
}

/* Logits to e^((logit - largest) / temperature). What is below e^-28, or no number, becomes e^-28,
 * whose weight is 0. The bound is taken on the bits of the magnitude, where NaN is above all:
 * compilers turn that into vector code. */
static void soften(float *values, uint32_t n, float top, float temperature)
{
	const int32_t most = bits_of(FALL_MOST);
	for (uint32_t i = 0; i < n; i++) {
		const int32_t fall = bits_of((top - values[i]) / temperature) & 0x7fffffff;
		values[i] = decay(float_of(fall < most ? fall : most));
	}
}

static uint64_t total_weight(const struct candidates *candidates)
{
	uint64_t total = 0;
	for (uint32_t i = 0; i < candidates->count; i++)
		total += weight_of(candidates->values[i]);
	return total;
}

/* Keeps the fewest largest weights that add up to `top_p` of `total`, the sum of all. Weights below
 * (1 - top_p) / count of it cannot be needed: together they are less than what may be left out. */
static void keep_top_p(struct candidates *candidates, float top_p, uint64_t total)
{
	const uint64_t needed = (uint64_t)((double)top_p * (double)total);
	const uint64_t spare = (total - needed) / candidates->count;
	keep_from(candidates, (float)spare / WEIGHT_ONE * 0.999f);
	keep_largest(candidates, weight_of, needed > 0 ? needed : 1);
}

static uint32_t draw(const struct candidates *candidates, uint64_t total, uint32_t random)
{
	const uint64_t target = share(total, random);
	uint64_t sum = 0;
	uint32_t i = 0;
	while ((sum += weight_of(candidates->values[i])) <= target)
		i++;
	return candidates->ids[i];
}

/* From softened values to a token. */
static uint32_t pick(const struct sampler_config *config, struct candidates *candidates,
		     uint64_t position)
{
	uint64_t total = total_weight(candidates);
	if (config->top_p < 1.0f)
		keep_top_p(candidates, config->top_p, total);
	if (config->min_p > 0.0f)
		keep_from(candidates, config->min_p);
	if (config->top_p < 1.0f || config->min_p > 0.0f)
		total = total_weight(candidates);
	return draw(candidates, total, uniform_bits(config->seed, position));
}

uint32_t sampler_pick(const struct sampler_config *config, float *logits, uint32_t n_vocab,
		      const uint32_t *history, uint32_t n_history, uint64_t position,
		      uint32_t *scratch)
{
	penalize(config, logits, n_vocab, history, n_history, scratch);
	const float top = largest(logits, n_vocab);
	if (top == -INFINITY)
		return 0;
	if (config->temperature == 0.0f || top == INFINITY)
		return first_of(logits, n_vocab, top);
	struct candidates candidates = {
		.count = n_vocab, .ids = scratch, .values = logits, .keys = scratch + n_vocab
	};
	for (uint32_t i = 0; i < n_vocab; i++)
		candidates.ids[i] = i;
	keep_top_k(&candidates, config->top_k);
	soften(candidates.values, candidates.count, top, config->temperature);
	return pick(config, &candidates, position);
}
