/* profile.h: what one device can do, as numbers that were measured there.
 *
 * Rates are arrays over rows of a table, never fields per number format. The planner reads nothing
 * else about a device. Travels in gossip, signed by its origin; `primactl status --json` prints it
 * and `primactl plan --devices FILE` reads it back (see planner/describe.h). */
#ifndef PROTO_PROFILE_H
#define PROTO_PROFILE_H

#include "base/buf.h"
#include "base/fail.h"
#include "proto/id.h"

#include <stdbool.h>
#include <stdint.h>

#define PROFILE_BACKENDS_MAX 4
#define PROFILE_RATES_MAX 48
#define PROFILE_LINKS_MAX 32
#define PROFILE_BYTES_MAX 16384

enum backend_kind { BACKEND_KIND_CPU, BACKEND_KIND_VULKAN, BACKEND_KINDS };
enum power_source { POWER_UNKNOWN, POWER_MAINS, POWER_BATTERY };
enum link_medium { LINK_UNKNOWN, LINK_WIRED, LINK_WIRELESS, LINK_LOOPBACK };

/* One measured product rate: weights of a GGUF tensor type, `rows` activation rows at once. */
struct profile_rate {
	uint32_t type;            /* GGUF tensor type number, for example 12 = Q4_K */
	uint32_t rows;            /* 1 = decode shape; 64 = prompt shape */
	double weights_per_s;     /* weight elements passed per second, for all rows together:
	                             a product of W weights by `rows` rows takes W / rate seconds */
};

struct profile_backend {
	enum backend_kind kind;
	uint32_t threads;
	uint64_t memory_bytes;        /* what a plan may use there: weights, KV, buffers */
	uint64_t reserve_bytes;       /* daemon itself, buffers and queues: already inside
	                                 memory_bytes, not for weights or KV */
	double layer_overhead_s;      /* barriers, norms: fixed time per layer and flight */
	double kv_bytes_per_s;        /* attention over cached positions, bytes of F16 K and V */
	uint32_t n_rates;
	struct profile_rate rates[PROFILE_RATES_MAX];
};

struct profile_link {
	struct device_id peer;
	enum link_medium medium;
	double rtt_p50_s;
	double rtt_p95_s;
	double bytes_per_s; /* the peer to this device: who receives measures */
};

struct profile {
	struct device_id device;
	char name[DEVICE_NAME_BYTES];
	uint64_t version;       /* rises with each change; persisted in blocks */
	uint32_t numerics;      /* arithmetic contract, see compute/numerics.h */
	uint32_t cores;
	uint64_t memory_total_bytes; /* of the machine, or its cgroup's limit */
	double disk_bytes_per_s;     /* reads in the store's directory */
	enum power_source power;
	bool battery_use_allowed;
	uint32_t n_backends;
	struct profile_backend backends[PROFILE_BACKENDS_MAX];
	uint32_t n_links;
	struct profile_link links[PROFILE_LINKS_MAX];
};

/* Looks a rate up; interpolates in `rows` between measured ones, falls back to the slowest
 * measured type for an unmeasured one; 0 when nothing was measured. */
double profile_rate(const struct profile_backend *backend, uint32_t type, uint32_t rows);

void profile_encode(const struct profile *profile, struct buf *out);
/* Refuses sizes, counts, NaN, negative or absurd numbers (FAIL_INVALID). A rate is 0 (unknown) or
 * at least 1. */
int profile_decode(struct profile *profile, const void *bytes, size_t size, struct fail *fail);

#endif
