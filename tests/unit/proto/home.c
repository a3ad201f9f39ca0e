#include "tests/unit/proto/home.h"

#include "proto/messages.h"

#include <stdlib.h>
#include <string.h>

struct identity *home_device(uint8_t seed)
{
	uint8_t bytes[KEY_BYTES];
	memset(bytes, seed, sizeof(bytes));
	struct identity *identity = identity_from_seed(bytes, NULL);
	if (!identity)
		abort();
	return identity;
}

void home_root(struct statement *root, const struct identity *founder, const char *name)
{
	statement_found(root, founder, name);
}

void home_add(struct statement *add, const struct statement *before, const struct identity *author,
	      const struct device_keys *subject, const char *name)
{
	uint8_t bytes[STATEMENT_BYTES];
	memset(add, 0, sizeof(*add));
	add->kind = STATEMENT_ADD;
	add->role = ROLE_ADMIN;
	memcpy(add->home, before->home, HOME_ID_BYTES);
	add->subject = *subject;
	strcpy(add->name, name);
	add->counter = before->counter + 1;
	statement_encode(before, bytes);
	statement_hash(bytes, add->previous);
	statement_sign(add, author);
}
