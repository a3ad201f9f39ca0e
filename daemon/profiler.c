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
#define PROFILE_VERSION 1
#define PRODUCT_MS 40
#define TYPES_MS 4000 /* for all types; what is left over counts as the slowest (profile_rate) */
#define PROMPT_ROWS 64
#define WEIGHTS_IN 2048u
#define WEIGHTS_OUT 1024u

struct profiler {
	uv_work_t work;
	struct backend *backend;
	char key[256]; /* what a stored result must have been measured on */
	char path[PATH_MAX];
	char folder[PATH_MAX];
	atomic_bool unwanted;
	struct profile profile; /* one backend, device and disk are used */
	void (*done)(void *context, const struct profile_backend *rates, double disk_bytes_per_s);
	void *context;
};

static bool load(struct profiler *profiler)
{
	struct buf payload;
	uint32_t version;
	const size_t key_size = sizeof(profiler->key);
	buf_init(&payload);
	const bool good =
		state_file_read(profiler->path, PROFILE_MAGIC, PROFILE_VERSION, &version, &payload,
				NULL) == 0 &&
		payload.size > key_size && memcmp(payload.data, profiler->key, key_size) == 0 &&
		profile_decode(&profiler->profile, payload.data + key_size, payload.size - key_size,
			       NULL) == 0;
	buf_finish(&payload);
	return good;
}

static void store(const struct profiler *profiler)
{
	struct buf payload;
	struct fail why;
	buf_init(&payload);
	buf_append(&payload, profiler->key, sizeof(profiler->key));
	profile_encode(&profiler->profile, &payload);
	if (payload.failed || state_file_write(profiler->path, PROFILE_MAGIC, PROFILE_VERSION,
					       payload.data, payload.size, &why) != 0)
		log_warn("profiler", "the measurements could not be stored");
	buf_finish(&payload);
}

static void measure_type(struct profiler *profiler, uint32_t type)
{
	struct profile_backend *backend = &profiler->profile.backends[0];
	const uint32_t rows[] = { 1, PROMPT_ROWS };
	for (int i = 0; i < 2; i++) {
		const double rate = bench_product(profiler->backend, type, WEIGHTS_OUT, WEIGHTS_IN,
						  rows[i], PRODUCT_MS);
		if (rate > 0 && backend->n_rates < PROFILE_RATES_MAX)
			backend->rates[backend->n_rates++] =
				(struct profile_rate){ type, rows[i], rate };
	}
}

static void measure(struct profiler *profiler)
{
	struct profile_backend *backend = &profiler->profile.backends[0];
	struct fail why;
	profiler->profile.n_backends = 1;
	backend->kind = BACKEND_KIND_CPU;
	backend->threads = backend_threads(profiler->backend);
	/* by number, so that those which most files have come first */
	const int64_t end_ms = clock_ms() + TYPES_MS;
	for (uint32_t type = 0; type < TENSOR_TYPES_END && clock_ms() < end_ms; type++)
		if (tensor_type_supported(type) && !atomic_load(&profiler->unwanted))
			measure_type(profiler, type);
	const bool whole = clock_ms() < end_ms;
	if (atomic_load(&profiler->unwanted))
		return;
	backend->layer_overhead_s = bench_layer_overhead(profiler->backend, 2048, PRODUCT_MS);
	backend->kv_bytes_per_s = bench_attention(profiler->backend, 128, PRODUCT_MS);
	profiler->profile.disk_bytes_per_s = bench_disk(profiler->folder, PRODUCT_MS, &why);
	if (whole) /* what a busy start left out is measured at the next one */
		store(profiler);
}

static void on_worker(uv_work_t *work)
{
	struct profiler *profiler = work->data;
	if (!load(profiler))
		measure(profiler);
}

static void on_measured(uv_work_t *work, int status)
{
	struct profiler *profiler = work->data;
	if (profiler->done)
		profiler->done(profiler->context, &profiler->profile.backends[0],
			       profiler->profile.disk_bytes_per_s);
	free(profiler);
}

struct profiler *profiler_start(uv_loop_t *loop, struct backend *backend,
				const struct machine *machine, const char *state,
				void (*done)(void *context, const struct profile_backend *rates,
					     double disk_bytes_per_s),
				void *context)
{
	struct profiler *profiler = calloc(1, sizeof(*profiler));
	if (!profiler)
		return NULL;
	profiler->work.data = profiler;
	profiler->backend = backend;
	profiler->done = done;
	profiler->context = context;
	snprintf(profiler->key, sizeof(profiler->key), "%s | %s | %s | %u", machine->cpu,
		 backend_name(backend), PRIMAD_VERSION, NUMERICS_VERSION);
	snprintf(profiler->folder, sizeof(profiler->folder), "%s", state);
	file_join(profiler->path, sizeof(profiler->path), state, "profile.bin");
	if (uv_queue_work(loop, &profiler->work, on_worker, on_measured) != 0) {
		free(profiler);
		return NULL;
	}
	return profiler;
}

void profiler_abandon(struct profiler *profiler)
{
	if (!profiler)
		return;
	profiler->done = NULL;
	atomic_store(&profiler->unwanted, true);
}
