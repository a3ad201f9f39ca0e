#include "homes.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

uint64_t dice_next(struct dice *dice) /* splitmix64 */
{
	uint64_t z = dice->state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint32_t dice_below(struct dice *dice, uint32_t n)
{
	return (uint32_t)((dice_next(dice) >> 32) * n >> 32);
}

double dice_between(struct dice *dice, double low, double high)
{
	const double at = (double)(dice_next(dice) >> 11) * 0x1p-53;
	return low * pow(high / low, at);
}

bool dice_chance(struct dice *dice, double probability)
{
	return (double)(dice_next(dice) >> 11) * 0x1p-53 < probability;
}

void test_device(struct profile *profile, uint32_t number, const char *name, double weights_per_s)
{
	memset(profile, 0, sizeof(*profile));
	memset(profile->device.bytes, 1 + (int)number, ID_BYTES);
	snprintf(profile->name, sizeof(profile->name), "%s", name);
	profile->version = 1;
	profile->numerics = 1;
	profile->cores = 4;
	profile->disk_bytes_per_s = 1e9;
	profile->memory_total_bytes = 1ull << 40;
	profile->power = POWER_MAINS;
	profile->n_backends = 1;
	struct profile_backend *backend = &profile->backends[0];
	backend->kind = BACKEND_KIND_CPU;
	backend->threads = 4;
	backend->memory_bytes = 1ull << 40;
	backend->n_rates = 2;
	backend->rates[0] = (struct profile_rate){ 8, 1, weights_per_s };
	backend->rates[1] = (struct profile_rate){ 8, 64, weights_per_s / 16 };
}

static void add_link(struct profile *from, const struct profile *to, double rtt_s,
		     double bytes_per_s)
{
	from->links[from->n_links++] = (struct profile_link){ .peer = to->device,
							      .medium = LINK_WIRED,
							      .rtt_p50_s = rtt_s,
							      .rtt_p95_s = 2 * rtt_s,
							      .bytes_per_s = bytes_per_s };
}

void test_link(struct profile *a, struct profile *b, double rtt_s, double bytes_per_s)
{
	add_link(a, b, rtt_s, bytes_per_s);
	add_link(b, a, rtt_s, bytes_per_s);
}

void test_model(struct model_facts *facts, uint32_t n_layers)
{
	memset(facts, 0, sizeof(*facts));
	memset(facts->id.bytes, 0x77, ID_BYTES);
	snprintf(facts->name, sizeof(facts->name), "test");
	snprintf(facts->family, sizeof(facts->family), "llama");
	facts->n_layers = n_layers;
	facts->n_embd = 256;
	facts->n_vocab = 1000;
	facts->context_max = 8192;
	facts->metadata_bytes = 10000;
	facts->embedding.bytes = 2000000;
	facts->output = (struct unit_facts){ .bytes = 2000000, .n_types = 1,
					     .types = { { 8, 2000000 } } };
	for (uint32_t i = 0; i < n_layers; i++) {
		facts->layers[i] = (struct unit_facts){ .bytes = 1062500, .n_types = 1,
							.types = { { 8, 1000000 } } };
		facts->kv_bytes[i] = 1024;
		facts->file_bytes += facts->layers[i].bytes;
	}
	facts->file_bytes += facts->embedding.bytes + facts->output.bytes;
}

static void roll_model(struct model_facts *facts, struct dice *dice, uint32_t n_layers)
{
	const uint32_t n_kinds = 1 + dice_below(dice, 3);
	struct unit_facts kinds[3];
	test_model(facts, n_layers);
	facts->n_embd = 64 + dice_below(dice, 4096);
	for (uint32_t i = 0; i < n_kinds; i++) {
		const double weights = dice_between(dice, 1e6, 4e6);
		kinds[i] = (struct unit_facts){
			.bytes = (uint64_t)(weights * dice_between(dice, 0.5, 1.2)),
			.n_types = 2,
			.types = { { 8, (uint64_t)weights }, { 12, (uint64_t)(weights / 3) } }
		};
	}
	for (uint32_t i = 0; i < n_layers; i++) {
		facts->layers[i] = kinds[dice_below(dice, n_kinds)];
		facts->kv_bytes[i] = dice_chance(dice, 0.7) ? 1024 : 256;
	}
	facts->embedding.bytes = (uint64_t)dice_between(dice, 1e5, 5e6);
	facts->output.bytes = dice_chance(dice, 0.5) ? facts->embedding.bytes : 1000;
	facts->output.types[0].weights = (uint64_t)dice_between(dice, 1e5, 5e6);
}

static void roll_device(struct test_home *home, struct dice *dice, uint32_t i, double memory)
{
	struct profile *profile = &home->profiles[i];
	char name[32];
	snprintf(name, sizeof(name), "device%u", i);
	test_device(profile, i, name, dice_between(dice, 1e8, 1e10));
	struct profile_backend *backend = &profile->backends[0];
	const double speed = backend->rates[0].weights_per_s;
	backend->n_rates = 4;
	backend->rates[1].weights_per_s = speed / dice_between(dice, 8, 64);
	backend->rates[2] = (struct profile_rate){ 12, 1, speed * dice_between(dice, 0.5, 2) };
	backend->rates[3] = (struct profile_rate){ 12, 64, speed / dice_between(dice, 8, 64) };
	backend->layer_overhead_s = dice_between(dice, 1e-6, 1e-4);
	backend->kv_bytes_per_s = dice_between(dice, 1e9, 2e10);
	backend->reserve_bytes = 50000;
	backend->memory_bytes = (uint64_t)(memory * dice_between(dice, 0.3, 3)) + 60000;
	profile->disk_bytes_per_s = dice_between(dice, 2e8, 5e9);
}

static void roll_links(struct test_home *home, struct dice *dice)
{
	const bool even = dice_chance(dice, 0.3);
	const double rtt_s = dice_between(dice, 1e-5, 1e-2);
	for (uint32_t i = 0; i < home->n; i++) {
		for (uint32_t j = 0; j < home->n; j++) {
			if (i == j || dice_chance(dice, 0.05))
				continue; /* a few links are unmeasured */
			add_link(&home->profiles[i], &home->profiles[j],
				 even ? rtt_s : dice_between(dice, 1e-5, 1e-2),
				 even ? 1e8 : dice_between(dice, 1e6, 1e9));
		}
	}
}

void test_home_roll(struct test_home *home, struct dice *dice, uint32_t n, uint32_t n_layers,
		    double room)
{
	memset(home, 0, sizeof(*home));
	home->n = n;
	roll_model(&home->facts, dice, n_layers);
	plan_options_init(&home->options, &home->facts);
	home->options.context = 256;
	double need = (double)(home->facts.embedding.bytes + home->facts.output.bytes);
	for (uint32_t i = 0; i < n_layers; i++)
		need += (double)home->facts.layers[i].bytes +
			(double)home->facts.kv_bytes[i] * home->options.context;
	for (uint32_t i = 0; i < n; i++) {
		roll_device(home, dice, i, need * room / n);
		home->candidates[i].profile = &home->profiles[i];
	}
	roll_links(home, dice);
	home->options.turn.tokens_in = 1 + dice_below(dice, 300);
	home->options.turn.tokens_out = 1 + dice_below(dice, 100);
	home->options.turn.cached_share = dice_chance(dice, 0.3) ? 0.5 : 0;
}
