/* address.h: an IP address and a TCP port, as it is found, told to others, and dialled. */
#ifndef DISCOVERY_ADDRESS_H
#define DISCOVERY_ADDRESS_H

#include "base/buf.h"
#include "base/fail.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDRESS_TEXT_BYTES 80 /* "[fe80::1%interface]:47600" */
#define ADDRESSES_MAX      32 /* of one device; a longer list is cut */

struct address {
	uint8_t family;    /* 4 or 6 */
	uint8_t bytes[16]; /* network order; IPv4 in the first four, the rest zero */
	uint32_t scope;    /* interface index of an IPv6 link-local address here; 0: none */
	uint16_t port;     /* host order */
};

/* Near is what a daemon may dial: loopback, link-local, private (RFC 1918, RFC 4193, 100.64/10).
 * Static peers, which a person wrote down, may be anywhere. */
bool address_is_near(const struct address *address);
bool address_is_link_local(const struct address *address);
bool address_is_loopback(const struct address *address);
bool address_equal(const struct address *a, const struct address *b);

bool address_from_sockaddr(struct address *address, const struct sockaddr *from);
/* Fills the storage; gives its length for connect or bind. */
socklen_t address_to_sockaddr(const struct address *address, struct sockaddr_storage *to);
/* "192.168.1.7:47600", "[fe80::1%eth0]:47600"; gives `text`. */
const char *address_text(const struct address *address, char text[ADDRESS_TEXT_BYTES]);

/* The bytes of FACT_ADDRESSES. Scopes are not sent: they mean nothing elsewhere. Decoding refuses a
 * size that is no multiple, more than ADDRESSES_MAX, unknown families and port 0; gives the count
 * or a negative code. A link-local address decoded from a fact has scope 0 and cannot be dialled
 * before the interface is known. */
void addresses_encode(const struct address *addresses, uint32_t count, struct buf *out);
int addresses_decode(struct address addresses[ADDRESSES_MAX], const void *bytes, size_t size,
		     struct fail *fail);

/* Splits "host:port", "[v6]:port" or "host" (then `port_default`) into parts; false when malformed.
 */
bool address_split(const char *text, char *host, size_t host_size, uint16_t *port,
		   uint16_t port_default);

#endif
