#include "compute/recurrent.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#define NONE UINT32_MAX

struct entry {
	uint32_t now, next; /* blocks, or NONE */
};

struct recurrent {
	struct recurrent_config config;
	struct entry *entries; /* [n_slots, n_layers] */
	uint32_t *uses;        /* [n_blocks]: entries that hold the block */
	uint8_t *blocks;       /* [n_blocks, block_bytes]; touched when used */
};

static size_t blocks_bytes(const struct recurrent_config *config)
{
	return config->n_blocks * config->block_bytes;
}

uint64_t recurrent_bytes(const struct recurrent_config *config)
{
	return sizeof(struct recurrent) + blocks_bytes(config) +
	       (uint64_t)config->n_blocks * sizeof(uint32_t) +
	       (uint64_t)config->n_slots * config->n_layers * sizeof(struct entry);
}

struct recurrent *recurrent_create(const struct recurrent_config *config)
{
	const size_t n_entries = (size_t)config->n_slots * config->n_layers;
	struct recurrent *recurrent = calloc(1, sizeof(*recurrent));
	if (!recurrent)
		return NULL;
	recurrent->config = *config;
	recurrent->entries = calloc(n_entries, sizeof(*recurrent->entries));
	recurrent->uses = calloc(config->n_blocks, sizeof(*recurrent->uses));
	void *blocks = mmap(NULL, blocks_bytes(config), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	recurrent->blocks = blocks == MAP_FAILED ? NULL : blocks;
	if (!recurrent->entries || !recurrent->uses || !recurrent->blocks) {
		recurrent_destroy(recurrent);
		return NULL;
	}
	for (size_t i = 0; i < n_entries; i++)
		recurrent->entries[i] = (struct entry){ NONE, NONE };
	return recurrent;
}

void recurrent_destroy(struct recurrent *recurrent)
{
	if (!recurrent)
		return;
	if (recurrent->blocks)
		munmap(recurrent->blocks, blocks_bytes(&recurrent->config));
	free(recurrent->entries);
	free(recurrent->uses);
	free(recurrent);
}

static struct entry *entry_of(const struct recurrent *recurrent, uint32_t layer, uint32_t slot)
{
	return &recurrent->entries[(size_t)slot * recurrent->config.n_layers + layer];
}

static void release(struct recurrent *recurrent, uint32_t *block)
{
	if (*block != NONE)
		recurrent->uses[*block]--;
	*block = NONE;
}

bool recurrent_prepare(struct recurrent *recurrent, uint32_t layer, uint32_t slot)
{
	struct entry *entry = entry_of(recurrent, layer, slot);
	for (uint32_t i = 0; entry->next == NONE && i < recurrent->config.n_blocks; i++) {
		if (recurrent->uses[i] > 0)
			continue;
		recurrent->uses[i] = 1;
		entry->next = i;
	}
	return entry->next != NONE;
}

void recurrent_commit(struct recurrent *recurrent, uint32_t layer, uint32_t slot)
{
	struct entry *entry = entry_of(recurrent, layer, slot);
	if (entry->next == NONE)
		return;
	release(recurrent, &entry->now);
	entry->now = entry->next;
	entry->next = NONE;
}

void recurrent_abandon(struct recurrent *recurrent, uint32_t slot)
{
	for (uint32_t i = 0; i < recurrent->config.n_layers; i++)
		release(recurrent, &entry_of(recurrent, i, slot)->next);
}

void recurrent_share(struct recurrent *recurrent, uint32_t from, uint32_t to)
{
	recurrent_clear(recurrent, to);
	for (uint32_t i = 0; i < recurrent->config.n_layers; i++) {
		const uint32_t block = entry_of(recurrent, i, from)->now;
		entry_of(recurrent, i, to)->now = block;
		if (block != NONE)
			recurrent->uses[block]++;
	}
}

void recurrent_clear(struct recurrent *recurrent, uint32_t slot)
{
	for (uint32_t i = 0; i < recurrent->config.n_layers; i++) {
		release(recurrent, &entry_of(recurrent, i, slot)->now);
		release(recurrent, &entry_of(recurrent, i, slot)->next);
	}
}

static float *block_at(const struct recurrent *recurrent, uint32_t block)
{
	return (float *)(void *)(recurrent->blocks + block * recurrent->config.block_bytes);
}

const float *recurrent_now(const struct recurrent *recurrent, uint32_t layer, uint32_t slot)
{
	const uint32_t block = entry_of(recurrent, layer, slot)->now;
	return block == NONE ? NULL : block_at(recurrent, block);
}

float *recurrent_next(const struct recurrent *recurrent, uint32_t layer, uint32_t slot)
{
	const uint32_t block = entry_of(recurrent, layer, slot)->next;
	assert(block != NONE); /* recurrent_prepare was called */
	return block_at(recurrent, block);
}
