/* Any settings file: refused with a sentence, or settings within bounds. */
#include "daemon/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config defaults, config;
	struct fail fail = { 0 };
	if (!defaults.context)
		config_defaults(&defaults);
	config = defaults;
	if (config_parse(&config, "f", (const char *)data, size, &fail) < 0) {
		if (fail.code == FAIL_NONE || strncmp(fail.text, "f ", 2) != 0)
			abort();
		return 0;
	}
	if (config.context < 16 || config.n_peers > CONFIG_PEERS_MAX || config.threads > 1024 ||
	    !memchr(config.name, 0, sizeof(config.name)) ||
	    !memchr(config.state, 0, sizeof(config.state)))
		abort();
	return 0;
}
