#include "daemon/profiler.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROFILE_MAGIC "PRMDprof"
#define PROFILE_VERSION 2 /* of the way of measuring, too: older ones are measured anew */
#define PRODUCT_MS 25
#define PASSES 3
#define PROMPT_ROWS 64
#define WEIGHTS_IN 2048u
#define WEIGHTS_OUT 4096u

struct profiler {
	struct profiler_config config;
	uv_work_t work;
	bool running;    /* `work` is; what follows `unwanted` belongs to it */
	uint64_t wanted; /* types, a bit each */
	uint64_t asked;  /* of them, those that the work at hand is to measure */
	uint64_t tried;  /* of them, those that need not be measured again in this process */
	char key[256];   /* what a stored result must have been measured on */
	char path[PATH_MAX];
	char folder[PATH_MAX];
	atomic_bool unwanted;
	uint64_t missing;       /* types to measure */
	bool known;             /* what no type says was measured or read */
	struct profile profile; /* one backend, and the disk are used */
	struct profile kept;    /* likewise, as in the file */
};

/* ---- the file ---- */

static bool load(struct profiler *profiler)
{
	struct buf payload;
	uint32_t version;
	const size_t key_size = sizeof(profiler->key);
	buf_init(&payload);
	const bool good =
		state_file_read(profiler->path, PROFILE_MAGIC, PROFILE_VERSION, &version, &payload,
				NULL) == 0 &&
		version == PROFILE_VERSION && payload.size > key_size &&
		memcmp(payload.data, profiler->key, key_size) == 0 &&
		profile_decode(&profiler->kept, payload.data + key_size, payload.size - key_size,
			       NULL) == 0 &&
		profiler->kept.n_backends == 1;
	if (good)
		profiler->profile = profiler->kept;
	buf_finish(&payload);
	return good;
}

static void store(const struct profiler *profiler)
{
	struct buf payload;
	struct fail why;
	buf_init(&payload);
	buf_append(&payload, profiler->key, sizeof(profiler->key));
	profile_encode(&profiler->kept, &payload);
	if (payload.failed || state_file_write(profiler->path, PROFILE_MAGIC, PROFILE_VERSION,
					       payload.data, payload.size, &why) != 0)
		log_warn("profiler", "the measurements could not be stored");
	buf_finish(&payload);
}

/* ---- measuring, on the worker ---- */

static uint64_t measured_types(const struct profile_backend *backend)
{
	uint64_t types = 0;
	for (uint32_t i = 0; i < backend->n_rates; i++)
		types |= 1ull << backend->rates[i].type % TENSOR_TYPES_END;
	return types;
}

static void add_rates(struct profile_backend *to, const struct profile_rate *rates, uint32_t n)
{
	for (uint32_t i = 0; i < n && to->n_rates < PROFILE_RATES_MAX; i++)
		to->rates[to->n_rates++] = rates[i];
}

static struct profile_rate *rate_of(struct profile_backend *backend, uint32_t type, uint32_t rows)
{
	for (uint32_t i = 0; i < backend->n_rates; i++)
		if (backend->rates[i].type == type && backend->rates[i].rows == rows)
			return &backend->rates[i];
	return NULL;
}

static void measure_type(struct profiler *profiler, uint32_t type)
{
	const uint32_t rows[] = { 1, PROMPT_ROWS };
	for (int i = 0; i < 2; i++) {
		const double rate = bench_product(profiler->config.backend, type, WEIGHTS_OUT,
						  WEIGHTS_IN, rows[i], PRODUCT_MS);
		const struct profile_rate one = { type, rows[i], rate };
		struct profile_rate *known =
			rate_of(&profiler->profile.backends[0], type, rows[i]);
		if (known && rate > known->weights_per_s)
			known->weights_per_s = rate;
		else if (!known && rate > 0)
			add_rates(&profiler->profile.backends[0], &one, 1);
	}
}

/* Every type several times, the best counts: what disturbs a measurement, such as other programs
 * that begin when the machine does, is often over a moment later. Gives false when the limit cut it
 * short. */
static bool measure_types(struct profiler *profiler)
{
	const int64_t end_ms = clock_ms() + profiler->config.limit_ms;
	const uint64_t types = profiler->missing;
	for (uint32_t i = 0; i < PASSES * TENSOR_TYPES_END; i++) {
		const uint32_t type = i % TENSOR_TYPES_END;
		if (!(types >> type & 1) || atomic_load(&profiler->unwanted))
			continue;
		if (profiler->missing != types && clock_ms() >= end_ms)
			return false;
		measure_type(profiler, type);
		profiler->missing &= ~(1ull << type);
	}
	return true;
}

static void measure_rest(struct profiler *profiler)
{
	struct backend *backend = profiler->config.backend;
	struct profile *profile = &profiler->profile;
	struct fail why;
	profile->n_backends = 1;
	profile->backends[0].kind = BACKEND_KIND_CPU;
	profile->backends[0].threads = backend_threads(backend);
	profile->backends[0].layer_overhead_s = bench_layer_overhead(backend, 2048, PRODUCT_MS);
	profile->backends[0].kv_bytes_per_s = bench_attention(backend, 128, PRODUCT_MS);
	profile->disk_bytes_per_s = bench_disk(profiler->folder, PRODUCT_MS, &why);
	profiler->kept = *profile;
}

static void on_worker(uv_work_t *work)
{
	struct profiler *profiler = work->data;
	const bool begins = !profiler->known;
	const bool found = begins && load(profiler);
	if (begins && !found)
		measure_rest(profiler);
	profiler->known = true;
	struct profile_backend *backend = &profiler->profile.backends[0];
	const uint32_t before = backend->n_rates;
	profiler->missing &= ~measured_types(backend);
	const bool whole = measure_types(profiler);
	if (atomic_load(&profiler->unwanted))
		return;
	if (whole)
		add_rates(&profiler->kept.backends[0], backend->rates + before,
			  backend->n_rates - before);
	if ((begins && !found) || (whole && backend->n_rates > before))
		store(profiler);
}

/* ---- the loop's side ---- */

static void on_measured(uv_work_t *work, int status);

static void run(struct profiler *profiler)
{
	profiler->missing = profiler->asked = profiler->wanted & ~profiler->tried;
	profiler->running = uv_queue_work(profiler->config.loop, &profiler->work, on_worker,
					  on_measured) == 0;
}

static void on_measured(uv_work_t *work, int status)
{
	struct profiler *profiler = work->data;
	if (atomic_load(&profiler->unwanted)) {
		free(profiler);
		return;
	}
	profiler->running = false;
	/* what has no rate now cannot be measured here; what is still missing can */
	profiler->tried |= profiler->asked & ~profiler->missing;
	profiler->config.done(profiler->config.context, &profiler->profile.backends[0],
			      profiler->profile.disk_bytes_per_s);
	if (!profiler->running && (profiler->wanted & ~profiler->tried))
		run(profiler);
}

static uint64_t supported(uint64_t types)
{
	for (uint32_t type = 0; type < TENSOR_TYPES_END; type++)
		if (!tensor_type_supported(type))
			types &= ~(1ull << type);
	return types;
}

void profiler_want(struct profiler *profiler, uint64_t types)
{
	types = supported(types) & ~profiler->wanted;
	profiler->wanted |= types;
	if (types && !profiler->running)
		run(profiler);
}

struct profiler *profiler_create(const struct profiler_config *config)
{
	struct profiler *profiler = calloc(1, sizeof(*profiler));
	if (!profiler)
		return NULL;
	profiler->config = *config;
	profiler->work.data = profiler;
	snprintf(profiler->key, sizeof(profiler->key), "%s | %s | %s | %u", config->machine->cpu,
		 backend_name(config->backend), PRIMAD_VERSION, NUMERICS_VERSION);
	snprintf(profiler->folder, sizeof(profiler->folder), "%s", config->state);
	file_join(profiler->path, sizeof(profiler->path), config->state, "profile.bin");
	profiler->wanted = supported(config->types);
	run(profiler);
	if (profiler->running)
		return profiler;
	free(profiler);
	return NULL;
}

void profiler_destroy(struct profiler *profiler)
{
	if (!profiler)
		return;
	if (profiler->running)
		atomic_store(&profiler->unwanted, true);
	else
		free(profiler);
}

uint64_t profiler_types(const struct model_facts *facts)
{
	uint64_t types = 0;
	for (uint32_t i = 0; i <= facts->n_layers; i++) {
		const struct unit_facts *unit =
			i < facts->n_layers ? &facts->layers[i] : &facts->output;
		for (uint32_t j = 0; j < unit->n_types; j++)
			if (unit->types[j].type < TENSOR_TYPES_END)
				types |= 1ull << unit->types[j].type;
	}
	return types;
}
