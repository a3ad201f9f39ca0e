/* What connections need to know of this home, and say of it (link.h, struct link_host). */
#include "base/log.h"
#include "daemon/node_inside.h"

#include <string.h>

static enum handshake_verdict look_up(void *context, const uint8_t x_pk[KEY_BYTES],
				      const uint8_t *statements, uint32_t n,
				      struct device_keys *peer, uint8_t notice[STATEMENT_BYTES])
{
	struct node *node = context;
	bool changed = false;
	struct fail why;
	const struct member *member = roster_find_x(node->home->roster, x_pk);
	const uint8_t *removed = roster_notice(node->home->roster, x_pk);
	if (!member && removed) {
		memcpy(notice, removed, STATEMENT_BYTES);
		return HANDSHAKE_REMOVED;
	}
	if (!member)
		member = roster_admit(node->home->roster, x_pk, statements, n, &changed);
	if (!member)
		return HANDSHAKE_STRANGER;
	*peer = member->keys;
	if (changed) {
		if (home_save_roster(node->home, &why) != 0)
			log_error("node", "the roster could not be saved reason=\"%s\"", why.text);
		peers_roster_changed(node->peers);
	}
	return HANDSHAKE_MEMBER;
}

static bool hinted(void *context, const uint8_t preamble[PREAMBLE_BYTES], struct device_keys *keys)
{
	const struct node *node = context;
	const struct roster *roster = node->home->roster;
	for (uint32_t i = 0; i < roster_count(roster); i++) {
		const struct member *member = roster_at(roster, i);
		if (preamble_hints(preamble, node->host.home, &member->keys.id)) {
			*keys = member->keys;
			return true;
		}
	}
	return false;
}

static uint32_t credentials(void *context, uint8_t *statements)
{
	const struct node *node = context;
	return roster_credentials(node->home->roster, home_self(node->home), statements,
				  HANDSHAKE_STATEMENTS_MAX);
}

static void fill_hello(void *context, enum connection_kind kind, struct message_hello *hello)
{
	const struct node *node = context;
	const struct member *self = roster_find(node->home->roster, home_self(node->home));
	*hello = (struct message_hello){
		.minor_min = PROTOCOL_MINOR_MIN,
		.minor_max = PROTOCOL_MINOR_MAX,
		.role = self ? (uint8_t)self->role : ROLE_CLIENT,
		.numerics = NUMERICS_VERSION,
		.boot = node->boot,
		.port = door_port(node->door),
	};
	memcpy(hello->name, node->home->name, sizeof(hello->name));
	roster_digest(node->home->roster, hello->roster_digest);
	if (node->deployment)
		hello->epoch = kind == CONNECTION_RING ? deployment_served(node->deployment)
						       : deployment_epoch(node->deployment);
}

static void on_removed_notice(void *context, const uint8_t *statement)
{
	struct node *node = context;
	bool changed = false;
	struct fail why;
	roster_merge(node->home->roster, statement, 1, &changed, NULL, &why);
	if (changed && roster_is_removed(node->home->roster, home_self(node->home)))
		node_was_removed(node);
}

void node_fill_host(struct node *node)
{
	node->host = (struct link_host){ .loop = node->loop,
					 .lookup = look_up,
					 .hinted = hinted,
					 .statements = credentials,
					 .removed = on_removed_notice,
					 .hello = fill_hello,
					 .context = node };
}
