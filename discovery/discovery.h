/* discovery.h: who is near, who belongs to the home, and how they are. The front door.
 *
 * address.h     IP addresses as they travel and as they are dialled
 * finder.h      announces this device and finds others: mDNS through Avahi, and static peers
 * machine.h     facts about this machine: cores, memory and its limits, power, interfaces
 * roster.h      who is a member: a set of signed statements (pure)
 * membership.h  which members are alive (pure)
 * gossip.h      versioned, signed facts that every member tells about itself (pure) */
#ifndef DISCOVERY_DISCOVERY_H
#define DISCOVERY_DISCOVERY_H

#include "discovery/address.h"
#include "discovery/finder.h"
#include "discovery/gossip.h"
#include "discovery/machine.h"
#include "discovery/membership.h"
#include "discovery/roster.h"

#endif
