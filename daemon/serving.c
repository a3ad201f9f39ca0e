#include "daemon/serving.h"

#include "base/list.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READS_MAX 16 /* of one connection at once; a peer that asks for more breaks the protocol */

struct serving {
	const struct link_host *host;
	struct store *store;
	struct list customers;
	uint64_t bytes;
	struct message message;
};

struct customer {
	struct list entry;
	struct serving *serving;
	struct link *link; /* NULL once it closed */
	uint32_t reads;    /* on workers; the customer is freed with the last */
};

struct reading {
	uv_work_t work;
	struct customer *customer;
	struct message_fetch fetch;
	struct buf bytes;
	struct fail why;
	int result;
};

static void customer_release(struct customer *customer)
{
	if (customer->link || customer->reads > 0)
		return;
	list_remove(&customer->entry);
	free(customer);
}

static void read_manifest(struct reading *reading)
{
	struct buf whole;
	const struct message_fetch *fetch = &reading->fetch;
	buf_init(&whole);
	reading->result = store_manifest(reading->customer->serving->store, &fetch->model, &whole,
					 &reading->why);
	if (reading->result == 0 && fetch->offset < whole.size) {
		const size_t left = whole.size - fetch->offset;
		buf_append(&reading->bytes, whole.data + fetch->offset,
			   left < fetch->size ? left : fetch->size);
	}
	buf_finish(&whole);
}

static void read_on_worker(uv_work_t *work)
{
	struct reading *reading = work->data;
	const struct message_fetch *fetch = &reading->fetch;
	if (fetch->part == FETCH_PART_MANIFEST) {
		read_manifest(reading);
		return;
	}
	uint8_t *to = buf_extend(&reading->bytes, fetch->size);
	if (fetch->part == FETCH_PART_PROBE && to) {
		memset(to, 0, fetch->size); /* sealed it is as good as anything */
		reading->result = 0;
		return;
	}
	reading->result = to ? store_read(reading->customer->serving->store, &fetch->model,
					  fetch->offset, fetch->size, to, &reading->why)
			     : fail_set(&reading->why, FAIL_MEMORY, "no memory to read a chunk");
}

static void on_read(uv_work_t *work, int status)
{
	struct reading *reading = work->data;
	struct customer *customer = reading->customer;
	struct serving *serving = customer->serving;
	customer->reads--;
	if (customer->link) {
		struct message *message = &serving->message;
		message->type = MESSAGE_CHUNK;
		message->chunk = (struct message_chunk){ .model = reading->fetch.model,
							 .part = reading->fetch.part,
							 .offset = reading->fetch.offset };
		if (reading->result == 0) {
			message->chunk.size = (uint32_t)reading->bytes.size;
			message->chunk.bytes = reading->bytes.data;
			serving->bytes += reading->bytes.size;
		} else {
			snprintf(message->chunk.reason, sizeof(message->chunk.reason), "%.*s",
				 REASON_BYTES - 1, reading->why.text);
		}
		link_send(customer->link, message);
	}
	customer_release(customer);
	buf_finish(&reading->bytes);
	free(reading);
}

static bool begin_read(struct customer *customer, const struct message_fetch *fetch)
{
	struct reading *reading = calloc(1, sizeof(*reading));
	if (!reading || customer->reads >= READS_MAX) {
		free(reading);
		return false;
	}
	reading->work.data = reading;
	reading->customer = customer;
	reading->fetch = *fetch;
	buf_init(&reading->bytes);
	customer->reads++;
	if (uv_queue_work(customer->serving->host->loop, &reading->work, read_on_worker, on_read)) {
		customer->reads--;
		free(reading);
		return false;
	}
	return true;
}

static bool on_message(void *context, struct link *link, enum message_type type,
		       const uint8_t *body, size_t size)
{
	struct customer *customer = context;
	struct serving *serving = customer->serving;
	struct buf scratch;
	buf_init(&scratch);
	const int result = message_decode(&serving->message, type, body, size, &scratch, NULL);
	const struct message_fetch fetch = serving->message.fetch;
	buf_finish(&scratch);
	return result == 0 && type == MESSAGE_FETCH && begin_read(customer, &fetch);
}

static void on_closed(void *context, struct link *link, const struct fail *why)
{
	struct customer *customer = context;
	customer->link = NULL;
	customer_release(customer);
}

static void on_ready(void *context, struct link *link, const struct message_hello *hello)
{
	log_debug("serving", "transfer to name=\"%s\"", hello->name);
}

void serving_accept(struct serving *serving, uv_os_sock_t socket,
		    const uint8_t preamble[PREAMBLE_BYTES])
{
	static const struct link_events events = { on_ready, on_message, on_closed };
	struct fail why;
	struct customer *customer = calloc(1, sizeof(*customer));
	if (!customer) {
		log_warn("serving", "no memory for a transfer");
		close(socket);
		return;
	}
	customer->serving = serving;
	list_append(&serving->customers, &customer->entry);
	customer->link = link_accept(serving->host, socket, preamble, &events, customer, &why);
	customer_release(customer);
}

struct serving *serving_create(const struct link_host *host, struct store *store)
{
	struct serving *serving = calloc(1, sizeof(*serving));
	if (!serving)
		return NULL;
	serving->host = host;
	serving->store = store;
	list_init(&serving->customers);
	return serving;
}

void serving_stop(struct serving *serving)
{
	LIST_EACH(at, &serving->customers) {
		struct customer *customer = LIST_ITEM(at, struct customer, entry);
		if (customer->link)
			link_close(customer->link, "stopping", true);
		customer->link = NULL;
		customer_release(customer);
	}
}

void serving_destroy(struct serving *serving)
{
	free(serving);
}

uint64_t serving_bytes(const struct serving *serving)
{
	return serving->bytes;
}
