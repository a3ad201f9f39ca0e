/* Facts and digests in any order and with any numbers, as a member with a modified primad could
 * send them. Signatures are taken for good, so that the input gets that far. */
#include "discovery/gossip.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ORIGINS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_member(void *context, const struct device_id *origin)
{
	return origin->bytes[0] != 3;
}

static bool verify(void *context, const struct fact *fact)
{
	return fact->signature[0] != 255;
}

static void sign(void *context, struct fact *fact)
{
	fact->signature[0] = 1;
}

static void take_newer(void *context, const struct fact *fact)
{
	(*(uint32_t *)context)++;
	assert(fact->version > 0);
}

static uint64_t version_of(uint8_t byte)
{
	return byte == 255 ? UINT64_MAX : byte == 254 ? UINT64_MAX - 1 : byte;
}

static struct fact read_fact(struct reader *reader, const uint8_t *bytes)
{
	struct fact fact = { .origin = { { (uint8_t)(reader_u8(reader) % ORIGINS) } } };
	fact.kind = reader_u8(reader) % FACT_KINDS;
	fact.key = reader_u8(reader) % 80;
	fact.version = version_of(reader_u8(reader));
	fact.signature[0] = reader_u8(reader);
	fact.size = reader_u8(reader) * 300u;
	fact.bytes = bytes;
	return fact;
}

static void read_digest(struct reader *reader, struct message_digest *digest)
{
	digest->n_facts = reader_u8(reader) % 8;
	for (uint32_t i = 0; i < digest->n_facts; i++)
		digest->facts[i] = read_fact(reader, NULL);
}

static void check_store(const struct gossip *gossip)
{
	uint32_t found = 0;
	for (uint32_t kind = 0; kind < FACT_KINDS; kind++)
		for (const struct fact *at = NULL; (at = gossip_next(gossip, kind, at)); found++)
			assert(gossip_get(gossip, &at->origin, kind, at->key) == at);
	assert(found <= gossip_count(gossip));
	assert(gossip_bytes(gossip) <= ORIGINS * GOSSIP_ORIGIN_BYTES_MAX);
}

static void act(struct gossip *gossip, struct reader *reader, struct gossip_cursor *cursor)
{
	static const uint8_t bytes[FACT_BYTES_MAX + 12000];
	static struct message_digest digest;
	uint32_t newer = 0;
	struct fact fact;
	switch (reader_u8(reader) % 4) {
	case 0:
		fact = read_fact(reader, bytes);
		gossip_merge(gossip, &fact);
		break;
	case 1:
		fact = read_fact(reader, bytes);
		gossip_put(gossip, fact.kind, fact.key, bytes, fact.size, NULL, NULL);
		break;
	case 2:
		read_digest(reader, &digest);
		gossip_compare(gossip, cursor, &digest, take_newer, &newer, NULL);
		assert(newer <= gossip_count(gossip));
		break;
	case 3:
		fact = read_fact(reader, bytes);
		gossip_drop(gossip, &fact.origin);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct device_id self = { { 1 } };
	static const struct gossip_rules rules = { is_member, verify, sign, NULL };
	struct gossip *gossip = gossip_create(&self, &rules);
	struct gossip_cursor cursor = { 0 };
	struct reader reader;
	assert(gossip);
	gossip_reserve(gossip, 1, 100);
	reader_init(&reader, data, size);
	while (reader_left(&reader) > 0)
		act(gossip, &reader, &cursor);
	check_store(gossip);
	gossip_destroy(gossip);
	return 0;
}
