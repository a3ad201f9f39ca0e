/* messages.h: every message of the control and transfer connections: the wire on one page.
 *
 * A message is a type byte and a msgpack array with the struct's fields in the order given here. A
 * counted list is one field, an array of its own (bytes: a binary); its count does not travel
 * beside it. A struct within is an array within. A minor version may append fields to any of these
 * arrays: a reader passes over those it does not know and takes zeros for those an older writer
 * lacks, so all minor versions of a major understand each other; a field of the first version that
 * is missing is refused (fields.h).
 *
 * The table in messages.c gives each type its name, its size limit, and the connections and states
 * in which it is allowed. Ring connections carry flights (flight.h) and MESSAGE_CREDIT only. */
#ifndef PROTO_MESSAGES_H
#define PROTO_MESSAGES_H

#include "base/buf.h"
#include "base/fail.h"
#include "proto/flight.h"
#include "proto/id.h"
#include "proto/identity.h"
#include "proto/plan.h"

#include <stdbool.h>
#include <stdint.h>

#define PROTOCOL_MAJOR 1
#define PROTOCOL_MINOR_MIN 0
#define PROTOCOL_MINOR_MAX 0

#define PROMPT_TOKENS_MAX 131072u
#define ROSTER_STATEMENTS_MAX 1024u
#define GOSSIP_FACTS_MAX 256u
#define GOSSIP_BYTES_MAX 131072 /* a sender splits, so that pings are not held up for long */
#define REASON_BYTES 256
#define REQUEST_ENDS_MAX 16 /* end-of-generation tokens of a vocabulary */

enum device_role { ROLE_ADMIN, ROLE_WORKER, ROLE_CLIENT };

enum connection_kind { CONNECTION_CONTROL = 1, CONNECTION_RING, CONNECTION_TRANSFER, CONNECTION_PAIR };

enum message_type {
	MESSAGE_HELLO = 1,   /* both ways, first on every connection */
	MESSAGE_CLOSE,       /* last; says why. Truncation is visible without it */
	MESSAGE_PING,        /* both ways, answered by PONG */
	MESSAGE_PONG,
	MESSAGE_PROBE,       /* "please ping X for me" */
	MESSAGE_PROBE_RESULT,
	MESSAGE_ROSTER,      /* signed statements, all or new ones */
	MESSAGE_GOSSIP,      /* versioned facts */
	MESSAGE_DIGEST,      /* what versions I have: answered by GOSSIP of what is newer */
	MESSAGE_DEPLOY,      /* to the planner: this model is wanted, please make a plan */
	MESSAGE_PREPARE,     /* planner to participants: a plan */
	MESSAGE_PROMISE,     /* answer, persisted before it is sent */
	MESSAGE_COMMIT,      /* planner to participants: live */
	MESSAGE_PART_STATE,  /* participant to all in the plan: loading, ready, failed */
	MESSAGE_REQUEST,     /* owner to head */
	MESSAGE_TOKENS,      /* head to owner: progress and tokens */
	MESSAGE_REQUEST_END, /* head to owner: finished or failed */
	MESSAGE_CANCEL,      /* owner to head */
	MESSAGE_LEAVING,     /* stopping, sleeping or leaving the home: plan without me at once */
	MESSAGE_FETCH,       /* transfer: give me this range */
	MESSAGE_CHUNK,       /* transfer: the bytes */
	MESSAGE_CREDIT,      /* ring: so many more flights may come */
	MESSAGE_FLIGHT,      /* ring: a flight, raw (flight.h) */
	MESSAGE_TYPES
};

struct message_hello {
	uint16_t minor_min, minor_max; /* protocol range of this major */
	uint64_t features;             /* bits, 0 today */
	uint8_t role;                  /* enum device_role, as the sender believes; roster decides */
	uint32_t numerics;
	uint64_t boot; /* random per start */
	uint16_t port; /* where the sender listens */
	char name[DEVICE_NAME_BYTES];
	uint8_t roster_digest[ID_BYTES];
	struct epoch epoch; /* ring: the plan it serves. control: the sender's live plan */
};

struct message_close {
	char reason[REASON_BYTES];
};

struct message_ping { /* also PONG: seq echoed */
	uint64_t seq;
	uint64_t incarnation;
	int64_t sent_us; /* sender's clock, echoed in PONG: gives the round-trip time */
	struct epoch epoch;
};

struct message_probe { /* also PROBE_RESULT, with alive */
	uint64_t seq;
	struct device_id target;
	bool alive;
};

/* A list of statements in their fixed binary form (statement.h), borrowed from the message. */
struct message_roster {
	uint32_t n_statements;
	const uint8_t *statements; /* [n_statements, STATEMENT_BYTES], not yet checked in any way */
};

/* Kinds of facts; a newer minor version may send kinds up to FACT_KIND_MOST that this one does not
 * know: keep and pass them on. One fact per (origin, kind, key); the highest version wins. */
enum fact_kind {
	FACT_PROFILE,   /* profile_encode */
	FACT_ADDRESSES, /* n times {u8 family 4|6, 16 bytes address, u32 scope 0, u16 port} */
	FACT_MODELS,    /* ids of models the origin has in full, 32 bytes each */
	FACT_MODEL,     /* facts_encode; key = first 8 bytes of the model id */
	FACT_LOAD,      /* u32 running, u32 queued requests where it is head */
	FACT_PLANNER,   /* 32 bytes: who the origin takes for the planner */
	FACT_KINDS
};

#define FACT_KIND_MOST 255u
#define FACT_BYTES_MAX 65536

struct fact {
	struct device_id origin;
	uint32_t kind;
	uint64_t key;
	uint64_t version;
	const uint8_t *bytes; /* borrowed */
	uint32_t size;
	uint8_t signature[64]; /* by origin over all fields, "primad-fact-v1" */
};

struct message_gossip {
	uint32_t n_facts;
	struct fact facts[GOSSIP_FACTS_MAX];
};

struct message_digest {
	uint32_t n_facts; /* bytes, size and signature unset */
	struct fact facts[GOSSIP_FACTS_MAX];
};

struct message_deploy {
	struct model_id model;
	uint32_t context; /* positions wanted per sequence; 0: default */
	bool again;       /* also when a plan for it is live (after a failure) */
	uint8_t hold;     /* enum deploy_hold; if not 0, no wish but from the planner to the head */
};

/* Another model is wanted: the head of `model` starts no more requests. Or it goes on after all. */
enum deploy_hold { DEPLOY_WANTED, DEPLOY_HOLD, DEPLOY_GO_ON };

struct message_prepare {
	struct plan plan;
};

struct message_promise {
	struct epoch epoch;
	bool promised;
	struct epoch held; /* when refused: the higher promise */
	char reason[REASON_BYTES];
};

struct message_commit {
	struct epoch epoch;
};

enum part_state { PART_FETCHING, PART_LOADING, PART_READY, PART_FAILED };

struct message_part_state {
	struct epoch epoch;
	uint8_t state; /* enum part_state */
	uint64_t done_bytes, total_bytes;
	char reason[REASON_BYTES]; /* of PART_FAILED */
	uint8_t code;		   /* enum fail_code of PART_FAILED; 0: from an older device */
	struct model_id model;	   /* of the plan, or, with epoch 0, the one that gets no plan */
};

struct sampler_settings { /* meanings: compute/sampler.h */
	float temperature; /* 0: greedy */
	uint32_t top_k;    /* 0: off */
	float top_p;       /* 1: off */
	float min_p;       /* 0: off */
	float repeat_penalty; /* 1: off */
	uint32_t repeat_last; /* how many tokens back; 0: off */
	uint64_t seed;
};

struct message_request {
	struct request_id id;
	struct model_id model;
	struct epoch epoch;
	struct sampler_settings sampler;
	uint32_t max_tokens;
	uint32_t chunk_rows; /* 0: the plan's; tests ask for smaller chunks */
	uint32_t n_ends;     /* generation ends at these tokens; 0: never (benchmarks) */
	uint32_t ends[REQUEST_ENDS_MAX];
	uint32_t n_tokens;
	const uint32_t *tokens; /* borrowed from the decoder's scratch; history so far */
};

struct message_tokens {
	struct request_id id;
	uint32_t prompt_done; /* prompt positions computed so far */
	uint32_t first_position;
	uint32_t n_tokens; /* 0: progress only */
	uint32_t tokens[16];
};

enum request_end { REQUEST_END_STOP, REQUEST_END_LENGTH, REQUEST_END_CANCELLED, REQUEST_END_FAILED };

struct message_request_end {
	struct request_id id;
	uint8_t end;             /* enum request_end */
	uint8_t code;            /* enum fail_code of REQUEST_END_FAILED */
	struct device_id device; /* who failed, where one did */
	char reason[REASON_BYTES];
	uint32_t prompt_tokens, completion_tokens;
	double prompt_s, decode_s; /* measured at the head */
	uint64_t flights, bytes_sent; /* what travelled from the head for this request */
	uint32_t flights_together_max; /* most flights seen on the ring at once meanwhile */
};

struct message_cancel {
	struct request_id id;
};

enum leaving_reason { LEAVING_STOP, LEAVING_SLEEP, LEAVING_HOME };

struct message_leaving {
	uint8_t reason; /* enum leaving_reason */
};

/* Asks for [offset, offset + size) of a model's GGUF file. size <= MODEL_CHUNK_BYTES. part 0: file
 * bytes; part 1: the manifest (store.h), then offset and size count its bytes; part 2: `size` bytes of
 * nothing, to measure the way. */
enum fetch_part { FETCH_PART_FILE, FETCH_PART_MANIFEST, FETCH_PART_PROBE };

struct message_fetch {
	struct model_id model;
	uint32_t part;
	uint64_t offset;
	uint32_t size;
};

struct message_chunk {
	struct model_id model;
	uint32_t part;
	uint64_t offset;
	uint32_t size;        /* 0: refused, see reason */
	const uint8_t *bytes; /* borrowed */
	char reason[REASON_BYTES];
};

struct message_credit {
	uint32_t flights;
};

struct message {
	enum message_type type;
	union {
		struct message_hello hello;
		struct message_close close;
		struct message_ping ping; /* and pong */
		struct message_probe probe; /* and probe_result */
		struct message_roster roster;
		struct message_gossip gossip;
		struct message_digest digest;
		struct message_deploy deploy;
		struct message_prepare prepare;
		struct message_promise promise;
		struct message_commit commit;
		struct message_part_state part_state;
		struct message_request request;
		struct message_tokens tokens;
		struct message_request_end request_end;
		struct message_cancel cancel;
		struct message_leaving leaving;
		struct message_fetch fetch;
		struct message_chunk chunk;
		struct message_credit credit;
	};
};

/* Signs a gossiped fact as its origin (all fields but the signature must be set), and checks one
 * that anybody may have passed on. Domain "primad-fact-v1"; covers origin, kind, key, version, and
 * BLAKE2b-512 of the bytes. */
void fact_sign(struct fact *fact, const struct identity *origin);
bool fact_verify(const struct fact *fact, const uint8_t ed_pk[KEY_BYTES]);

/* The highest minor version that both sides speak, in `*minor`; FAIL_VERSION with a sentence that
 * names both ranges when there is none. */
int message_agree(const struct message_hello *theirs, uint16_t *minor, struct fail *fail);

const char *message_name(enum message_type type); /* "hello"; "unknown" */

/* Lower-case words for a device_role and a connection_kind. */
const char *role_name(enum device_role role);
const char *connection_kind_name(enum connection_kind kind);

/* Largest body a peer may send of this type on this kind of connection, before or after its HELLO;
 * 0: not allowed there, a protocol error. Checked before anything is buffered. */
size_t message_limit(enum message_type type, enum connection_kind kind, bool hello_done);

/* Appends the body (without the type byte, which the record carries). Never for MESSAGE_FLIGHT. */
void message_encode(const struct message *message, struct buf *out);

/* Decodes a body. Views in `message` point into `bytes` or into `scratch` (cleared first) and live
 * as long as both. Refuses everything out of range (FAIL_INVALID). The struct is large: keep one
 * per connection owner, not on the stack of a recursive function. */
int message_decode(struct message *message, enum message_type type, const void *bytes, size_t size,
		   struct buf *scratch, struct fail *fail);

#endif
