/* pages.h: reference-counted pages of a KV cache, and the tables that say which page holds which
 * positions of a sequence. A table's entries are [first, end); what lies outside is given back. */
#ifndef COMPUTE_PAGES_H
#define COMPUTE_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pages_config {
	uint32_t n_pages;
	size_t page_bytes; /* a multiple of 64 */
	uint32_t n_tables;
	uint32_t n_entries; /* of each table */
};

struct pages;

/* NULL: the system has no memory. Pages that were never written cost none, but for
 * those beside written ones in 2 MiB. Gives. */
struct pages *pages_create(const struct pages_config *config);
void pages_destroy(struct pages *pages); /* accepts NULL */
uint64_t pages_bytes(const struct pages_config *config);

/* Makes entry `index` the table's own and writable: takes a page when there is none yet (the entry
 * at the end, or the first one of an empty table), copies one that is shared. False: no page is
 * free, or the table has no such entry; nothing has changed. */
bool pages_own(struct pages *pages, uint32_t table, uint32_t index);
/* Gives back what lies outside [first, end). */
void pages_keep(struct pages *pages, uint32_t table, uint32_t first, uint32_t end);
/* `to` holds what `from` holds: the same pages, each counted once more. */
void pages_share(struct pages *pages, uint32_t from, uint32_t to);

uint32_t pages_first(const struct pages *pages, uint32_t table);
/* [n_entries]; NULL outside [first, end). */
uint8_t *const *pages_table(const struct pages *pages, uint32_t table);
uint32_t pages_used(const struct pages *pages); /* any thread */
/* Gives the memory of pages back to the system when none is in use. */
void pages_rest(struct pages *pages);

#endif
