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
#define CONFIG_FILE_BYTES_MAX 65536
#define DEFAULT_PORT 47600
#define DEFAULT_CONTEXT 4096

struct config {
	char state[PATH_MAX]; /* default /var/lib/primad (root) or $XDG_STATE_HOME/primad */
	char run[PATH_MAX];   /* default /run/primad (root) or $XDG_RUNTIME_DIR/primad */
	char listen[128];     /* ADDR:PORT; "" : all addresses, default port, then a remembered one */
	char http[128];       /* loopback ADDR:PORT; "" : off */
	char name[DEVICE_NAME_BYTES]; /* default: host name */
	char peers[CONFIG_PEERS_MAX][128]; /* each HOST:PORT or [IPV6]:PORT, the port filled in */
	uint32_t n_peers;
	uint64_t memory_bytes;      /* 0: measured, see --help */
	uint32_t threads;           /* 0: as many as the process may use */
	uint32_t context;           /* positions per sequence, default DEFAULT_CONTEXT */
	char kv_cache[512];         /* see kv_choice.h: of plans made here */
	uint64_t store_limit_bytes; /* default 0: nine tenths of the free space */
	char cpu[16];               /* PRIMAD_CPU: "" or a variant's name, see config.c */
	char log_level[8];          /* "error", "warn", "info", "debug" */
	bool mdns;                  /* --mdns no: static peers only */
	bool battery;               /* --battery yes: computes also while it runs on battery */
};

/* Fills defaults, then file, environment, arguments. Gives 0, 1 when help or version was printed,
 * negative with a sentence that names the flag, variable or line. */
int config_load(struct config *config, int argc, char **argv, struct fail *fail);

/* Defaults alone; a folder that no variable names stays "". */
void config_defaults(struct config *config);
/* One file's lines, over what `config` holds. `name` is how the sentences call the file. */
int config_parse(struct config *config, const char *name, const char *text, size_t size,
		 struct fail *fail);

/* "1.5G", "300M", "4096": bytes, in units of 1024. False when malformed or too large. */
bool config_size(const char *text, uint64_t *bytes);

/* "HOST:PORT" or "[IPV6]:PORT": checks the shape and takes it apart. A port that is left out is
 * `default_port`; 0 makes it required. False when malformed or too long for `host`. */
bool config_address(const char *text, char *host, size_t host_size, uint16_t default_port,
		    uint16_t *port);

/* The run directory of this user's daemon when nothing is set. False when it does not fit. */
bool config_default_run(char *path, size_t size);

#endif
