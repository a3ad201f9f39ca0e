#include "proto/profile.h"

#include "proto/fields.h"

#include <string.h>

/* What no machine of a home reaches; keeps sums and products of the planner finite. */
#define BYTES_MOST (1ull << 50)
#define RATE_MOST 1e18
#define SECONDS_MOST 3600.0
#define THREADS_MOST 4096
#define TYPE_MOST 255
#define ROWS_MOST 65536

static const struct field rate_field[] = {
	F_UINT(struct profile_rate, type, TYPE_MOST),
	F_UINT(struct profile_rate, rows, ROWS_MOST),
	F_DOUBLE(struct profile_rate, weights_per_s, 0, RATE_MOST),
};
static const struct fields rate_fields = { FIELDS_N(rate_field), rate_field };

static const struct field backend_field[] = {
	F_UINT(struct profile_backend, kind, BACKEND_KINDS - 1),
	F_UINT(struct profile_backend, threads, THREADS_MOST),
	F_UINT(struct profile_backend, memory_bytes, BYTES_MOST),
	F_UINT(struct profile_backend, reserve_bytes, BYTES_MOST),
	F_DOUBLE(struct profile_backend, layer_overhead_s, 0, SECONDS_MOST),
	F_DOUBLE(struct profile_backend, kv_bytes_per_s, 0, RATE_MOST),
	F_LIST(struct profile_backend, rates, n_rates, PROFILE_RATES_MAX, &rate_fields),
};
static const struct fields backend_fields = { FIELDS_N(backend_field), backend_field };

static const struct field link_field[] = {
	F_BYTES(struct profile_link, peer),
	F_UINT(struct profile_link, medium, LINK_LOOPBACK),
	F_DOUBLE(struct profile_link, rtt_p50_s, 0, SECONDS_MOST),
	F_DOUBLE(struct profile_link, rtt_p95_s, 0, SECONDS_MOST),
	F_DOUBLE(struct profile_link, bytes_per_s, 0, RATE_MOST),
};
static const struct fields link_fields = { FIELDS_N(link_field), link_field };

static const struct field profile_field[] = {
	F_BYTES(struct profile, device),
	F_TEXT(struct profile, name),
	F_UINT(struct profile, version, UINT64_MAX),
	F_UINT(struct profile, numerics, UINT32_MAX),
	F_UINT(struct profile, cores, THREADS_MOST),
	F_UINT(struct profile, memory_total_bytes, BYTES_MOST),
	F_DOUBLE(struct profile, disk_bytes_per_s, 0, RATE_MOST),
	F_UINT(struct profile, power, POWER_BATTERY),
	F_BOOL(struct profile, battery_use_allowed),
	F_LIST(struct profile, backends, n_backends, PROFILE_BACKENDS_MAX, &backend_fields),
	F_LIST(struct profile, links, n_links, PROFILE_LINKS_MAX, &link_fields),
};
static const struct fields profile_fields = { FIELDS_N(profile_field), profile_field };

void profile_encode(const struct profile *profile, struct buf *out)
{
	fields_write(&profile_fields, profile, out);
}

/* Unmeasured is 0; a rate so small that its inverse is infinite was not measured either. */
static bool rate_fits(double per_s)
{
	return per_s == 0 || per_s >= 1;
}

static bool backend_fits(const struct profile_backend *backend)
{
	if (backend->reserve_bytes > backend->memory_bytes || !rate_fits(backend->kv_bytes_per_s))
		return false;
	for (uint32_t i = 0; i < backend->n_rates; i++)
		if (backend->rates[i].rows == 0 || !rate_fits(backend->rates[i].weights_per_s))
			return false;
	return true;
}

static bool numbers_fit(const struct profile *profile)
{
	bool fit = rate_fits(profile->disk_bytes_per_s);
	for (uint32_t i = 0; i < profile->n_backends; i++)
		fit &= backend_fits(&profile->backends[i]);
	for (uint32_t i = 0; i < profile->n_links; i++)
		fit &= rate_fits(profile->links[i].bytes_per_s);
	return fit;
}

int profile_decode(struct profile *profile, const void *bytes, size_t size, struct fail *fail)
{
	memset(profile, 0, sizeof(*profile));
	if (size > PROFILE_BYTES_MAX)
		return fail_set(fail, FAIL_INVALID, "a profile has %zu bytes, more than %u", size,
				PROFILE_BYTES_MAX);
	const int result =
		fields_decode(&profile_fields, "a profile", bytes, size, profile, NULL, fail);
	if (result == 0 && !numbers_fit(profile))
		return fail_set(fail, FAIL_INVALID, "the profile of %s contradicts itself",
				profile->name);
	return result;
}

/* The measured rates of `type` with the nearest row counts at or below and at or above `rows`. */
static void nearest(const struct profile_backend *backend, uint32_t type, uint32_t rows,
		    const struct profile_rate **below, const struct profile_rate **above)
{
	*below = NULL;
	*above = NULL;
	for (uint32_t i = 0; i < backend->n_rates; i++) {
		const struct profile_rate *rate = &backend->rates[i];
		if (rate->type != type || rate->weights_per_s <= 0)
			continue;
		if (rate->rows <= rows && (!*below || rate->rows > (*below)->rows))
			*below = rate;
		if (rate->rows >= rows && (!*above || rate->rows < (*above)->rows))
			*above = rate;
	}
}

/* Time per weight grows about linearly with rows between two measured shapes, so the time is what
 * is interpolated. Outside, time per row is taken as constant above and time per pass below. */
static double rate_of_type(const struct profile_backend *backend, uint32_t type, uint32_t rows)
{
	const struct profile_rate *below, *above;
	nearest(backend, type, rows, &below, &above);
	if (!below && !above)
		return 0;
	if (!below)
		return above->weights_per_s;
	if (!above)
		return below->weights_per_s * below->rows / rows;
	if (above->rows == below->rows)
		return below->weights_per_s;
	const double part = (double)(rows - below->rows) / (above->rows - below->rows);
	const double from = 1 / below->weights_per_s;
	const double to = 1 / above->weights_per_s;
	return 1 / (from + part * (to - from));
}

double profile_rate(const struct profile_backend *backend, uint32_t type, uint32_t rows)
{
	double slowest = rate_of_type(backend, type, rows);
	if (slowest > 0)
		return slowest;
	for (uint32_t i = 0; i < backend->n_rates; i++) {
		const double rate = rate_of_type(backend, backend->rates[i].type, rows);
		if (rate > 0 && (slowest <= 0 || rate < slowest))
			slowest = rate;
	}
	return slowest;
}
