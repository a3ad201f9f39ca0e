/* cost.h: what layers, hops and the output cost on each device: the cost model of all planning.
 *
 * Symbols: a turn has N new prompt rows (tokens_in less the cached share, at least 1), T tokens out,
 * p = tokens_in + T/2 cached positions at a middle token, a = cached + N/2 positions that a middle
 * prompt row looks back on. A device i has rates r_i(type, rows), an overhead o_i per layer and
 * flight, a rate v_i for reading K and V. A layer j has weights W_j(type), K and V of K_j bytes a
 * position, or a recurrent state of S_j bytes that each row reads and writes; one with a sliding
 * window looks back no further than that (p and a are cut to it). A product of W weights takes
 * W / r_i(type, c) for c rows at once.
 *
 *   token_ij  = sum over types W_j / r_i(type, 1) + o_i + (p K_j + 2 S_j) / v_i      one row
 *   chunk_ij  = sum over types W_j / r_i(type, c) + o_i + c (a K_j + 2 S_j) / v_i    c rows
 *
 * With E experts of which a row chooses u, c rows touch E_c = E (1 - (1 - u/E)^c) of them, each with
 * c u / E_c rows, as if every row chose anew and evenly: a token reads u experts, a chunk nearly all.
 *
 *   output_i  = sum over types W_output / r_i(type, 1)                         on the head
 *   hop_ij(c) = rtt_ij / 2 + bytes of a flight of c rows / rate_ij             i sends to j
 *
 *   prompt = sum of chunk and hop(c) over all stages + (N/c - 1) beta, where beta is the longest
 *            time that one device computes, or one link carries, per chunk: chunks travel behind one
 *            another, so all but the first cost only the slowest place's time
 *   first token = prompt + output
 *   token       = sum of token and hop(1) over all stages + output
 *   turn        = first token + (T - 1) token
 *
 * Memory, in bytes: layers + K and V for the plan's positions + metadata, and on the head embedding
 * and output, fit into memory_bytes - reserve_bytes.
 *
 * With streaming, a device with X bytes of layers and room C for them keeps a part and reads
 * U = (X - C) k / (k - 1) bytes a token: one round's share of what is streamed, U / k, is buffered
 * while the other devices compute, so C = X - U + U / k. It needs k >= 2 and U <= X. Reads go on all
 * the time: token = max(token, max U / disk rate), and a prompt reads the streamed bytes once:
 * first token likewise, turn = max(turn, T max U / disk rate).
 *
 * Devices that rest on battery (cost_rests) are taken only where no plan can do without them.
 *
 * A device computes with one backend, its first one of kind CPU: this version's engine has no
 * other. A link that nobody has measured is taken for a poor one. */
#ifndef PLANNER_COST_H
#define PLANNER_COST_H

#include "planner/home.h"

#define COST_CHUNKS_MAX 3u

#define COST_UNKNOWN_RTT_S 0.010
#define COST_UNKNOWN_BYTES_PER_S 4e6

struct cost_link {
	double latency_s; /* rtt / 2 */
	double bytes_per_s;
};

struct cost_device {
	const struct profile *profile;
	const struct profile_backend *backend;
	const char *unusable; /* NULL, or why it may not compute */
	bool resting;         /* unusable for its battery alone: cost_wake */
	uint64_t room_bytes;  /* for weights and KV, metadata already taken off */
	double disk_bytes_per_s;
	double output_s; /* one row */
};

struct cost {
	const struct model_facts *facts;     /* borrowed */
	const struct plan_options *options;  /* borrowed */
	uint32_t n_devices;
	struct cost_device devices[PLAN_DEVICES_MAX];
	struct cost_link links[PLAN_DEVICES_MAX][PLAN_DEVICES_MAX]; /* [from, to] */
	uint32_t n_kinds;                   /* layers that cost the same share a kind */
	uint16_t kind[MODEL_LAYERS_MAX];    /* of each layer */
	uint16_t example[MODEL_LAYERS_MAX]; /* a layer of each kind */
	double *token_s; /* [n_devices, n_kinds] */
	double *chunk_s; /* [n_chunks, n_devices, n_kinds] */
	uint32_t n_chunks;
	uint32_t chunk_rows[COST_CHUNKS_MAX];
	double prompt_rows;    /* N */
	double positions;      /* p */
	double look_back;      /* a */
	struct kv_room kv;     /* that the plan must have room for */
	uint64_t head_bytes;   /* embedding and output */
};

/* Computes every table for these candidates. All borrowed until cost_finish. */
int cost_init(struct cost *cost, const struct plan_candidate *candidates, uint32_t n_candidates,
	      const struct model_facts *facts, const struct plan_options *options,
	      struct fail *fail);
void cost_finish(struct cost *cost);

/* NULL, or why a device can compute in no plan. */
const char *cost_unusable(const struct plan_candidate *candidate);
/* Whether a device runs on battery without its owner's leave to: it rests where others suffice. */
bool cost_rests(const struct plan_candidate *candidate);
/* Makes resting devices usable; gives whether there were any. */
bool cost_wake(struct cost *cost);

double cost_token_s(const struct cost *cost, uint32_t device, uint32_t layer);
double cost_chunk_s(const struct cost *cost, uint32_t chunk, uint32_t device, uint32_t layer);

/* Experts of a layer that are read when so many rows each choose theirs. */
double cost_experts(const struct model_facts *facts, double rows);

/* Rows of a chunk as the reference turn uses it: no more than the prompt has. */
double cost_rows(const struct cost *cost, uint32_t chunk);
/* N/c - 1: how many more chunks follow the first. */
double cost_more_chunks(const struct cost *cost, uint32_t chunk);

double cost_flight_bytes(const struct cost *cost, double rows);
double cost_hop_s(const struct cost *cost, uint32_t from, uint32_t to, double rows);
double cost_send_s(const struct cost *cost, uint32_t from, uint32_t to, double rows);

/* Bytes read from disk per token by a device that has `room` for `weights` bytes of layers;
 * infinite when that is not possible. `streaming` false: 0 or infinite. */
double cost_streamed_bytes(double weights, double room, uint32_t rounds, bool streaming);

#endif
