/* What may keep this device from answering, told apart, with what to do (node.h). */
#include "daemon/node_inside.h"

#include <stdlib.h>
#include <string.h>

static void add(json_t *checks, const char *name, bool ok, const char *text, const char *advice)
{
	json_array_append_new(checks, json_pack("{s:s, s:b, s:s, s:s}", "name", name, "ok", ok,
						"text", text, "advice", ok ? "" : advice));
}

static void count_finding(void *context, const struct finding *finding)
{
	if (!finding->is_static)
		++*(uint32_t *)context;
}

static void check_discovery(const struct node *node, json_t *checks)
{
	const enum finder_state state = finder_state(node->finder);
	uint32_t found = 0;
	add(checks, "avahi", state == FINDER_STATE_ANNOUNCED || state == FINDER_STATE_OFF,
	    finder_sentence(node->finder),
	    "install and start avahi-daemon, or name the other devices with --peers HOST:PORT");
	if (state != FINDER_STATE_ANNOUNCED)
		return;
	finder_each(node->finder, count_finding, &found);
	char text[160];
	snprintf(text, sizeof(text), "%u devices that run primad are seen by multicast", found);
	add(checks, "multicast", found > 0 || home_is_alone(node->home), text,
	    "if others run, the network blocks multicast (guest Wi-Fi, client isolation, a firewall "
	    "on UDP 5353): allow it, or name them with --peers HOST:PORT");
}

static void check_members(const struct node *node, json_t *checks)
{
	const struct roster *roster = node->home->roster;
	char text[400];
	add(checks, "home", true,
	    home_is_alone(node->home) ? "this device is a home of its own; to use more devices, run "
					"`primactl invite` here and `primactl join` there"
				      : "this device belongs to a home",
	    "");
	for (uint32_t i = 0; i < roster_count(roster); i++) {
		const struct member *member = roster_at(roster, i);
		if (device_id_equal(&member->keys.id, home_self(node->home)))
			continue;
		const struct message_hello *hello = peers_hello(node->peers, &member->keys.id);
		snprintf(text, sizeof(text), "%s is %s", member->name,
			 liveness_name(membership_liveness(peers_membership(node->peers),
							   &member->keys.id)));
		add(checks, "member", hello != NULL, text,
		    "is it switched on, on this network, and is primad running there?");
		if (hello && hello->numerics != NUMERICS_VERSION) {
			snprintf(text, sizeof(text), "%s computes by numerics %u, this device by %u",
				 member->name, hello->numerics, NUMERICS_VERSION);
			add(checks, "numerics", false, text,
			    "upgrade the older one: devices of different numerics never share a plan");
		}
	}
}

static void check_machine(const struct node *node, json_t *checks)
{
	char text[400], isa[120];
	const bool fma = (node->machine.isa & (MACHINE_ISA_FMA | MACHINE_ISA_NEON)) != 0;
	snprintf(text, sizeof(text), "%s; this processor has %s", backend_name(node->backend),
		 machine_isa_text(node->machine.isa, isa, sizeof(isa)));
	add(checks, "processor", fma, text,
	    "without fused multiply-add this device cannot compute: give it the role client");
	snprintf(text, sizeof(text), "%llu MiB may be used (%s)",
		 (unsigned long long)(atomic_load(&node->account.limit_bytes) >> 20),
		 node->config.memory_bytes ? "set by --memory" : node->budget_rule);
	add(checks, "memory", atomic_load(&node->account.limit_bytes) > (64u << 20), text,
	    "set --memory, close other programs, or give the device the role client");
}

static void check_port(const struct node *node, json_t *checks)
{
	char text[160];
	const uint16_t port = door_port(node->door);
	const bool usual = node->config.listen[0] || port == DEFAULT_PORT;
	snprintf(text, sizeof(text), "listening on port %u%s", port,
		 usual ? "" : " because the usual one was in use");
	add(checks, "port", true, text, "");
}

static void check_models(const struct node *node, json_t *checks)
{
	struct fail why;
	struct model_id id;
	const bool any = models_resolve(node->models, NULL, &id, &why) || why.code != FAIL_NOT_FOUND;
	add(checks, "models", any, any ? "there is a model in the home" : why.text,
	    "run `primactl model add FILE.gguf` on the device that has the file");
}

json_t *node_doctor(struct node *node)
{
	json_t *checks = json_array();
	check_discovery(node, checks);
	check_port(node, checks);
	if (node->peers)
		check_members(node, checks);
	check_machine(node, checks);
	if (node->models)
		check_models(node, checks);
	return json_pack("{s:i, s:o}", "schema", NODE_SCHEMA, "checks", checks);
}
