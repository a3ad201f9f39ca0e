/* home.h: what several tests of proto/ need: devices with known keys, a home of two. */
#ifndef TESTS_UNIT_PROTO_HOME_H
#define TESTS_UNIT_PROTO_HOME_H

#include "proto/identity.h"
#include "proto/preamble.h"
#include "proto/statement.h"

/* A device whose keys follow from one byte. Aborts the test when memory is short. */
struct identity *home_device(uint8_t seed);

/* The root statement of a home founded by `founder`, and the ADD of `other` that follows it. */
void home_root(struct statement *root, const struct identity *founder, const char *name);
void home_add(struct statement *add, const struct statement *before, const struct identity *author,
	      const struct device_keys *subject, const char *name);

#endif
