/* avahi_poll.h: lets the Avahi client run on a libuv loop. Loop thread only. */
#ifndef DISCOVERY_AVAHI_POLL_H
#define DISCOVERY_AVAHI_POLL_H

#include <avahi-common/watch.h>
#include <uv.h>

struct avahi_poll;

struct avahi_poll *avahi_poll_create(uv_loop_t *loop); /* gives; NULL without memory */
/* What avahi_client_new wants; lives as long as the adapter. */
const AvahiPoll *avahi_poll_api(struct avahi_poll *poll);
/* Call after the last Avahi client on it is freed. `closed` is called from the loop when no handle
 * of the adapter is left on it. Takes the adapter. */
void avahi_poll_destroy(struct avahi_poll *poll, void (*closed)(void *context), void *context);

#endif
