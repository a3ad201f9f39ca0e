#include "daemon/origin.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

static bool port_or_end(const char *text)
{
	if (*text == 0)
		return true;
	const size_t digits = *text == ':' ? strspn(text + 1, "0123456789") : 0;
	return digits >= 1 && digits <= 5 && text[1 + digits] == 0;
}

bool origin_host_allowed(const char *host)
{
	static const char *const names[] = { "localhost", "127.0.0.1", "[::1]" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const size_t size = strlen(names[i]);
		if (strncasecmp(host, names[i], size) == 0 && port_or_end(host + size))
			return true;
	}
	return false;
}

bool origin_is_own(const char *origin, const char *host)
{
	static const char scheme[] = "http://";
	return strncasecmp(origin, scheme, sizeof(scheme) - 1) == 0 &&
	       strcasecmp(origin + sizeof(scheme) - 1, host) == 0 && origin_host_allowed(host);
}

bool origin_type_is_json(const char *content_type)
{
	static const char json[] = "application/json";
	const size_t size = sizeof(json) - 1;
	if (strncasecmp(content_type, json, size) != 0)
		return false;
	const char *rest = content_type + size + strspn(content_type + size, " \t");
	return *rest == 0 || *rest == ';';
}
