/* list.h: an intrusive doubly linked list. The element embeds a struct list; nobody allocates. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *prev;
	struct list *next;
};

static inline void list_init(struct list *list)
{
	list->prev = list;
	list->next = list;
}

static inline bool list_empty(const struct list *list)
{
	return list->next == list;
}

/* Inserts `item` at the end of the list headed by `list`. */
static inline void list_append(struct list *list, struct list *item)
{
	item->prev = list->prev;
	item->next = list;
	list->prev->next = item;
	list->prev = item;
}

/* Takes `item` out; safe to call again, since the item then heads an empty list of its own. */
static inline void list_remove(struct list *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	list_init(item);
}

#define LIST_ITEM(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* `next_` is read before the body runs, so the body may remove the current item. */
#define LIST_EACH(at, head)                                                                        \
	for (struct list *at = (head)->next, *at##_next = at->next; at != (head);                  \
	     at = at##_next, at##_next = at->next)

#endif
