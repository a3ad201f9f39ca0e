#include "discovery/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESS_FACT_BYTES 23 /* u8 family, 16 bytes, u32 scope, u16 port */

static bool prefix_matches(const uint8_t *bytes, const uint8_t *prefix, uint32_t bits)
{
	const uint32_t whole = bits / 8;
	if (memcmp(bytes, prefix, whole) != 0)
		return false;
	const uint8_t mask = (uint8_t)(0xff00u >> (bits % 8));
	return bits % 8 == 0 || ((bytes[whole] ^ prefix[whole]) & mask) == 0;
}

bool address_is_loopback(const struct address *address)
{
	static const uint8_t v6[16] = { [15] = 1 };
	return address->family == 4 ? address->bytes[0] == 127
				    : memcmp(address->bytes, v6, 16) == 0;
}

bool address_is_link_local(const struct address *address)
{
	static const uint8_t v4[] = { 169, 254 };
	static const uint8_t v6[] = { 0xfe, 0x80 };
	return address->family == 4 ? prefix_matches(address->bytes, v4, 16)
				    : prefix_matches(address->bytes, v6, 10);
}

/* The private ranges of RFC 1918, the shared one of RFC 6598, and RFC 4193. */
static bool address_is_private(const struct address *address)
{
	static const struct {
		uint8_t family;
		uint8_t prefix[2];
		uint32_t bits;
	} ranges[] = { { 4, { 10, 0 }, 8 },
		       { 4, { 172, 16 }, 12 },
		       { 4, { 192, 168 }, 16 },
		       { 4, { 100, 64 }, 10 },
		       { 6, { 0xfc, 0 }, 7 } };
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (ranges[i].family == address->family &&
		    prefix_matches(address->bytes, ranges[i].prefix, ranges[i].bits))
			return true;
	return false;
}

bool address_is_near(const struct address *address)
{
	return address_is_loopback(address) || address_is_link_local(address) ||
	       address_is_private(address);
}

bool address_equal(const struct address *a, const struct address *b)
{
	return a->family == b->family && a->port == b->port && a->scope == b->scope &&
	       memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool address_from_sockaddr(struct address *address, const struct sockaddr *from)
{
	memset(address, 0, sizeof(*address));
	if (from->sa_family == AF_INET) {
		struct sockaddr_in v4;
		memcpy(&v4, from, sizeof(v4));
		address->family = 4;
		memcpy(address->bytes, &v4.sin_addr, 4);
		address->port = ntohs(v4.sin_port);
		return true;
	}
	if (from->sa_family != AF_INET6)
		return false;
	struct sockaddr_in6 v6;
	memcpy(&v6, from, sizeof(v6));
	address->port = ntohs(v6.sin6_port);
	if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) { /* a dual-stack socket shows IPv4 so */
		address->family = 4;
		memcpy(address->bytes, v6.sin6_addr.s6_addr + 12, 4);
		return true;
	}
	address->family = 6;
	memcpy(address->bytes, &v6.sin6_addr, 16);
	if (address_is_link_local(address))
		address->scope = v6.sin6_scope_id;
	return true;
}

socklen_t address_to_sockaddr(const struct address *address, struct sockaddr_storage *to)
{
	memset(to, 0, sizeof(*to));
	if (address->family == 4) {
		struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(address->port) };
		memcpy(&v4.sin_addr, address->bytes, 4);
		memcpy(to, &v4, sizeof(v4));
		return sizeof(v4);
	}
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
				   .sin6_port = htons(address->port),
				   .sin6_scope_id = address->scope };
	memcpy(&v6.sin6_addr, address->bytes, 16);
	memcpy(to, &v6, sizeof(v6));
	return sizeof(v6);
}

const char *address_text(const struct address *address, char text[ADDRESS_TEXT_BYTES])
{
	char ip[INET6_ADDRSTRLEN] = "?";
	char scope[IF_NAMESIZE + 1] = "";
	inet_ntop(address->family == 4 ? AF_INET : AF_INET6, address->bytes, ip, sizeof(ip));
	if (address->scope != 0) {
		char name[IF_NAMESIZE];
		if (if_indextoname(address->scope, name))
			snprintf(scope, sizeof(scope), "%%%s", name);
		else
			snprintf(scope, sizeof(scope), "%%%u", address->scope);
	}
	const char *form = address->family == 4 ? "%s%s:%u" : "[%s%s]:%u";
	snprintf(text, ADDRESS_TEXT_BYTES, form, ip, scope, address->port);
	return text;
}

void addresses_encode(const struct address *addresses, uint32_t count, struct buf *out)
{
	for (uint32_t i = 0; i < count && i < ADDRESSES_MAX; i++) {
		buf_u8(out, addresses[i].family);
		buf_append(out, addresses[i].bytes, sizeof(addresses[i].bytes));
		buf_u32(out, 0);
		buf_u16(out, addresses[i].port);
	}
}

int addresses_decode(struct address addresses[ADDRESSES_MAX], const void *bytes, size_t size,
		     struct fail *fail)
{
	if (size % ADDRESS_FACT_BYTES != 0 || size / ADDRESS_FACT_BYTES > ADDRESSES_MAX)
		return fail_set(fail, FAIL_INVALID, "a list of addresses has %zu bytes", size);
	const int count = (int)(size / ADDRESS_FACT_BYTES);
	struct reader reader;
	reader_init(&reader, bytes, size);
	for (int i = 0; i < count; i++) {
		struct address *at = &addresses[i];
		memset(at, 0, sizeof(*at));
		at->family = reader_u8(&reader);
		reader_copy(&reader, at->bytes, sizeof(at->bytes));
		reader_u32(&reader); /* the sender's scope means nothing here */
		at->port = reader_u16(&reader);
		if ((at->family != 4 && at->family != 6) || at->port == 0)
			return fail_set(fail, FAIL_INVALID,
					"address %d of a list has family %u and port %u", i,
					at->family, at->port);
	}
	return count;
}

static bool parse_port(const char *text, uint16_t *port)
{
	unsigned value = 0;
	if (*text == '\0')
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (unsigned)(*text - '0');
		if (value > 65535)
			return false;
	}
	*port = (uint16_t)value;
	return value != 0;
}

bool address_split(const char *text, char *host, size_t host_size, uint16_t *port,
		   uint16_t port_default)
{
	const char *end = text + strlen(text);
	const char *colon;
	if (*text == '[') {
		text++;
		end = strchr(text, ']');
		if (!end || (end[1] != '\0' && end[1] != ':'))
			return false;
		colon = end[1] == ':' ? end + 1 : NULL;
	} else {
		colon = strchr(text, ':');
		if (colon && strchr(colon + 1, ':')) /* a bare IPv6 address */
			colon = NULL;
		else if (colon)
			end = colon;
	}
	const size_t length = (size_t)(end - text);
	if (length == 0 || length >= host_size)
		return false;
	memcpy(host, text, length);
	host[length] = '\0';
	*port = port_default;
	return colon ? parse_port(colon + 1, port) : port_default != 0;
}
