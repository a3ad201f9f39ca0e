#include "base/account.h"

#include <assert.h>

void account_init(struct account *account, uint64_t limit_bytes)
{
	atomic_init(&account->limit_bytes, limit_bytes);
	atomic_init(&account->used_bytes, 0);
	for (int kind = 0; kind < ACCOUNT_KINDS; kind++)
		atomic_init(&account->kind_bytes[kind], 0);
}

bool account_charge(struct account *account, enum account_kind kind, uint64_t bytes)
{
	uint64_t used = atomic_load(&account->used_bytes);
	do {
		const uint64_t limit = atomic_load(&account->limit_bytes);
		if (used > limit || bytes > limit - used)
			return false;
	} while (!atomic_compare_exchange_weak(&account->used_bytes, &used, used + bytes));
	atomic_fetch_add(&account->kind_bytes[kind], bytes);
	return true;
}

void account_release(struct account *account, enum account_kind kind, uint64_t bytes)
{
	assert(atomic_load(&account->kind_bytes[kind]) >= bytes);
	atomic_fetch_sub(&account->kind_bytes[kind], bytes);
	atomic_fetch_sub(&account->used_bytes, bytes);
}

uint64_t account_left(const struct account *account)
{
	const uint64_t limit = atomic_load(&account->limit_bytes);
	const uint64_t used = atomic_load(&account->used_bytes);
	return used < limit ? limit - used : 0;
}

const char *account_kind_name(enum account_kind kind)
{
	static const char *const names[ACCOUNT_KINDS] = { "weights", "kv", "buffers", "queues" };
	return names[kind];
}
