/* mdns_service.h: the client of the system's mDNS service, one mdns_SERVICE.c per service (Avahi).
 * Inside of mdns.c, which gives it a thread of its own: a call may block until a service that hangs
 * is given up, and callbacks come on that thread. What the functions do is told in mdns.h. */
#ifndef DISCOVERY_MDNS_SERVICE_H
#define DISCOVERY_MDNS_SERVICE_H

#include "discovery/mdns.h"

struct mdns_service;

struct mdns_service *mdns_service_create(uv_loop_t *loop, const struct mdns_events *events,
					 void *context);
void mdns_service_destroy(struct mdns_service *service, void (*closed)(void *context),
			  void *context);
void mdns_service_publish(struct mdns_service *service, uint16_t port, const void *txt,
			  size_t txt_size);
const char *mdns_service_name(const struct mdns_service *service);

#endif
