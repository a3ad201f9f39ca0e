/* whereabouts.h: tells the home under which addresses this device can be dialled. */
#ifndef DAEMON_WHEREABOUTS_H
#define DAEMON_WHEREABOUTS_H

#include "daemon/peers.h"

#include <stdint.h>

void whereabouts_tell(struct peers *peers, uint16_t port);

#endif
