#include "compute/pages.h"

#include "base/mapping.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct table {
	uint32_t first, end; /* entries in use */
};

struct pages {
	struct pages_config config;
	uint8_t *memory;      /* [n_pages, page_bytes], mapped */
	uint32_t *references; /* [n_pages] */
	uint32_t *free_pages; /* stack */
	uint32_t n_free;
	struct table *tables; /* [n_tables] */
	uint8_t **entries;    /* [n_tables, n_entries] */
	atomic_uint used;
};

/* ---- memory ---- */

static uint64_t memory_bytes(const struct pages_config *config)
{
	return (uint64_t)config->n_pages * config->page_bytes;
}

uint64_t pages_bytes(const struct pages_config *config)
{
	const uint64_t entries = (uint64_t)config->n_tables * config->n_entries;
	return sizeof(struct pages) + memory_bytes(config) +
	       config->n_pages * 2ull * sizeof(uint32_t) + config->n_tables * sizeof(struct table) +
	       entries * sizeof(uint8_t *);
}

static bool allocate(struct pages *pages)
{
	const struct pages_config *config = &pages->config;
	pages->references = calloc(config->n_pages, sizeof(uint32_t));
	pages->free_pages = calloc(config->n_pages, sizeof(uint32_t));
	pages->tables = calloc(config->n_tables, sizeof(struct table));
	pages->entries = calloc((size_t)config->n_tables * config->n_entries, sizeof(uint8_t *));
	pages->memory = mapping_memory(memory_bytes(config));
	return pages->references && pages->free_pages && pages->tables && pages->entries &&
	       pages->memory;
}

struct pages *pages_create(const struct pages_config *config)
{
	struct pages *pages = calloc(1, sizeof(*pages));
	if (!pages)
		return NULL;
	pages->config = *config;
	if (!allocate(pages)) {
		pages_destroy(pages);
		return NULL;
	}
	for (uint32_t i = 0; i < config->n_pages; i++) /* lowest on top of the stack */
		pages->free_pages[i] = config->n_pages - 1 - i;
	pages->n_free = config->n_pages;
	return pages;
}

void pages_destroy(struct pages *pages)
{
	if (!pages)
		return;
	mapping_memory_free(pages->memory, memory_bytes(&pages->config));
	free(pages->references);
	free(pages->free_pages);
	free(pages->tables);
	free(pages->entries);
	free(pages);
}

/* ---- one page ---- */

static void count_used(struct pages *pages)
{
	atomic_store(&pages->used, pages->config.n_pages - pages->n_free);
}

static uint32_t *references_of(const struct pages *pages, const uint8_t *page)
{
	return &pages->references[(size_t)(page - pages->memory) / pages->config.page_bytes];
}

static uint8_t *take(struct pages *pages)
{
	if (pages->n_free == 0)
		return NULL;
	const uint32_t index = pages->free_pages[--pages->n_free];
	pages->references[index] = 1;
	count_used(pages);
	return pages->memory + index * pages->config.page_bytes;
}

static void release(struct pages *pages, uint8_t **entry)
{
	uint32_t *references = references_of(pages, *entry);
	assert(*references > 0);
	*entry = NULL;
	if (--*references > 0)
		return;
	pages->free_pages[pages->n_free++] = (uint32_t)(references - pages->references);
	count_used(pages);
}

/* ---- tables ---- */

static uint8_t **entries_of(const struct pages *pages, uint32_t table)
{
	return pages->entries + (size_t)table * pages->config.n_entries;
}

bool pages_own(struct pages *pages, uint32_t table, uint32_t index)
{
	struct table *at = &pages->tables[table];
	uint8_t **entry = entries_of(pages, table) + index;
	if (index >= pages->config.n_entries)
		return false;
	const bool fresh = at->first == at->end || index == at->end;
	assert(fresh || (index >= at->first && index < at->end));
	if (!fresh && *references_of(pages, *entry) == 1)
		return true;
	uint8_t *page = take(pages);
	if (!page)
		return false;
	if (at->first == at->end)
		at->first = index;
	if (fresh) {
		at->end = index + 1;
	} else {
		memcpy(page, *entry, pages->config.page_bytes);
		release(pages, entry);
	}
	*entry = page;
	return true;
}

void pages_keep(struct pages *pages, uint32_t table, uint32_t first, uint32_t end)
{
	struct table *at = &pages->tables[table];
	uint8_t **entries = entries_of(pages, table);
	while (at->end > at->first && at->end > end)
		release(pages, &entries[--at->end]);
	while (at->first < at->end && at->first < first)
		release(pages, &entries[at->first++]);
	if (at->first == at->end)
		at->first = at->end = 0;
}

void pages_share(struct pages *pages, uint32_t from, uint32_t to)
{
	const struct table *source = &pages->tables[from];
	uint8_t **entries = entries_of(pages, from);
	for (uint32_t i = source->first; i < source->end; i++)
		++*references_of(pages, entries[i]);
	pages_keep(pages, to, 0, 0);
	pages->tables[to] = *source;
	memcpy(entries_of(pages, to) + source->first, entries + source->first,
	       (source->end - source->first) * sizeof(uint8_t *));
}

uint32_t pages_first(const struct pages *pages, uint32_t table)
{
	return pages->tables[table].first;
}

uint8_t *const *pages_table(const struct pages *pages, uint32_t table)
{
	return entries_of(pages, table);
}

uint32_t pages_used(const struct pages *pages)
{
	return atomic_load(&pages->used);
}

void pages_rest(struct pages *pages)
{
	if (pages->n_free == pages->config.n_pages)
		madvise(pages->memory, memory_bytes(&pages->config), MADV_DONTNEED);
}
