/* flight.h: work on its way round the ring: a fixed little-endian header, rows, hidden states.
 *
 * Layout: header (FLIGHT_HEAD_BYTES), n_rows rows of FLIGHT_ROW_BYTES, n_ops sequence operations of
 * FLIGHT_OP_BYTES, then n_rows * n_embd values of the wire type. No msgpack on the token path.
 * Sequence operations are carried out before the rows, in order. */
#ifndef PROTO_FLIGHT_H
#define PROTO_FLIGHT_H

#include "base/buf.h"
#include "base/fail.h"
#include "proto/id.h"
#include "proto/plan.h"

#include <stdint.h>

#define FLIGHT_MAGIC 0x54464d50u /* "PMFT" */
#define FLIGHT_HEAD_BYTES 96
#define FLIGHT_ROW_BYTES 16
#define FLIGHT_OP_BYTES 16
#define FLIGHT_ROWS_MAX 512
#define FLIGHT_OPS_MAX 64
#define FLIGHT_EMBD_MAX 32768
#define FLIGHT_BYTES_MAX                                                                           \
	(FLIGHT_HEAD_BYTES + FLIGHT_ROWS_MAX * FLIGHT_ROW_BYTES +                                  \
	 FLIGHT_OPS_MAX * FLIGHT_OP_BYTES + 4ul * FLIGHT_ROWS_MAX * FLIGHT_EMBD_MAX)

enum flight_kind { FLIGHT_PREFILL, FLIGHT_DECODE, FLIGHT_VERIFY, FLIGHT_REPLAY, FLIGHT_KINDS };

enum sequence_op_kind {
	SEQUENCE_OPEN,       /* sequence a exists from now on, empty */
	SEQUENCE_FORK,       /* sequence b becomes a copy of a, sharing pages */
	SEQUENCE_TRIM,       /* sequence a keeps positions below `position` */
	SEQUENCE_CHECKPOINT, /* remember a's state under number b */
	SEQUENCE_RESTORE,    /* a returns to checkpoint b */
	SEQUENCE_DROP,       /* a and its pages are freed */
	SEQUENCE_OPS
};

struct sequence_op {
	uint32_t kind; /* enum sequence_op_kind */
	uint32_t a;
	uint32_t b;
	uint32_t position;
};

#define FLIGHT_WANT_LOGITS 1u

struct flight_row {
	uint32_t sequence;
	uint32_t position;
	uint32_t parent; /* row of this flight it follows in a tree, or UINT32_MAX: linear */
	uint32_t want;   /* FLIGHT_WANT_ bits */
};

struct flight {
	uint8_t deployment[16]; /* first half of the model id, with the settings: one per home today */
	struct epoch epoch;
	uint64_t id;         /* counts up at the head, per epoch */
	uint32_t generation; /* a flight of an older generation is dropped unanswered */
	uint32_t kind;
	uint16_t round;
	uint16_t stage;      /* the stage that is to compute it; n_stages: back at the head */
	uint16_t priority;
	uint16_t dtype;      /* enum wire_type */
	uint32_t n_rows;
	uint32_t n_ops;
	uint32_t n_embd;     /* values of a row: the stream, and what else its next layers need */
	struct flight_row rows[FLIGHT_ROWS_MAX];
	struct sequence_op ops[FLIGHT_OPS_MAX];
};

/* Bytes of the whole flight with its states. */
size_t flight_bytes(const struct flight *flight);

/* Writes header, rows and ops; what has to follow on the wire are the states as flight_bytes counts
 * them. For WIRE_F32 these are the floats as they lie in memory (every machine we run on is
 * little-endian), so they can be sealed from where they are (channel_seal). */
void flight_encode_head(const struct flight *flight, struct buf *out);

/* Writes header, rows, ops and states ([n_rows, n_embd] f32, converted when dtype says so). */
void flight_encode(const struct flight *flight, const float *states, struct buf *out);

/* Decodes; `states` must have room for rows_max * n_embd values (rows_max <= FLIGHT_ROWS_MAX), and the
 * flight may say no more than this `n_embd`: how much it has to be depends on the stage. Its rows lie
 * one after the other without gaps. Refuses every count, size or enum out of range
 * (FAIL_INVALID) before anything is written to `states`. */
int flight_decode(struct flight *flight, float *states, uint32_t rows_max, uint32_t n_embd,
		  const void *bytes, size_t size, struct fail *fail);

/* Rows that begin `stride` values apart move together until they begin `n_embd` apart, each keeping
 * its first n_embd (<= stride) values; and back apart, what is between them left as it is. */
void flight_pack(float *states, uint32_t n_rows, uint32_t n_embd, uint32_t stride);
void flight_spread(float *states, uint32_t n_rows, uint32_t n_embd, uint32_t stride);

#endif
