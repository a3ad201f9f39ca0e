/* origin.h: may this request have come from a web page? Pure checks of the Host and Origin headers
 * for loopback TCP, where any page in the owner's browser can send requests: a page of another site
 * shows itself by its Origin, and one that rebound its own name to 127.0.0.1 by its Host. */
#ifndef DAEMON_ORIGIN_H
#define DAEMON_ORIGIN_H

#include <stdbool.h>

/* True for localhost, 127.0.0.1 and [::1], each with or without a port. */
bool origin_host_allowed(const char *host);

/* True when `origin` is the page's own, that is "http://" before exactly this (allowed) host. */
bool origin_is_own(const char *origin, const char *host);

/* True for "application/json" with or without parameters: what no HTML form can send. */
bool origin_type_is_json(const char *content_type);

#endif
