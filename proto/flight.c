#include "proto/flight.h"

#include "base/half.h"

#include <assert.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "states travel as they lie in memory");

static size_t value_bytes(uint32_t dtype)
{
	return dtype == WIRE_F16 ? 2 : 4;
}

static size_t state_bytes(const struct flight *flight)
{
	return (size_t)flight->n_rows * flight->n_embd * value_bytes(flight->dtype);
}

size_t flight_bytes(const struct flight *flight)
{
	return FLIGHT_HEAD_BYTES + (size_t)flight->n_rows * FLIGHT_ROW_BYTES +
	       (size_t)flight->n_ops * FLIGHT_OP_BYTES + state_bytes(flight);
}

/* ---- writing ---- */

static void put_header(const struct flight *flight, struct buf *out)
{
	buf_u32(out, FLIGHT_MAGIC);
	buf_append(out, flight->deployment, sizeof(flight->deployment));
	buf_u64(out, flight->epoch.counter);
	buf_append(out, flight->epoch.planner.bytes, ID_BYTES);
	buf_u64(out, flight->id);
	buf_u32(out, flight->generation);
	buf_u32(out, flight->kind);
	buf_u16(out, flight->round);
	buf_u16(out, flight->stage);
	buf_u16(out, flight->priority);
	buf_u16(out, flight->dtype);
	buf_u32(out, flight->n_rows);
	buf_u32(out, flight->n_ops);
	buf_u32(out, flight->n_embd);
}

void flight_encode_head(const struct flight *flight, struct buf *out)
{
	assert(flight->n_rows <= FLIGHT_ROWS_MAX && flight->n_ops <= FLIGHT_OPS_MAX);
	put_header(flight, out);
	for (uint32_t i = 0; i < flight->n_rows; i++) {
		const struct flight_row *row = &flight->rows[i];
		buf_u32(out, row->sequence);
		buf_u32(out, row->position);
		buf_u32(out, row->parent);
		buf_u32(out, row->want);
	}
	for (uint32_t i = 0; i < flight->n_ops; i++) {
		const struct sequence_op *op = &flight->ops[i];
		buf_u32(out, op->kind);
		buf_u32(out, op->a);
		buf_u32(out, op->b);
		buf_u32(out, op->position);
	}
}

void flight_encode(const struct flight *flight, const float *states, struct buf *out)
{
	const size_t n = (size_t)flight->n_rows * flight->n_embd;
	flight_encode_head(flight, out);
	if (flight->dtype == WIRE_F32) {
		buf_append(out, states, state_bytes(flight));
		return;
	}
	uint8_t *at = buf_extend(out, state_bytes(flight));
	for (size_t i = 0; at && i < n; i++)
		store_u16le(at + 2 * i, f32_to_f16(states[i]));
}

/* ---- rows ---- */

void flight_pack(float *states, uint32_t n_rows, uint32_t n_embd, uint32_t stride)
{
	for (uint32_t i = 1; i < n_rows && n_embd < stride; i++)
		memmove(states + (size_t)i * n_embd, states + (size_t)i * stride,
			n_embd * sizeof(float));
}

void flight_spread(float *states, uint32_t n_rows, uint32_t n_embd, uint32_t stride)
{
	for (uint32_t i = n_rows; i-- > 1 && n_embd < stride;)
		memmove(states + (size_t)i * stride, states + (size_t)i * n_embd,
			n_embd * sizeof(float));
}

/* ---- reading ---- */

static int bad_flight(struct fail *fail, const char *why)
{
	return fail_set(fail, FAIL_INVALID, "a flight is malformed: %s", why);
}

static uint32_t read_header(struct flight *flight, struct reader *reader)
{
	const uint32_t magic = reader_u32(reader);
	reader_copy(reader, flight->deployment, sizeof(flight->deployment));
	flight->epoch.counter = reader_u64(reader);
	reader_copy(reader, flight->epoch.planner.bytes, ID_BYTES);
	flight->id = reader_u64(reader);
	flight->generation = reader_u32(reader);
	flight->kind = reader_u32(reader);
	flight->round = reader_u16(reader);
	flight->stage = reader_u16(reader);
	flight->priority = reader_u16(reader);
	flight->dtype = reader_u16(reader);
	flight->n_rows = reader_u32(reader);
	flight->n_ops = reader_u32(reader);
	flight->n_embd = reader_u32(reader);
	return magic;
}

static int check_header(const struct flight *flight, uint32_t magic, uint32_t rows_max,
			uint32_t n_embd, size_t size, struct fail *fail)
{
	if (magic != FLIGHT_MAGIC)
		return bad_flight(fail, "its first bytes");
	if (flight->kind >= FLIGHT_KINDS || flight->dtype > WIRE_F16)
		return bad_flight(fail, "its kind or number format");
	if (flight->round > PLAN_STAGES_MAX || flight->stage > PLAN_STAGES_MAX)
		return bad_flight(fail, "its round or stage");
	if (flight->n_rows > rows_max || flight->n_ops > FLIGHT_OPS_MAX ||
	    flight->n_rows + flight->n_ops == 0)
		return bad_flight(fail, "its number of rows or operations");
	if (flight->n_embd == 0 || flight->n_embd > n_embd)
		return bad_flight(fail, "the width of its states");
	if (size != flight_bytes(flight))
		return bad_flight(fail, "its size");
	return 0;
}

/* A parent stands before its child in the same flight, so a tree has no circle. */
static bool row_fits(const struct flight_row *row, uint32_t index)
{
	return (row->parent < index || row->parent == UINT32_MAX) &&
	       (row->want & ~FLIGHT_WANT_LOGITS) == 0;
}

static int read_rows(struct flight *flight, struct reader *reader, struct fail *fail)
{
	for (uint32_t i = 0; i < flight->n_rows; i++) {
		struct flight_row *row = &flight->rows[i];
		row->sequence = reader_u32(reader);
		row->position = reader_u32(reader);
		row->parent = reader_u32(reader);
		row->want = reader_u32(reader);
		if (!row_fits(row, i))
			return bad_flight(fail, "a row");
	}
	for (uint32_t i = 0; i < flight->n_ops; i++) {
		struct sequence_op *op = &flight->ops[i];
		op->kind = reader_u32(reader);
		op->a = reader_u32(reader);
		op->b = reader_u32(reader);
		op->position = reader_u32(reader);
		if (op->kind >= SEQUENCE_OPS)
			return bad_flight(fail, "an operation on a sequence");
	}
	return 0;
}

static void read_states(const struct flight *flight, struct reader *reader, float *states)
{
	const size_t size = state_bytes(flight);
	const uint8_t *at = reader_take(reader, size);
	if (!at || size == 0)
		return;
	if (flight->dtype == WIRE_F32) {
		memcpy(states, at, size);
		return;
	}
	for (size_t i = 0; i < size / 2; i++)
		states[i] = f16_to_f32(load_u16le(at + 2 * i));
}

int flight_decode(struct flight *flight, float *states, uint32_t rows_max, uint32_t n_embd,
		  const void *bytes, size_t size, struct fail *fail)
{
	struct reader reader;
	reader_init(&reader, bytes, size);
	const uint32_t magic = read_header(flight, &reader);
	if (reader.failed)
		return bad_flight(fail, "its size");
	int result = check_header(flight, magic, rows_max, n_embd, size, fail);
	if (result == 0)
		result = read_rows(flight, &reader, fail);
	if (result == 0)
		read_states(flight, &reader, states);
	return result;
}
