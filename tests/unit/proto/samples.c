#include "tests/unit/proto/samples.h"

#include "tests/unit/proto/home.h"

#include <string.h>

static void fill(uint8_t *bytes, size_t size, uint8_t first)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(first + i);
}

static struct device_id device(uint8_t first)
{
	struct device_id id;
	fill(id.bytes, ID_BYTES, first);
	return id;
}

static struct model_id model(void)
{
	struct model_id id;
	fill(id.bytes, ID_BYTES, 0x80);
	return id;
}

static struct epoch epoch(uint64_t counter)
{
	return (struct epoch){ counter, device(1) };
}

void sample_profile(struct profile *profile)
{
	*profile = (struct profile){
		.device = device(1), .name = "kitchen-pi", .version = 77, .numerics = 1, .cores = 4,
		.memory_total_bytes = 8ull << 30, .disk_bytes_per_s = 4.5e8,
		.power = POWER_BATTERY, .battery_use_allowed = true, .n_backends = 2, .n_links = 1,
	};
	profile->backends[0] = (struct profile_backend){
		.kind = BACKEND_KIND_CPU, .threads = 4, .memory_bytes = 4ull << 30,
		.reserve_bytes = 64 << 20, .layer_overhead_s = 2e-5, .kv_bytes_per_s = 1.25e10,
		.n_rates = 2, .rates = { { 12, 1, 9.5e9 }, { 12, 64, 1.5e9 } },
	};
	profile->backends[1] = (struct profile_backend){
		.kind = BACKEND_KIND_VULKAN, .threads = 1, .memory_bytes = 2ull << 30,
		.n_rates = 1, .rates = { { 14, 1, 3.25e10 } },
	};
	profile->links[0] = (struct profile_link){ device(2), LINK_WIRED, 0.0004, 0.002, 1.17e8 };
}

void sample_facts(struct model_facts *facts)
{
	memset(facts, 0, sizeof(*facts));
	facts->id = model();
	strcpy(facts->name, "gemma-3-270m-q4_k_m");
	strcpy(facts->family, "gemma3");
	facts->file_bytes = 300000000;
	facts->metadata_bytes = 6000000;
	facts->n_layers = 3;
	facts->n_embd = 640;
	facts->n_vocab = 262144;
	facts->context_max = 32768;
	facts->tied = true;
	facts->embedding = (struct unit_facts){ 178000000, 0, { { 0 } } };
	facts->output = (struct unit_facts){ 2560, 1, { { 8, 167772160 } } };
	for (uint32_t i = 0; i < facts->n_layers; i++) {
		facts->layers[i] = (struct unit_facts){ 4000000 + i, 2,
							{ { 12, 5000000 }, { 6, 600000 + i } } };
		facts->kv_bytes[i] = 1024 * (i + 1);
		facts->kv_windows[i] = 512 * i;
	}
	facts->kv_types = 5;
	facts->n_expert = 128;
	facts->n_expert_used = 8;
	facts->layers[1].types[0].chosen = 4000000;
	facts->state_bytes[1] = 2097152;
}

void sample_plan(struct plan *plan)
{
	static const struct {
		uint16_t first, end, round, device;
	} stages[] = { { 0, 2, 0, 1 }, { 2, 3, 0, 0 }, { 3, 4, 1, 1 }, { 4, 5, 1, 0 } };
	memset(plan, 0, sizeof(*plan));
	plan->epoch = epoch(9);
	plan->model = model();
	plan->numerics = 1;
	plan->context = 4096;
	plan->kv_positions = 16384;
	plan->chunk_rows = 64;
	plan->wire = WIRE_F32;
	plan->kv_type = KV_TYPE_Q8_0;
	plan->pinned = true;
	plan->rounds = 2;
	plan->head = 1;
	plan->n_devices = 3;
	plan->n_stages = 4;
	for (uint16_t i = 0; i < plan->n_devices; i++) {
		plan->devices[i] = (struct plan_device){
			.id = device((uint8_t)(1 + i)), .weight_bytes = 1000000u * i,
			.kv_bytes = 5000u * i, .budget_bytes = 2000000, .busy_s = 0.002,
			.hop_s = 0.0001, .disk_s = 0,
		};
		strcpy(plan->devices[i].name, i == 0 ? "desk" : i == 1 ? "kitchen-pi" : "tablet");
		strcpy(plan->devices[i].sentence, i < 2 ? "holds what fits" : "its link is slow");
	}
	plan->devices[0].n_layers = 2;
	plan->devices[1].n_layers = 3;
	for (uint16_t i = 0; i < plan->n_stages; i++)
		plan->stages[i] = (struct plan_stage){ stages[i].first, stages[i].end,
						       stages[i].round, 1,
						       { { stages[i].device, 1 } } };
	plan->first_token_s = 0.25;
	plan->token_s = 0.0125;
	strcpy(plan->limit, "memory traffic of desk");
}

const float sample_states[8] = { 0, -1.5f, 3.25e-5f, 65504, -0.0f, 1, 2, 3 };

void sample_flight(struct flight *flight)
{
	memset(flight, 0, sizeof(*flight));
	fill(flight->deployment, sizeof(flight->deployment), 0x80);
	flight->epoch = epoch(9);
	flight->id = 123456789012345ull;
	flight->generation = 4;
	flight->kind = FLIGHT_DECODE;
	flight->round = 1;
	flight->stage = 3;
	flight->priority = 2;
	flight->dtype = WIRE_F32;
	flight->n_rows = 2;
	flight->n_ops = 2;
	flight->n_embd = 4;
	flight->rows[0] = (struct flight_row){ 7, 100, UINT32_MAX, 0 };
	flight->rows[1] = (struct flight_row){ 7, 101, 0, FLIGHT_WANT_LOGITS };
	flight->ops[0] = (struct sequence_op){ SEQUENCE_FORK, 6, 7, 0 };
	flight->ops[1] = (struct sequence_op){ SEQUENCE_TRIM, 7, 0, 100 };
}

void sample_statement(struct statement *add)
{
	struct identity *founder = home_device(1), *joiner = home_device(2);
	struct statement before = { .kind = STATEMENT_ADD, .role = ROLE_ADMIN, .counter = 1,
				    .name = "desk" };
	fill(before.home, HOME_ID_BYTES, 0x10);
	before.subject = founder->keys;
	statement_sign(&before, founder);
	home_add(add, &before, founder, &joiner->keys, "K\u00fcche");
	add->role = ROLE_WORKER;
	statement_sign(add, founder); /* Ed25519 has no randomness: the same bytes each time */
	identity_destroy(founder);
	identity_destroy(joiner);
}

/* ---- messages ---- */

static void sample_hello(struct message_hello *hello)
{
	*hello = (struct message_hello){ .minor_min = 0, .minor_max = 3, .features = 1ull << 40,
					 .role = ROLE_WORKER, .numerics = 1,
					 .boot = 0x1122334455667788ull, .port = 47600,
					 .name = "kitchen-pi", .epoch = epoch(9) };
	fill(hello->roster_digest, ID_BYTES, 0x40);
}

static void sample_gossip(struct message_gossip *gossip)
{
	struct identity *origin = home_device(1);
	gossip->n_facts = 2;
	gossip->facts[0] = (struct fact){ .kind = FACT_LOAD, .key = 0, .version = 300, .size = 8,
					  .bytes = (const uint8_t *)"\1\0\0\0\2\0\0\0" };
	gossip->facts[1] = (struct fact){ .kind = FACT_KIND_MOST, .key = UINT64_MAX, .version = 1,
					  .size = 0 };
	fact_sign(&gossip->facts[0], origin);
	fact_sign(&gossip->facts[1], origin);
	identity_destroy(origin);
}

static void sample_roster(struct message_roster *roster)
{
	static uint8_t bytes[STATEMENT_BYTES];
	struct statement statement;
	sample_statement(&statement);
	statement_encode(&statement, bytes);
	roster->n_statements = 1;
	roster->statements = bytes;
}

static struct request_id request_id(void)
{
	return (struct request_id){ device(1), 0x1122334455667788ull, 12 };
}

static void sample_request(struct message_request *request)
{
	static const uint32_t tokens[] = { 2, 818, 5279, 262143 };
	*request = (struct message_request){
		.id = request_id(), .model = model(), .epoch = epoch(9),
		.sampler = { 0.75f, 40, 0.95f, 0.05f, 1.125f, 64, 42 },
		.max_tokens = 64, .chunk_rows = 16, .n_ends = 2, .ends = { 1, 106 },
		.n_tokens = 4, .tokens = tokens,
	};
}

static void sample_tokens(struct message_tokens *tokens)
{
	*tokens = (struct message_tokens){ .id = request_id(), .prompt_done = 4,
					   .first_position = 4, .n_tokens = 3,
					   .tokens = { 9, 300, 70000 } };
}

static void sample_request_end(struct message_request_end *end)
{
	*end = (struct message_request_end){
		.id = request_id(), .end = REQUEST_END_FAILED, .code = FAIL_LOST,
		.device = device(2), .reason = "kitchen-pi does not answer", .prompt_tokens = 4,
		.completion_tokens = 3, .prompt_s = 0.5, .decode_s = 0.25, .flights = 9,
		.bytes_sent = 123456, .flights_together_max = 2,
	};
}

static void sample_chunk(struct message_chunk *chunk)
{
	*chunk = (struct message_chunk){ .model = model(), .part = 1, .offset = 1ull << 33,
					 .size = 5, .bytes = (const uint8_t *)"bytes",
					 .reason = "" };
}

static void sample_promise(struct message_promise *promise)
{
	*promise = (struct message_promise){ epoch(9), false, epoch(10),
					     "a higher epoch was promised" };
}

static void sample_part_state(struct message_part_state *state)
{
	*state = (struct message_part_state){ epoch(9), PART_FAILED, 1000, 70000,
					      "the disk is full", FAIL_SPACE, model() };
}

void sample_message(struct message *message, enum message_type type)
{
	memset(message, 0, sizeof(*message));
	message->type = type;
	switch (type) {
	case MESSAGE_HELLO: sample_hello(&message->hello); break;
	case MESSAGE_CLOSE: strcpy(message->close.reason, "stopping"); break;
	case MESSAGE_PING:
	case MESSAGE_PONG:
		message->ping = (struct message_ping){ 5, 6, -1234567890123, epoch(9) };
		break;
	case MESSAGE_PROBE:
	case MESSAGE_PROBE_RESULT:
		message->probe = (struct message_probe){ 5, device(2), true };
		break;
	case MESSAGE_ROSTER: sample_roster(&message->roster); break;
	case MESSAGE_GOSSIP: sample_gossip(&message->gossip); break;
	case MESSAGE_DIGEST:
		message->digest.n_facts = 1;
		message->digest.facts[0] = (struct fact){ .origin = device(3), .kind = FACT_MODEL,
							  .key = 8, .version = 9 };
		break;
	case MESSAGE_DEPLOY:
		message->deploy = (struct message_deploy){ model(), 4096, true };
		break;
	case MESSAGE_PREPARE: sample_plan(&message->prepare.plan); break;
	case MESSAGE_PROMISE: sample_promise(&message->promise); break;
	case MESSAGE_COMMIT: message->commit.epoch = epoch(9); break;
	case MESSAGE_PART_STATE: sample_part_state(&message->part_state); break;
	case MESSAGE_REQUEST: sample_request(&message->request); break;
	case MESSAGE_TOKENS: sample_tokens(&message->tokens); break;
	case MESSAGE_REQUEST_END: sample_request_end(&message->request_end); break;
	case MESSAGE_CANCEL: message->cancel.id = request_id(); break;
	case MESSAGE_LEAVING: message->leaving.reason = LEAVING_HOME; break;
	case MESSAGE_FETCH:
		message->fetch = (struct message_fetch){ model(), 1, 1ull << 33,
							 MODEL_CHUNK_BYTES };
		break;
	case MESSAGE_CHUNK: sample_chunk(&message->chunk); break;
	case MESSAGE_CREDIT: message->credit.flights = 3; break;
	case MESSAGE_FLIGHT:
	case MESSAGE_TYPES: break;
	}
}
