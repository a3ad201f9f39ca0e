#include "compute/specials.h"

#include "compute/queue.h"

#include <stdlib.h>
#include <string.h>

/* All special pieces of a file together; a file needs some tens of KiB. */
#define SPECIALS_BYTES_MAX (4u << 20)
#define NO_NODE            UINT32_MAX

/* A trie by bytes. Chains are the rule, so children are a list. */
struct node {
	uint32_t child, sibling;
	uint32_t token; /* that ends here, or TOKEN_NONE */
	uint8_t byte;
	bool control;
	uint8_t strip; /* enum strip of the token */
};

struct specials {
	struct node *nodes; /* owned */
	uint32_t count, capacity;
	uint32_t first[256];
	bool strips; /* some token takes white space beside it */
};

/* ---- the trie ---- */

static uint32_t add_node(struct specials *specials, uint8_t byte)
{
	if (specials->count == specials->capacity) {
		const uint32_t capacity = specials->capacity ? specials->capacity * 2 : 256;
		struct node *nodes = realloc(specials->nodes, capacity * sizeof(*nodes));
		if (!nodes)
			return NO_NODE;
		specials->nodes = nodes;
		specials->capacity = capacity;
	}
	specials->nodes[specials->count] = (struct node){
		.child = NO_NODE, .sibling = NO_NODE, .token = TOKEN_NONE, .byte = byte
	};
	return specials->count++;
}

/* The node for `byte` in the list that begins with node `at`, or NO_NODE. */
static uint32_t find_sibling(const struct specials *specials, uint32_t at, uint8_t byte)
{
	while (at != NO_NODE && specials->nodes[at].byte != byte)
		at = specials->nodes[at].sibling;
	return at;
}

static uint32_t step_or_add(struct specials *specials, uint32_t parent, uint8_t byte)
{
	const uint32_t found = find_sibling(specials, specials->nodes[parent].child, byte);
	if (found != NO_NODE)
		return found;
	const uint32_t added = add_node(specials, byte);
	if (added == NO_NODE)
		return NO_NODE;
	specials->nodes[added].sibling = specials->nodes[parent].child;
	specials->nodes[parent].child = added;
	return added;
}

static bool insert(struct specials *specials, const uint8_t *piece, size_t size, uint32_t token,
		   bool control, uint8_t strip)
{
	uint32_t *first = &specials->first[piece[0]];
	if (*first == NO_NODE)
		*first = add_node(specials, piece[0]);
	uint32_t at = *first;
	for (size_t i = 1; i < size && at != NO_NODE; i++)
		at = step_or_add(specials, at, piece[i]);
	if (at == NO_NODE)
		return false;
	specials->nodes[at].token = token;
	specials->nodes[at].control = control;
	specials->nodes[at].strip = strip;
	specials->strips = specials->strips || strip;
	return true;
}

static int insert_all(struct specials *specials, const struct vocab *vocab, struct buf *piece,
		      struct fail *fail)
{
	size_t total = 0;
	for (uint32_t i = 0; i < vocab->count; i++) {
		const enum token_kind kind = vocab_kind(vocab, i);
		const bool control = kind == TOKEN_CONTROL || kind == TOKEN_UNKNOWN;
		if (!control && kind != TOKEN_USER_DEFINED)
			continue;
		buf_clear(piece);
		vocab_spell(vocab, i, piece);
		total += piece->size;
		if (total > SPECIALS_BYTES_MAX)
			return fail_set(fail, FAIL_UNSUPPORTED,
					"the vocabulary's special tokens have more than %u bytes",
					SPECIALS_BYTES_MAX);
		if (piece->failed ||
		    (piece->size > 0 && !insert(specials, piece->data, piece->size, i, control,
						vocab_strip(vocab, i))))
			return fail_set(fail, FAIL_MEMORY, "no memory for the special tokens");
	}
	return 0;
}

struct specials *specials_create(const struct vocab *vocab, struct fail *fail)
{
	struct specials *specials = calloc(1, sizeof(*specials));
	if (!specials) {
		fail_set(fail, FAIL_MEMORY, "no memory for the special tokens");
		return NULL;
	}
	memset(specials->first, 0xff, sizeof(specials->first));
	struct buf piece;
	buf_init(&piece);
	const int result = insert_all(specials, vocab, &piece, fail);
	buf_finish(&piece);
	if (result < 0) {
		specials_destroy(specials);
		return NULL;
	}
	return specials;
}

void specials_destroy(struct specials *specials)
{
	if (!specials)
		return;
	free(specials->nodes);
	free(specials);
}

uint64_t specials_memory(const struct specials *specials)
{
	return sizeof(*specials) + (uint64_t)specials->capacity * sizeof(struct node);
}

/* ---- the search ---- */

/* Where control tokens may stand. */
struct range {
	uint32_t start, end;
};

struct search {
	const struct specials *specials;
	const uint8_t *text;
	uint32_t size;
	struct buf allowed; /* struct range, in order of place */
	struct buf *out;
	struct queue queue; /* candidates of a cluster; what is longer goes first */
	uint32_t base, end; /* of the cluster; with the white space around it where tokens strip */
	struct buf taken;   /* a byte for each of the cluster: 1 when a mark covers it */
};

struct candidate {
	struct mark mark;
	uint8_t strip;
};

/* How many bytes a control token at `start` may have. */
static uint32_t control_room(const struct search *search, uint32_t start)
{
	size_t low = 0, high = search->allowed.size / sizeof(struct range);
	while (low < high) {
		struct range range;
		const size_t middle = (low + high) / 2;
		memcpy(&range, search->allowed.data + middle * sizeof(range), sizeof(range));
		if (start >= range.start && start < range.end)
			return range.end - start;
		if (start < range.start)
			high = middle;
		else
			low = middle + 1;
	}
	return 0;
}

/* The longest token at `start` of at most `limit` bytes; its size is 0 when there is none. */
static struct candidate longest(const struct search *search, uint32_t start, uint32_t limit)
{
	const struct specials *specials = search->specials;
	struct candidate best = { .mark = { .start = start, .token = TOKEN_NONE } };
	const uint32_t room = control_room(search, start);
	uint32_t at = specials->first[search->text[start]];
	for (uint32_t size = 1; at != NO_NODE && size <= limit; size++) {
		const struct node *node = &specials->nodes[at];
		if (node->token != TOKEN_NONE && (size <= room || !node->control)) {
			best.mark.size = size;
			best.mark.token = node->token;
			best.strip = node->strip;
		}
		if (size == limit)
			break;
		at = find_sibling(specials, node->child, search->text[start + size]);
	}
	return best;
}

static bool queue_mark(struct search *search, const struct mark *mark)
{
	return queue_push(&search->queue, VOCAB_PIECE_MAX - mark->size, mark->start);
}

static struct candidate pop_candidate(struct search *search)
{
	const struct queue_entry best = queue_pop(&search->queue);
	return longest(search, best.place, VOCAB_PIECE_MAX - best.rank);
}

static int by_place(const void *a, const void *b)
{
	const uint32_t left = ((const struct mark *)a)->start;
	const uint32_t right = ((const struct mark *)b)->start;
	return left < right ? -1 : left > right;
}

/* White space of C, as llama.cpp strips it. */
static bool is_space(uint8_t byte)
{
	return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Widens a mark over the white space beside it that no other mark has. */
static void widen(const struct search *search, const uint8_t *taken, uint8_t strip,
		  struct mark *mark)
{
	while (strip & STRIP_LEFT && mark->start > search->base &&
	       !taken[mark->start - 1 - search->base] && is_space(search->text[mark->start - 1])) {
		mark->start--;
		mark->size++;
	}
	while (strip & STRIP_RIGHT && mark->start + mark->size < search->end &&
	       !taken[mark->start + mark->size - search->base] &&
	       is_space(search->text[mark->start + mark->size]))
		mark->size++;
}

/* Takes a candidate if nothing longer stands in its way. What is taken is at least as long, or
 * white space, so it overlaps at one end if at all. Where only the far end is taken, a shorter
 * token may fit. */
static bool settle(struct search *search, struct candidate candidate)
{
	struct mark mark = candidate.mark;
	uint8_t *taken = search->taken.data + (mark.start - search->base);
	if (taken[0])
		return true;
	uint32_t room = 1;
	while (room < mark.size && !taken[room])
		room++;
	if (room < mark.size) {
		const struct mark shorter = longest(search, mark.start, room).mark;
		return shorter.size == 0 || queue_mark(search, &shorter);
	}
	widen(search, search->taken.data, candidate.strip, &mark);
	memset(search->taken.data + (mark.start - search->base), 1, mark.size);
	buf_append(search->out, &mark, sizeof(mark));
	return !search->out->failed;
}

/* Decides among the queued candidates, which overlap. */
static bool settle_cluster(struct search *search)
{
	if (search->queue.count == 1 && !search->specials->strips) { /* nothing overlaps it */
		const struct mark mark = pop_candidate(search).mark;
		buf_append(search->out, &mark, sizeof(mark));
		return !search->out->failed;
	}
	const size_t before = search->out->size;
	buf_clear(&search->taken);
	if (search->queue.count > 0 && !buf_extend(&search->taken, search->end - search->base))
		return false;
	if (search->taken.size > 0)
		memset(search->taken.data, 0, search->taken.size);
	while (search->queue.count > 0) {
		if (!settle(search, pop_candidate(search)))
			return false;
	}
	if (search->out->size > before)
		qsort(search->out->data + before,
		      (search->out->size - before) / sizeof(struct mark), sizeof(struct mark),
		      by_place);
	return true;
}

/* A cluster that begins with the candidate at `start`, once the one before is decided. */
static bool begin_cluster(struct search *search, uint32_t start)
{
	if (!settle_cluster(search))
		return false;
	search->base = start;
	while (search->specials->strips && search->base > search->end &&
	       is_space(search->text[search->base - 1]))
		search->base--;
	return true;
}

/* Where tokens strip, what merely touches the cluster belongs to it: the white space between the
 * two is taken by one of them. */
static bool add_candidate(struct search *search, const struct mark *mark)
{
	const bool apart =
		search->specials->strips ? mark->start > search->end : mark->start >= search->end;
	if (apart && !begin_cluster(search, mark->start))
		return false;
	if (mark->start + mark->size > search->end)
		search->end = mark->start + mark->size;
	while (search->specials->strips && search->end < search->size &&
	       is_space(search->text[search->end]))
		search->end++;
	return queue_mark(search, mark);
}

/* Goes through the text cluster by cluster: candidates that overlap one another. */
static bool search_all(struct search *search)
{
	for (uint32_t i = 0; i < search->size; i++) {
		if (search->specials->first[search->text[i]] == NO_NODE)
			continue;
		const struct mark mark = longest(search, i, search->size - i).mark;
		if (mark.size > 0 && !add_candidate(search, &mark))
			return false;
	}
	return settle_cluster(search);
}

static void allow(struct search *search, uint32_t start, uint32_t end)
{
	const struct range range = { start, end };
	buf_append(&search->allowed, &range, sizeof(range));
}

static bool allow_control(struct search *search, const struct tokenize_options *options)
{
	uint32_t at = 0;
	if (!options->special)
		return true;
	if (!options->spans)
		allow(search, 0, search->size);
	for (uint32_t i = 0; options->spans && i < options->n_spans; i++) {
		if (options->spans[i].trusted)
			allow(search, at, at + options->spans[i].size);
		at += options->spans[i].size;
	}
	return !search->allowed.failed;
}

bool specials_find(const struct specials *specials, const uint8_t *text, uint32_t size,
		   const struct tokenize_options *options, struct buf *out)
{
	struct search search = { .specials = specials, .text = text, .size = size, .out = out };
	queue_init(&search.queue);
	buf_init(&search.taken);
	buf_init(&search.allowed);
	const bool ok = allow_control(&search, options) && search_all(&search);
	queue_finish(&search.queue);
	buf_finish(&search.taken);
	buf_finish(&search.allowed);
	return ok;
}
