/* First byte: plan, profile, facts, flight or statement. What decodes, encodes to what decodes to
 * the same again. */
#include "proto/facts.h"
#include "proto/flight.h"
#include "proto/plan.h"
#include "proto/profile.h"
#include "proto/statement.h"

#include <stdlib.h>
#include <string.h>

#define N_EMBD 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static float states[FLIGHT_ROWS_MAX * N_EMBD];

static bool plan_part(const uint8_t *data, size_t size, struct buf *out)
{
	static struct plan plan;
	if (plan_decode(&plan, data, size, NULL) < 0)
		return false;
	plan_index_of(&plan, &plan.epoch.planner);
	plan_encode(&plan, out);
	return true;
}

static bool profile_part(const uint8_t *data, size_t size, struct buf *out)
{
	static struct profile profile;
	if (profile_decode(&profile, data, size, NULL) < 0)
		return false;
	for (uint32_t i = 0; i < profile.n_backends; i++)
		if (!(profile_rate(&profile.backends[i], 12, 7) >= 0))
			abort();
	profile_encode(&profile, out);
	return true;
}

static bool facts_part(const uint8_t *data, size_t size, struct buf *out)
{
	static struct model_facts facts;
	if (facts_decode(&facts, data, size, NULL) < 0)
		return false;
	facts_encode(&facts, out);
	return true;
}

static bool flight_part(const uint8_t *data, size_t size, struct buf *out)
{
	static struct flight flight;
	if (flight_decode(&flight, states, FLIGHT_ROWS_MAX, N_EMBD, data, size, NULL) < 0)
		return false;
	if (flight_bytes(&flight) != size)
		abort();
	if (flight.dtype == WIRE_F16)
		return false; /* half NaNs are made quiet: not the same bytes */
	flight_encode(&flight, states, out);
	return true;
}

static bool statement_part(const uint8_t *data, size_t size, struct buf *out)
{
	struct statement statement;
	if (size < STATEMENT_BYTES || statement_decode(&statement, data, NULL) < 0)
		return false;
	statement_encode(&statement, buf_extend(out, STATEMENT_BYTES));
	if (memcmp(out->data, data, STATEMENT_BYTES) != 0)
		abort(); /* one encoding per meaning */
	statement_is_root(&statement);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool (*const parts[])(const uint8_t *, size_t, struct buf *) = {
		plan_part, profile_part, facts_part, flight_part, statement_part,
	};
	struct buf once, twice;
	if (size == 0 || data[0] >= sizeof(parts) / sizeof(parts[0]))
		return 0;
	buf_init(&once);
	buf_init(&twice);
	if (parts[data[0]](data + 1, size - 1, &once)) {
		if (!parts[data[0]](once.data, once.size, &twice))
			abort();
		if (once.size != twice.size || memcmp(once.data, twice.data, once.size) != 0)
			abort();
	}
	buf_finish(&once);
	buf_finish(&twice);
	return 0;
}
