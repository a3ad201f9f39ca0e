#include "daemon/whereabouts.h"

void whereabouts_tell(struct peers *peers, uint16_t port)
{
	struct machine_interface interfaces[MACHINE_INTERFACES_MAX];
	struct address addresses[ADDRESSES_MAX];
	struct buf bytes;
	uint32_t n = 0;
	const uint32_t count = machine_interfaces(interfaces, "");
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t j = 0; j < interfaces[i].n_addresses && n < ADDRESSES_MAX; j++) {
			if (interfaces[i].medium == LINK_LOOPBACK)
				continue;
			addresses[n] = interfaces[i].addresses[j];
			addresses[n++].port = port;
		}
	if (n == 0)
		return; /* unplugged: where we were is the best guess where we will be */
	buf_init(&bytes);
	addresses_encode(addresses, n, &bytes);
	if (!bytes.failed)
		peers_tell(peers, FACT_ADDRESSES, 0, bytes.data, bytes.size);
	buf_finish(&bytes);
}
