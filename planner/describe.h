/* describe.h: homes, profiles, model facts and plans as JSON.
 *
 * A home description is what `primactl plan --devices FILE` reads, and `primactl status --json`
 * prints the same "devices" for the present home:
 *
 *   {
 *     "devices": [
 *       {
 *         "name": "desk",
 *         "id": "64 hex digits",                   may be missing: made from the name
 *         "role": "admin",                         "admin" | "worker" | "client"; default "admin"
 *         "numerics": 1,                           default: this program's
 *         "cores": 8,
 *         "memory_total_bytes": 17179869184,
 *         "disk_bytes_per_s": 2.4e9,
 *         "power": "mains",                        "mains" | "battery" | "unknown"
 *         "battery_use_allowed": false,
 *         "backends": [
 *           {
 *             "kind": "cpu",                       "cpu" | "vulkan"
 *             "threads": 8,
 *             "memory_bytes": 8589934592,          what a plan may use
 *             "reserve_bytes": 268435456,          of it, not for weights or KV; default 0
 *             "layer_overhead_s": 2.0e-5,          default 0
 *             "kv_bytes_per_s": 8.0e9,             default: not counted
 *             "rates": [{"type": "Q4_K", "rows": 1, "weights_per_s": 2.0e10}]
 *           }
 *         ],
 *         "links": [
 *           {"peer": "laptop", "medium": "wired", "rtt_p50_s": 2.0e-4, "rtt_p95_s": 4.0e-4,
 *            "bytes_per_s": 1.1e8}
 *         ]
 *       }
 *     ],
 *     "default_link": {"rtt_p50_s": 3e-3, "rtt_p95_s": 6e-3, "bytes_per_s": 3e7}   optional
 *   }
 *
 * A link's "bytes_per_s" is the way from the peer to the device that it stands in; where only one
 * way is given, it counts for both.
 * "type" is a GGUF type by name or number; "medium" is "wired", "wireless", "loopback" or
 * "unknown"; "peer" a name or id of the same file (links to ids that are not in it are passed
 * over). Unknown fields are ignored (status prints more).
 * Numbers are checked like those of a profile from the network. */
#ifndef PLANNER_DESCRIBE_H
#define PLANNER_DESCRIBE_H

#include "base/fail.h"
#include "proto/facts.h"
#include "proto/messages.h"
#include "proto/plan.h"
#include "proto/profile.h"

#include <jansson.h>
#include <stdint.h>

#define DESCRIBE_BYTES_MAX (1u << 20)

struct home_description {
	uint32_t n_devices;
	struct profile profiles[PLAN_DEVICES_MAX];
	enum device_role roles[PLAN_DEVICES_MAX];
};

/* Reads a description; `numerics` is what a device without that field gets. The struct is large
 * (about 200 KB): keep it off the stack of a small thread. FAIL_INVALID names device and field. */
int describe_read(struct home_description *home, const char *text, size_t size, uint32_t numerics,
		  struct fail *fail);

/* One device of the format above. Gives; NULL when memory is short. */
json_t *describe_device(const struct profile *profile, enum device_role role);

/* A plan for `primactl --json` and status: {"epoch": {"counter", "planner"}, "model", "pinned",
 * "rounds", "head", "context", "kv_positions", "chunk_rows", "wire", "kv_type", "devices": [{"id",
 * "name", "layers", "weight_bytes", "kv_bytes", "budget_bytes", "busy_s", "hop_s", "disk_s",
 * "sentence"}],
 * "stages": [{"device", "index" (into devices), "first_layer", "end_layer", "round"}],
 * "first_token_s", "token_s", "limit"}. Gives; NULL when memory is short. */
json_t *describe_plan(const struct plan *plan);

/* Name of a GGUF tensor type, "Q4_K"; NULL when unknown. */
const char *describe_type_name(uint32_t type);

#endif
