/* account.h: the one memory account of a device.
 *
 * Weights, KV pages, buffers and queues are charged before they are allocated, so that the limit a
 * person gave holds and a refusal comes as a sentence, not as a killed process. May be used from
 * any thread. */
#ifndef BASE_ACCOUNT_H
#define BASE_ACCOUNT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum account_kind {
	ACCOUNT_WEIGHTS, /* mapped weights of the deployments in force */
	ACCOUNT_KV,      /* KV cache pages */
	ACCOUNT_BUFFERS, /* activations, logits, scratch of the backends */
	ACCOUNT_QUEUES,  /* flights, requests, client buffers, tokenizers */
	ACCOUNT_KINDS
};

struct account {
	atomic_uint_fast64_t limit_bytes;
	atomic_uint_fast64_t used_bytes;
	atomic_uint_fast64_t kind_bytes[ACCOUNT_KINDS];
};

void account_init(struct account *account, uint64_t limit_bytes);

/* True when `bytes` were charged; false (and nothing charged) when the limit would be passed. */
bool account_charge(struct account *account, enum account_kind kind, uint64_t bytes);
void account_release(struct account *account, enum account_kind kind, uint64_t bytes);
uint64_t account_left(const struct account *account);
const char *account_kind_name(enum account_kind kind);

#endif
