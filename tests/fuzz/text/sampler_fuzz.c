/* Any settings, any logits: a refused setting has a reason, an accepted one picks a token of the
 * vocabulary, the same one twice. */
#include "base/buf.h"
#include "compute/sampler.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t pick(const struct sampler_config *config, const uint8_t *floats, uint32_t n,
		     const uint32_t *history, uint32_t n_history)
{
	float *logits = malloc(n * sizeof(float));
	uint32_t *scratch = malloc(2 * n * sizeof(uint32_t));
	if (!logits || !scratch)
		abort();
	memcpy(logits, floats, n * sizeof(float));
	const uint32_t token =
		sampler_pick(config, logits, n, history, n_history, n_history, scratch);
	free(logits);
	free(scratch);
	return token;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader reader;
	reader_init(&reader, data, size);
	const struct sampler_config config = {
		.temperature = reader_f32(&reader),
		.top_k = reader_u8(&reader),
		.top_p = reader_f32(&reader),
		.min_p = reader_f32(&reader),
		.repeat_penalty = reader_f32(&reader),
		.repeat_last = reader_u8(&reader),
		.seed = reader_u64(&reader),
	};
	const uint32_t n_history = reader_u8(&reader) % 16;
	uint32_t history[16];
	for (uint32_t i = 0; i < n_history; i++)
		history[i] = reader_u8(&reader);
	const uint32_t n = (uint32_t)(reader_left(&reader) / sizeof(float));
	const char *reason;
	if (reader.failed || n == 0)
		return 0;
	if (!sampler_config_check(&config, &reason)) {
		if (!reason || !reason[0])
			abort();
		return 0;
	}
	const uint32_t token = pick(&config, reader.next, n, history, n_history);
	if (token >= n || pick(&config, reader.next, n, history, n_history) != token)
		abort();
	return 0;
}
