/* Inviting, joining, leaving, removing: what a person does to the home (node.h). */
#include "daemon/node_inside.h"

#include "base/log.h"
#include "daemon/timer.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_MS 400 /* between looks for a home that invites */
#define LOOKS 15
#define SAY_GOODBYE_MS 400 /* for the statement to reach the others before connections close */

/* ---- inviting ---- */

int node_invite(struct node *node, const char *role, json_t **result, struct fail *fail)
{
	static const char *const names[] = { "admin", "worker", "client" };
	char code[PAIRING_CODE_BYTES];
	int found = -1;
	for (int i = 0; i < 3; i++)
		if (strcmp(role ? role : "admin", names[i]) == 0)
			found = i;
	if (found < 0)
		return fail_set(fail, FAIL_INVALID,
				"there is no role \"%s\": use admin, worker or client", role);
	if (!node->pair)
		return fail_set(fail, FAIL_BUSY, "this device is changing its home; try again");
	const int error = pair_invite(node->pair, (enum device_role)found, code, fail);
	if (error)
		return error;
	*result = json_pack("{s:i, s:s, s:i, s:s, s:s}", "schema", NODE_SCHEMA, "code", code,
			    "seconds", (int)(pair_invite_left_ms(node->pair) / 1000), "home",
			    node->home->label, "role", names[found]);
	return 0;
}

void node_invite_close(struct node *node)
{
	if (node->pair)
		pair_invite_close(node->pair);
}

/* ---- homes that invite ---- */

static void add_home(void *context, const struct finding *finding)
{
	char text[ADDRESS_TEXT_BYTES];
	if (finding->pairing && !finding->is_member && finding->n_addresses > 0)
		json_array_append_new(
			context, json_pack("{s:s, s:s}", "label", finding->label, "address",
					   address_text(&finding->addresses[0], text)));
}

json_t *node_homes(struct node *node)
{
	json_t *homes = json_array();
	finder_each(node->finder, add_home, homes);
	return json_pack("{s:i, s:o}", "schema", NODE_SCHEMA, "homes", homes);
}

/* ---- joining ---- */

struct joining {
	struct node *node;
	uv_getaddrinfo_t lookup;
	char code[16];
	char wanted[FINDER_KEY_BYTES];
	struct address addresses[ADDRESSES_MAX * 2]; /* of the home, tried one after another */
	uint32_t n_addresses, next;
	uint32_t n_homes;
	uv_timer_t *timer; /* looks again: an announcement takes a moment to get here */
	uint32_t looks_left;
	node_answer *answer;
	void *context;
};

static void end_join(struct joining *joining, json_t *result, const struct fail *fail)
{
	timer_free(joining->timer);
	joining->answer(joining->context, result, fail);
	free(joining);
}

static void try_next(struct joining *joining);

static void on_joined(void *context, const struct pairing_welcome *welcome, const struct fail *why)
{
	struct joining *joining = context;
	struct node *node = joining->node;
	struct fail own;
	if (!welcome && why && why->code == FAIL_LOST && joining->next < joining->n_addresses) {
		try_next(joining); /* not reached there: the code was not tried */
		return;
	}
	if (!welcome) {
		end_join(joining, NULL, why);
		return;
	}
	if (home_adopt(node->home, welcome, &own) != 0) {
		end_join(joining, NULL, &own);
		return;
	}
	home_remember(node->home, NULL, &joining->addresses[joining->next - 1]);
	log_info("node", "joined home=\"%s\"", node->home->label);
	node_replace_home(node, false, LEAVING_HOME, 0);
	end_join(joining,
		 json_pack("{s:i, s:s, s:i}", "schema", NODE_SCHEMA, "home", node->home->label,
			   "members", (int)roster_count(node->home->roster)),
		 NULL);
}

static void try_next(struct joining *joining)
{
	struct fail why;
	struct sockaddr_storage address;
	fail_set(&why, FAIL_NOT_FOUND, "no address of that home can be dialled");
	while (joining->next < joining->n_addresses) {
		address_to_sockaddr(&joining->addresses[joining->next++], &address);
		if (pair_join(joining->node->pair, (const struct sockaddr *)&address, joining->code,
			      on_joined, joining, &why) == 0)
			return;
	}
	end_join(joining, NULL, &why);
}

static void pick_home(void *context, const struct finding *finding)
{
	struct joining *joining = context;
	char text[ADDRESS_TEXT_BYTES];
	if (!finding->pairing || finding->is_member)
		return;
	bool wanted = joining->wanted[0] == 0 || strcmp(joining->wanted, finding->label) == 0;
	for (uint32_t i = 0; i < finding->n_addresses && !wanted; i++)
		wanted = strcmp(joining->wanted, address_text(&finding->addresses[i], text)) == 0;
	if (!wanted)
		return;
	joining->n_homes++;
	joining->n_addresses = finding->n_addresses;
	memcpy(joining->addresses, finding->addresses,
	       finding->n_addresses * sizeof(finding->addresses[0]));
}

static void on_looked_up(uv_getaddrinfo_t *lookup, int status, struct addrinfo *found)
{
	struct joining *joining = lookup->data;
	struct fail why;
	for (const struct addrinfo *at = found; at && joining->n_addresses < ADDRESSES_MAX;
	     at = at->ai_next)
		if (address_from_sockaddr(&joining->addresses[joining->n_addresses], at->ai_addr))
			joining->n_addresses++;
	uv_freeaddrinfo(found);
	if (joining->node->pair && joining->n_addresses > 0) {
		try_next(joining);
		return;
	}
	fail_set(&why, FAIL_NOT_FOUND, "%s: %s", joining->wanted,
		 status ? uv_strerror(status) : "no address");
	end_join(joining, NULL, &why);
}

static bool look_up_host(struct joining *joining)
{
	char host[128], service[8];
	uint16_t port;
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	if (!address_split(joining->wanted, host, sizeof(host), &port, DEFAULT_PORT))
		return false;
	snprintf(service, sizeof(service), "%u", port);
	joining->lookup.data = joining;
	return uv_getaddrinfo(joining->node->loop, &joining->lookup, on_looked_up, host, service,
			      &hints) == 0;
}

static void on_look(uv_timer_t *timer);

/* Finds the home among those that invite; waits a little for one to be seen. */
static void look_around(struct joining *joining)
{
	struct fail why;
	joining->n_homes = joining->n_addresses = 0;
	if (!joining->node->pair) {
		fail_set(&why, FAIL_CANCELLED, "primad is stopping");
		end_join(joining, NULL, &why);
		return;
	}
	finder_each(joining->node->finder, pick_home, joining);
	if (joining->n_homes == 1) {
		try_next(joining);
		return;
	}
	if (joining->n_homes == 0 && joining->wanted[0] && look_up_host(joining))
		return;
	if (joining->n_homes == 0 && joining->looks_left-- > 0) {
		uv_timer_start(joining->timer, on_look, LOOK_MS, 0);
		return;
	}
	if (joining->n_homes > 1)
		fail_set(&why, FAIL_INVALID,
			 "%u homes invite at this moment: say which one (`primactl join HOME`)",
			 joining->n_homes);
	else
		fail_set(&why, FAIL_NOT_FOUND,
			 "no home that invites was found: run `primactl invite` on a member, or give "
			 "its address (`primactl join HOST:PORT`)");
	end_join(joining, NULL, &why);
}

static void on_look(uv_timer_t *timer)
{
	look_around(timer->data);
}

static void on_no_memory(struct joining *joining)
{
	struct fail why;
	fail_set(&why, FAIL_MEMORY, "no memory to join");
	end_join(joining, NULL, &why);
}

static int check_join(struct joining *joining, struct fail *fail)
{
	struct node *node = joining->node;
	char digits[PAIRING_CODE_BYTES];
	if (!node->pair || node->replacing)
		return fail_set(fail, FAIL_BUSY, "this device is changing its home; try again");
	if (!home_is_alone(node->home))
		return fail_set(fail, FAIL_INVALID,
				"this device belongs to the home \"%s\" already: run `primactl leave` "
				"first",
				node->home->label);
	if (!pairing_code_read(digits, joining->code))
		return fail_set(fail, FAIL_INVALID, "the code has six digits");
	return 0;
}

void node_join(struct node *node, const char *home, const char *code, node_answer *answer,
	       void *context)
{
	struct fail why;
	struct joining *joining = calloc(1, sizeof(*joining));
	if (!joining) {
		fail_set(&why, FAIL_MEMORY, "no memory to join");
		answer(context, NULL, &why);
		return;
	}
	joining->node = node;
	joining->answer = answer;
	joining->context = context;
	snprintf(joining->code, sizeof(joining->code), "%s", code);
	snprintf(joining->wanted, sizeof(joining->wanted), "%s", home ? home : "");
	if (check_join(joining, &why) != 0) {
		end_join(joining, NULL, &why);
		return;
	}
	joining->looks_left = LOOKS;
	joining->timer = timer_make(node->loop, joining);
	if (joining->timer)
		look_around(joining);
	else
		on_no_memory(joining);
}

/* ---- leaving and removing ---- */

int node_leave(struct node *node, json_t **result, struct fail *fail)
{
	if (!node->peers || node->replacing)
		return fail_set(fail, FAIL_BUSY, "this device is changing its home; try again");
	if (home_is_alone(node->home))
		return fail_set(fail, FAIL_INVALID, "this device is a home of its own already");
	*result = json_pack("{s:i, s:s}", "schema", NODE_SCHEMA, "left", node->home->label);
	if (roster_remove(node->home->roster, node->home->identity, home_self(node->home), fail) != 0)
		return -(int)fail->code;
	peers_roster_changed(node->peers);
	node_replace_home(node, true, LEAVING_HOME, SAY_GOODBYE_MS);
	return 0;
}

static const struct member *find_member(const struct home *home, const char *name, uint32_t *count)
{
	const struct member *found = NULL;
	char text[ID_HEX_BYTES];
	*count = 0;
	for (uint32_t i = 0; i < roster_count(home->roster); i++) {
		const struct member *member = roster_at(home->roster, i);
		if (strcmp(id_hex(member->keys.id.bytes, text), name) == 0 ||
		    strcmp(id_text(member->keys.id.bytes, text), name) == 0 ||
		    strcmp(member->name, name) == 0) {
			found = member;
			(*count)++;
		}
	}
	return found;
}

int node_remove(struct node *node, const char *device, json_t **result, struct fail *fail)
{
	uint32_t count;
	if (!node->peers || node->replacing)
		return fail_set(fail, FAIL_BUSY, "this device is changing its home; try again");
	const struct member *member = find_member(node->home, device, &count);
	if (!member)
		return fail_set(fail, FAIL_NOT_FOUND,
				"no member is called \"%s\": `primactl status` lists them", device);
	if (count > 1)
		return fail_set(fail, FAIL_INVALID,
				"%u members are called \"%s\": give the id instead", count, device);
	if (device_id_equal(&member->keys.id, home_self(node->home)))
		return fail_set(fail, FAIL_INVALID, "that is this device: run `primactl leave`");
	*result = json_pack("{s:i, s:s}", "schema", NODE_SCHEMA, "removed", member->name);
	const struct device_id id = member->keys.id;
	int error = roster_remove(node->home->roster, node->home->identity, &id, fail);
	if (!error)
		error = home_save_roster(node->home, fail);
	if (!error)
		node_roster_changed(node);
	return error;
}
