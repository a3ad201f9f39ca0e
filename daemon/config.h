/* config.h: what a person may set, from the command line, the environment and a file, in that order
 * of precedence; nothing has to be set.
 *
 * A flag `--store-limit SIZE` has a line `store-limit = SIZE` in the file and a twin
 * PRIMAD_STORE_LIMIT in the environment; one table row declares all three. */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include "base/fail.h"
#include "proto/id.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_PEERS_MAX 32
#define DEFAULT_PORT 47600

struct config {
	char state[PATH_MAX]; /* default /var/lib/primad (root) or $XDG_STATE_HOME/primad */
	char run[PATH_MAX];   /* default /run/primad (root) or $XDG_RUNTIME_DIR/primad */
	char listen[128];     /* ADDR:PORT; "" : all addresses, default port, then a remembered one */
	char http[128];       /* loopback ADDR:PORT; "" : off */
	char name[DEVICE_NAME_BYTES]; /* default: host name */
	char peers[CONFIG_PEERS_MAX][128];
	uint32_t n_peers;
	uint64_t memory_bytes;      /* 0: measured, see --help */
	uint32_t threads;           /* 0: as many as the process may use */
	uint32_t context;           /* positions per sequence, default 4096 */
	uint64_t store_limit_bytes; /* default 0: nine tenths of the free space */
	char cpu[16];               /* PRIMAD_CPU: "" or "c", "avx2" */
	char log_level[8];
	bool mdns;                  /* --mdns no: static peers only */
};

/* Fills defaults, then file, environment, arguments. Gives 0, 1 when help or version was printed,
 * negative with a sentence that names the flag, variable or line. */
int config_load(struct config *config, int argc, char **argv, struct fail *fail);

/* "1.5G", "300M", "4096": bytes. False when malformed. */
bool config_size(const char *text, uint64_t *bytes);

#endif
