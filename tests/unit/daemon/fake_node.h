/* fake_node.h: a node and its sessions without a home behind them, for tests of the local sockets.
 * What a session does is written into the model's name: see fake_node.c. */
#ifndef TESTS_FAKE_NODE_H
#define TESTS_FAKE_NODE_H

#include "daemon/node.h"
#include "daemon/session.h"

struct fake_counts {
	int started, cancelled, ended; /* sessions */
	int uploads_ended, uploads_aborted;
	uint64_t uploaded;
	char code[16], role[16];
};

const struct fake_counts *fake_node_counts(const struct node *node);

#endif
