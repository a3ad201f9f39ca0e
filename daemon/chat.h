/* chat.h: a conversation as its model's template writes it. */
#ifndef DAEMON_CHAT_H
#define DAEMON_CHAT_H

#include "compute/compute.h"

#include <jansson.h>

/* JSON as a value for templates. What people wrote is not trusted with special tokens; the roles
 * that everybody knows ("user", "tool") are, since templates spell tokens with them. Objects and
 * lists within one another beyond a bound are lost, as if memory were short. */
struct template_value *chat_value(struct template_values *values, const json_t *json);

#endif
