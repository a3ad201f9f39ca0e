#include "proto/plan.h"

#include "proto/facts.h"
#include "proto/fields.h"
#include "proto/flight.h"

#include <math.h>
#include <string.h>

#define BYTES_MOST (1ull << 50)
#define SECONDS_MOST 1e6
#define POSITIONS_MOST (1u << 28)

/* An anonymous element type of plan_stage. */
#define GROUP_AT(member)                                                                           \
	(offsetof(struct plan_stage, group[0].member) - offsetof(struct plan_stage, group))

static const struct field group_field[] = {
	{ "device", FIELD_UINT, GROUP_AT(device), 2, .most = PLAN_DEVICES_MAX - 1 },
	{ "share", FIELD_UINT, GROUP_AT(share), 2, .most = UINT16_MAX },
};
static const struct fields group_fields = { FIELDS_N(group_field), group_field };

static const struct field stage_field[] = {
	F_UINT(struct plan_stage, first_layer, MODEL_LAYERS_MAX),
	F_UINT(struct plan_stage, end_layer, MODEL_LAYERS_MAX),
	F_UINT(struct plan_stage, round, PLAN_STAGES_MAX),
	F_LIST(struct plan_stage, group, n_group, PLAN_GROUP_MAX, &group_fields),
};
static const struct fields stage_fields = { FIELDS_N(stage_field), stage_field };

static const struct field device_field[] = {
	F_BYTES(struct plan_device, id),
	F_TEXT(struct plan_device, name),
	F_UINT(struct plan_device, n_layers, MODEL_LAYERS_MAX),
	F_UINT(struct plan_device, weight_bytes, BYTES_MOST),
	F_UINT(struct plan_device, kv_bytes, BYTES_MOST),
	F_UINT(struct plan_device, budget_bytes, BYTES_MOST),
	F_DOUBLE(struct plan_device, busy_s, 0, SECONDS_MOST),
	F_DOUBLE(struct plan_device, hop_s, 0, SECONDS_MOST),
	F_DOUBLE(struct plan_device, disk_s, 0, SECONDS_MOST),
	F_TEXT(struct plan_device, sentence),
};
static const struct fields device_fields = { FIELDS_N(device_field), device_field };

static const struct field epoch_field[] = {
	F_UINT(struct epoch, counter, UINT64_MAX),
	F_BYTES(struct epoch, planner),
};
const struct fields epoch_fields = { FIELDS_N(epoch_field), epoch_field };

static const struct field plan_field[] = {
	F_STRUCT(struct plan, epoch, &epoch_fields),
	F_BYTES(struct plan, model),
	F_UINT(struct plan, numerics, UINT32_MAX),
	F_UINT(struct plan, context, POSITIONS_MOST),
	F_UINT(struct plan, kv_positions, POSITIONS_MOST),
	F_UINT(struct plan, chunk_rows, FLIGHT_ROWS_MAX),
	F_UINT(struct plan, wire, WIRE_F16),
	F_BOOL(struct plan, pinned),
	F_UINT(struct plan, rounds, PLAN_STAGES_MAX),
	F_UINT(struct plan, head, PLAN_DEVICES_MAX - 1),
	F_LIST(struct plan, devices, n_devices, PLAN_DEVICES_MAX, &device_fields),
	F_LIST(struct plan, stages, n_stages, PLAN_STAGES_MAX, &stage_fields),
	F_DOUBLE(struct plan, first_token_s, 0, SECONDS_MOST),
	F_DOUBLE(struct plan, token_s, 0, SECONDS_MOST),
	F_TEXT(struct plan, limit),
	F_UINT_LATER(struct plan, kv_type, KV_TYPES - 1),
};
const struct fields plan_fields = { FIELDS_N(plan_field), plan_field };

void plan_encode(const struct plan *plan, struct buf *out)
{
	fields_write(&plan_fields, plan, out);
}

int plan_decode(struct plan *plan, const void *bytes, size_t size, struct fail *fail)
{
	memset(plan, 0, sizeof(*plan));
	if (size > PLAN_BYTES_MAX)
		return fail_set(fail, FAIL_INVALID, "a plan has %zu bytes, more than %u", size,
				PLAN_BYTES_MAX);
	const int result = fields_decode(&plan_fields, "a plan", bytes, size, plan, NULL, fail);
	return result < 0 ? result : plan_check(plan, 0, fail);
}

int plan_index_of(const struct plan *plan, const struct device_id *id)
{
	for (int i = 0; i < plan->n_devices; i++)
		if (device_id_equal(&plan->devices[i].id, id))
			return i;
	return -1;
}

/* ---- the check ---- */

static int bad_plan(struct fail *fail, const char *why)
{
	return fail_set(fail, FAIL_INVALID, "the plan is malformed: %s", why);
}

static bool seconds_fit(double seconds)
{
	return isfinite(seconds) && seconds >= 0 && seconds <= SECONDS_MOST;
}

static bool text_fits(const char *text, size_t capacity)
{
	const size_t length = strnlen(text, capacity);
	return length < capacity && text_printable(text, length);
}

static int check_numbers(const struct plan *plan, struct fail *fail)
{
	if (plan->n_devices == 0 || plan->n_devices > PLAN_DEVICES_MAX || plan->n_stages == 0 ||
	    plan->n_stages > PLAN_STAGES_MAX)
		return bad_plan(fail, "the number of devices or stages");
	if (plan->context == 0 || plan->context > POSITIONS_MOST || plan->kv_positions == 0 ||
	    plan->kv_positions > POSITIONS_MOST)
		return bad_plan(fail, "the number of positions");
	if (plan->chunk_rows == 0 || plan->chunk_rows > FLIGHT_ROWS_MAX)
		return bad_plan(fail, "the rows of a chunk");
	if (plan->rounds == 0 || plan->rounds > PLAN_STAGES_MAX || plan->head >= plan->n_devices ||
	    (unsigned)plan->wire > WIRE_F16 || (unsigned)plan->kv_type >= KV_TYPES)
		return bad_plan(fail, "rounds, head, wire type or KV type");
	if (!seconds_fit(plan->first_token_s) || !seconds_fit(plan->token_s) ||
	    !text_fits(plan->limit, sizeof(plan->limit)))
		return bad_plan(fail, "its forecast");
	return 0;
}

static int check_device(const struct plan *plan, int i, struct fail *fail)
{
	const struct plan_device *device = &plan->devices[i];
	if (device_id_is_none(&device->id) || plan_index_of(plan, &device->id) != i)
		return bad_plan(fail, "a device is missing or named twice");
	if (!text_fits(device->name, sizeof(device->name)) ||
	    !text_fits(device->sentence, sizeof(device->sentence)))
		return bad_plan(fail, "a device's name or sentence");
	if (device->weight_bytes > BYTES_MOST || device->kv_bytes > BYTES_MOST ||
	    device->budget_bytes > BYTES_MOST || !seconds_fit(device->busy_s) ||
	    !seconds_fit(device->hop_s) || !seconds_fit(device->disk_s))
		return bad_plan(fail, "a device's numbers");
	return 0;
}

/* Stage `i` begins where the one before ended; rounds never go back. */
static int check_stage(const struct plan *plan, int i, struct fail *fail)
{
	const struct plan_stage *stage = &plan->stages[i];
	const struct plan_stage *before = i > 0 ? stage - 1 : NULL;
	if (stage->first_layer != (before ? before->end_layer : 0) ||
	    stage->end_layer <= stage->first_layer || stage->end_layer > MODEL_LAYERS_MAX)
		return bad_plan(fail, "its stages leave layers out or overlap");
	if (stage->round >= plan->rounds || stage->round < (before ? before->round : 0))
		return bad_plan(fail, "the rounds of its stages");
	if (stage->n_group == 0 || stage->n_group > PLAN_GROUP_MAX)
		return bad_plan(fail, "the group of a stage");
	if (stage->n_group > 1)
		return fail_set(fail, FAIL_UNSUPPORTED,
				"the plan splits layers %u to %u over a group of %u devices; this "
				"version of primad computes a stage on one device",
				stage->first_layer, stage->end_layer - 1, stage->n_group);
	if (stage->group[0].device >= plan->n_devices || stage->group[0].share == 0)
		return bad_plan(fail, "the device of a stage");
	return 0;
}

/* A device computes once a round at most, and as many layers as its entry says. */
static int check_shares(const struct plan *plan, struct fail *fail)
{
	uint32_t layers[PLAN_DEVICES_MAX] = { 0 };
	int32_t last_round[PLAN_DEVICES_MAX];
	memset(last_round, -1, sizeof(last_round));
	for (int i = 0; i < plan->n_stages; i++) {
		const struct plan_stage *stage = &plan->stages[i];
		const uint16_t device = stage->group[0].device;
		if (stage->round <= last_round[device])
			return bad_plan(fail, "a device computes twice in a round");
		last_round[device] = stage->round;
		layers[device] += (uint32_t)(stage->end_layer - stage->first_layer);
	}
	for (int i = 0; i < plan->n_devices; i++)
		if (layers[i] != plan->devices[i].n_layers)
			return bad_plan(fail, "a device's number of layers");
	return 0;
}

int plan_check(const struct plan *plan, uint32_t n_layers, struct fail *fail)
{
	int result = check_numbers(plan, fail);
	for (int i = 0; result == 0 && i < plan->n_devices; i++)
		result = check_device(plan, i, fail);
	for (int i = 0; result == 0 && i < plan->n_stages; i++)
		result = check_stage(plan, i, fail);
	if (result == 0)
		result = check_shares(plan, fail);
	if (result < 0)
		return result;
	const uint16_t end = plan->stages[plan->n_stages - 1].end_layer;
	if (n_layers > 0 && end != n_layers)
		return fail_set(fail, FAIL_INVALID,
				"the plan covers %u layers, but the model has %u", end, n_layers);
	return 0;
}

struct kv_room plan_kv_room(const struct plan *plan)
{
	return (struct kv_room){ .type = plan->kv_type,
				 .positions = plan->kv_positions,
				 .sequences = kv_sequences(plan->kv_positions, plan->context),
				 .rows = plan->chunk_rows };
}
