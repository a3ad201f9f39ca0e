#include "daemon/fetch.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "proto/deadlines.h"

#include <stdlib.h>
#include <string.h>

#define ASKED_MAX 4     /* chunks asked for and not yet written */
#define BATCH 64        /* missing chunks looked up at once */
#define FAILURES_MAX 20 /* connections that broke or gave bad chunks without one good chunk */
#define RETRY_MS 300
#define STRETCH_BYTES (2u << 20) /* so much tells how fast they come */

enum fetch_need { NEED_MANIFEST, NEED_CHUNKS, NEED_FLUSH };

struct asked {
	bool used, arrived, writing;
	uint32_t chunk;
	struct chunk_place place;
	struct fetch_holder from;
	struct buf bytes; /* of an arrived one */
};

struct fetch {
	struct fetch_config config;
	struct layer_range *ranges;
	uv_timer_t timer; /* a chunk's deadline, or the pause before the next holder */
	uv_work_t work;
	bool working; /* the worker has it */
	bool over;    /* done was called, or abandoned */
	enum fetch_need need;
	struct link *link;
	bool ready;
	struct fetch_holder holder; /* at the other end of `link` */
	uint32_t next_holder, failures;
	uint32_t n_good; /* holders met since the list was begun whose copy is not known as damaged */
	struct device_id damaged[PLAN_DEVICES_MAX]; /* their copies are */
	uint32_t n_damaged;
	struct fail damage; /* the last such, in words */
	struct buf manifest;
	uint32_t missing[BATCH];
	uint32_t n_missing, next_missing;
	struct asked asked[ASKED_MAX];
	/* for the worker */
	struct asked *written; /* NULL: a manifest, room or a flush */
	int result;
	struct fail why;
	struct message message;
	/* chunks of one holder without a pause: what came since the first of them was here */
	uint64_t stretch_bytes;
	int64_t stretch_us; /* 0: none yet */
};

static void go_on(struct fetch *fetch);

/* ---- how fast they come ---- */

static void stretch_end(struct fetch *fetch)
{
	if (fetch->stretch_bytes > 0 && fetch->config.came)
		fetch->config.came(fetch->config.context, &fetch->holder.keys.id,
				   fetch->stretch_bytes, clock_us() - fetch->stretch_us);
	fetch->stretch_bytes = 0;
	fetch->stretch_us = 0;
}

static void stretch_add(struct fetch *fetch, uint64_t bytes)
{
	if (!fetch->stretch_us) {
		fetch->stretch_us = clock_us();
		return;
	}
	fetch->stretch_bytes += bytes;
	if (fetch->stretch_bytes >= STRETCH_BYTES)
		stretch_end(fetch);
}

/* ---- ending ---- */

static void on_timer_closed(uv_handle_t *handle)
{
	struct fetch *fetch = LIST_ITEM(handle, struct fetch, timer);
	buf_finish(&fetch->manifest);
	for (int i = 0; i < ASKED_MAX; i++)
		buf_finish(&fetch->asked[i].bytes);
	free(fetch->ranges);
	free(fetch);
}

static void release(struct fetch *fetch)
{
	if (fetch->over && !fetch->working)
		uv_close((uv_handle_t *)&fetch->timer, on_timer_closed);
}

static void drop_link(struct fetch *fetch)
{
	if (fetch->link)
		link_close(fetch->link, "fetched", true);
	fetch->stretch_bytes = 0;
	fetch->stretch_us = 0;
	fetch->link = NULL;
	fetch->ready = false;
	for (int i = 0; i < ASKED_MAX; i++)
		if (!fetch->asked[i].writing && !fetch->asked[i].arrived)
			fetch->asked[i].used = false;
	fetch->n_missing = fetch->next_missing = 0;
}

void fetch_abandon(struct fetch *fetch)
{
	if (fetch->over)
		return;
	fetch->over = true;
	drop_link(fetch);
	uv_timer_stop(&fetch->timer);
	release(fetch);
}

static void finish(struct fetch *fetch, const struct fail *why)
{
	void (*done)(void *, const struct fail *) = fetch->config.done;
	void *context = fetch->config.context;
	struct fail copy;
	if (why)
		copy = *why;
	fetch_abandon(fetch);
	done(context, why ? &copy : NULL);
}

/* ---- holders ---- */

static void on_timer(uv_timer_t *timer);

static void try_later(struct fetch *fetch, const struct fail *why)
{
	drop_link(fetch);
	if (++fetch->failures > FAILURES_MAX) {
		finish(fetch, why);
		return;
	}
	uv_timer_start(&fetch->timer, on_timer, RETRY_MS, 0);
}

static void on_ready(void *context, struct link *link, const struct message_hello *hello)
{
	struct fetch *fetch = context;
	fetch->ready = true;
	go_on(fetch);
}

static void on_closed(void *context, struct link *link, const struct fail *why)
{
	struct fetch *fetch = context;
	fetch->link = NULL;
	try_later(fetch, why);
}

static bool on_message(void *context, struct link *link, enum message_type type,
		       const uint8_t *body, size_t size);

static bool is_damaged(const struct fetch *fetch, const struct device_id *id)
{
	for (uint32_t i = 0; i < fetch->n_damaged; i++)
		if (device_id_equal(&fetch->damaged[i], id))
			return true;
	return false;
}

static bool next_holder(struct fetch *fetch)
{
	while (fetch->config.holder(fetch->config.context, fetch->next_holder, &fetch->holder)) {
		fetch->next_holder++;
		if (is_damaged(fetch, &fetch->holder.keys.id))
			continue;
		fetch->n_good++;
		return true;
	}
	return false;
}

/* All were asked: from the beginning, or the end, when nobody is left to hope for. */
static void no_more_holders(struct fetch *fetch)
{
	struct fail why;
	const bool hopeless = fetch->n_good == 0 && fetch->n_damaged > 0;
	fetch->next_holder = fetch->n_good = 0;
	if (hopeless) {
		finish(fetch, &fetch->damage);
		return;
	}
	fail_set(&why, FAIL_NOT_FOUND,
		 "no device that holds the whole model is reachable: switch on the one it was added on");
	try_later(fetch, &why);
}

static void connect_holder(struct fetch *fetch)
{
	static const struct link_events events = { on_ready, on_message, on_closed };
	struct fail why;
	if (!next_holder(fetch)) {
		no_more_holders(fetch);
		return;
	}
	fetch->link = link_dial(fetch->config.host, (const struct sockaddr *)&fetch->holder.address,
				CONNECTION_TRANSFER, &fetch->holder.keys, &events, fetch, &why);
	if (!fetch->link)
		try_later(fetch, &why);
}

/* A chunk was none of the model's: what else came from there is not kept either. */
static void note_damage(struct fetch *fetch, const struct fetch_holder *holder)
{
	struct store_model model;
	const char *name = store_get(fetch->config.store, &fetch->config.model, &model) ? model.name
											  : "?";
	log_warn("fetch", "a chunk is damaged model=\"%s\" device=\"%s\"", name, holder->name);
	if (!is_damaged(fetch, &holder->keys.id) && fetch->n_damaged < PLAN_DEVICES_MAX)
		fetch->damaged[fetch->n_damaged++] = holder->keys.id;
	fail_set(&fetch->damage, FAIL_CORRUPT,
		 "the file of %.64s on %.64s is damaged: run `primactl model rm` for it there, then "
		 "`primactl model add` with a good file",
		 name, holder->name);
	for (int i = 0; i < ASKED_MAX; i++)
		if (device_id_equal(&fetch->asked[i].from.keys.id, &holder->keys.id))
			fetch->asked[i].used = fetch->asked[i].arrived = false;
	try_later(fetch, &fetch->damage);
}

static void on_timer(uv_timer_t *timer)
{
	struct fetch *fetch = LIST_ITEM(timer, struct fetch, timer);
	if (!fetch->link) {
		connect_holder(fetch);
		return;
	}
	struct fail why;
	fail_set(&why, FAIL_TIMEOUT, "the device %s does not send the model",
		 link_address(fetch->link));
	try_later(fetch, &why);
}

void fetch_poke(struct fetch *fetch)
{
	if (!fetch->link && !fetch->over)
		uv_timer_start(&fetch->timer, on_timer, 0, 0);
}

/* ---- asking ---- */

static void ask(struct fetch *fetch, uint32_t part, uint64_t offset, uint32_t size)
{
	fetch->message.type = MESSAGE_FETCH;
	fetch->message.fetch = (struct message_fetch){ .model = fetch->config.model,
						       .part = part,
						       .offset = offset,
						       .size = size };
	link_send(fetch->link, &fetch->message);
	uv_timer_start(&fetch->timer, on_timer, DEADLINE_CHUNK_MS, 0);
}

static struct asked *free_place(struct fetch *fetch)
{
	for (int i = 0; i < ASKED_MAX; i++)
		if (!fetch->asked[i].used)
			return &fetch->asked[i];
	return NULL;
}

static bool is_asked(const struct fetch *fetch, uint32_t chunk)
{
	for (int i = 0; i < ASKED_MAX; i++)
		if (fetch->asked[i].used && fetch->asked[i].chunk == chunk)
			return true;
	return false;
}

static bool anything_asked(const struct fetch *fetch)
{
	for (int i = 0; i < ASKED_MAX; i++)
		if (fetch->asked[i].used)
			return true;
	return false;
}

static bool look_up_missing(struct fetch *fetch)
{
	const int64_t n = store_missing(fetch->config.store, &fetch->config.model,
					&fetch->config.want, fetch->missing, BATCH);
	fetch->next_missing = 0;
	fetch->n_missing = n < 0 ? 0 : n < BATCH ? (uint32_t)n : BATCH;
	if (n < 0) {
		fail_set(&fetch->why, (enum fail_code)-n, "the model was removed from this device");
		finish(fetch, &fetch->why);
	}
	return n >= 0;
}

static void ask_chunks(struct fetch *fetch)
{
	struct asked *place;
	while ((place = free_place(fetch))) {
		if (fetch->next_missing == fetch->n_missing) {
			if (anything_asked(fetch) && fetch->n_missing > 0 && fetch->n_missing < BATCH)
				return; /* the rest is on its way */
			if (!look_up_missing(fetch))
				return;
			if (fetch->n_missing == 0 && !anything_asked(fetch)) {
				stretch_end(fetch);
				fetch->need = NEED_FLUSH;
				go_on(fetch);
			}
			if (fetch->n_missing == 0)
				return;
		}
		const uint32_t chunk = fetch->missing[fetch->next_missing++];
		if (is_asked(fetch, chunk))
			continue;
		place->used = true;
		place->chunk = chunk;
		place->from = fetch->holder;
		store_chunk(fetch->config.store, &fetch->config.model, chunk, &place->place);
		ask(fetch, 0, place->place.offset, place->place.size);
	}
}

/* ---- the worker ---- */

static void on_worker(uv_work_t *work)
{
	struct fetch *fetch = work->data;
	struct store *store = fetch->config.store;
	const struct model_id *model = &fetch->config.model;
	uint64_t done = 0, total = 0;
	switch (fetch->need) {
	case NEED_MANIFEST:
		fetch->result = store_adopt(store, model, fetch->manifest.data,
					    fetch->manifest.size, &fetch->why);
		break;
	case NEED_CHUNKS:
		store_progress(store, model, &fetch->config.want, &done, &total);
		fetch->result = store_make_room(store, model, total - done, &fetch->why);
		if (fetch->result == 0)
			fetch->result = store_write(store, model, fetch->written->chunk,
						    fetch->written->bytes.data,
						    fetch->written->bytes.size, &fetch->why);
		break;
	case NEED_FLUSH:
		fetch->result = store_flush(store, model, &fetch->why);
		break;
	}
}

static void report_progress(struct fetch *fetch)
{
	uint64_t done, total;
	if (fetch->config.progress && store_progress(fetch->config.store, &fetch->config.model,
						     &fetch->config.want, &done, &total) == 0)
		fetch->config.progress(fetch->config.context, done, total);
}

static void write_next(struct fetch *fetch);

static void chunk_written(struct fetch *fetch)
{
	struct asked *written = fetch->written;
	written->used = written->writing = written->arrived = false;
	buf_clear(&written->bytes);
	fetch->written = NULL;
	if (fetch->result == 0) {
		fetch->failures = 0;
		report_progress(fetch);
		write_next(fetch);
		go_on(fetch);
	} else if (fetch->why.code == FAIL_CORRUPT) {
		note_damage(fetch, &written->from);
	} else {
		finish(fetch, &fetch->why);
	}
}

static void on_worked(uv_work_t *work, int status)
{
	struct fetch *fetch = work->data;
	fetch->working = false;
	if (fetch->over) {
		release(fetch);
		return;
	}
	if (fetch->written) {
		chunk_written(fetch);
		return;
	}
	if (fetch->result != 0 && fetch->need == NEED_MANIFEST) {
		buf_clear(&fetch->manifest);
		try_later(fetch, &fetch->why);
	} else if (fetch->result != 0) {
		finish(fetch, &fetch->why);
	} else if (fetch->need == NEED_FLUSH) {
		finish(fetch, NULL);
	} else {
		fetch->need = NEED_CHUNKS;
		go_on(fetch);
	}
}

static void give_to_worker(struct fetch *fetch)
{
	fetch->working = true;
	fetch->work.data = fetch;
	uv_queue_work(fetch->config.host->loop, &fetch->work, on_worker, on_worked);
}

/* ---- what arrives ---- */

static struct asked *place_of(struct fetch *fetch, uint64_t offset)
{
	for (int i = 0; i < ASKED_MAX; i++)
		if (fetch->asked[i].used && !fetch->asked[i].writing &&
		    fetch->asked[i].place.offset == offset)
			return &fetch->asked[i];
	return NULL;
}

static void take_manifest(struct fetch *fetch, const struct message_chunk *chunk)
{
	buf_append(&fetch->manifest, chunk->bytes, chunk->size);
	if (chunk->size == MODEL_CHUNK_BYTES) {
		ask(fetch, 1, fetch->manifest.size, MODEL_CHUNK_BYTES);
		return;
	}
	uv_timer_stop(&fetch->timer);
	give_to_worker(fetch);
}

/* One chunk is written at a time; the others wait where they arrived. */
static void write_next(struct fetch *fetch)
{
	for (int i = 0; i < ASKED_MAX && !fetch->working; i++) {
		struct asked *place = &fetch->asked[i];
		if (!place->arrived || place->writing)
			continue;
		place->writing = true;
		fetch->written = place;
		give_to_worker(fetch);
	}
}

static bool take_chunk(struct fetch *fetch, const struct message_chunk *chunk)
{
	struct asked *place = place_of(fetch, chunk->offset);
	if (!place || chunk->size != place->place.size)
		return false;
	buf_clear(&place->bytes);
	buf_append(&place->bytes, chunk->bytes, chunk->size);
	if (place->bytes.failed)
		return false;
	place->arrived = true;
	stretch_add(fetch, chunk->size);
	uv_timer_start(&fetch->timer, on_timer, DEADLINE_CHUNK_MS, 0);
	write_next(fetch);
	return true;
}

static bool on_message(void *context, struct link *link, enum message_type type,
		       const uint8_t *body, size_t size)
{
	struct fetch *fetch = context;
	struct buf scratch;
	struct fail why;
	bool good;
	buf_init(&scratch);
	if (type != MESSAGE_CHUNK ||
	    message_decode(&fetch->message, type, body, size, &scratch, &why) != 0 ||
	    !model_id_equal(&fetch->message.chunk.model, &fetch->config.model)) {
		good = false;
	} else if (fetch->message.chunk.reason[0]) {
		fail_set(&why, FAIL_NOT_FOUND, "%s refuses: %.200s", link_address(link),
			 fetch->message.chunk.reason);
		try_later(fetch, &why);
		good = true;
	} else if (fetch->need == NEED_MANIFEST) {
		good = fetch->manifest.size + fetch->message.chunk.size <= MANIFEST_BYTES_MAX;
		if (good)
			take_manifest(fetch, &fetch->message.chunk);
	} else {
		good = take_chunk(fetch, &fetch->message.chunk);
	}
	buf_finish(&scratch);
	return good;
}

/* ---- the way through ---- */

static void go_on(struct fetch *fetch)
{
	if (fetch->over)
		return;
	if (fetch->need == NEED_FLUSH) {
		uv_timer_stop(&fetch->timer);
		if (!fetch->working)
			give_to_worker(fetch);
		return;
	}
	if (!fetch->ready)
		return; /* a holder is being sought */
	if (fetch->need == NEED_MANIFEST) {
		buf_clear(&fetch->manifest);
		ask(fetch, 1, 0, MODEL_CHUNK_BYTES);
		return;
	}
	ask_chunks(fetch);
}

static bool copy_want(struct fetch *fetch, const struct store_want *want)
{
	const size_t size = want->n_ranges * sizeof(*want->ranges);
	fetch->config.want = *want;
	fetch->ranges = malloc(size ? size : 1);
	if (!fetch->ranges)
		return false;
	if (size)
		memcpy(fetch->ranges, want->ranges, size);
	fetch->config.want.ranges = fetch->ranges;
	return true;
}

/* Nothing at all may be missing: then no holder is needed. */
static bool all_here(const struct fetch *fetch)
{
	uint32_t chunk;
	return store_missing(fetch->config.store, &fetch->config.model, &fetch->config.want, &chunk,
			     1) == 0;
}

struct fetch *fetch_start(const struct fetch_config *config, struct fail *fail)
{
	struct store_model known;
	struct fetch *fetch = calloc(1, sizeof(*fetch));
	if (!fetch || uv_timer_init(config->host->loop, &fetch->timer) != 0) {
		free(fetch);
		fail_set(fail, FAIL_MEMORY, "no memory to fetch a model");
		return NULL;
	}
	fetch->config = *config;
	if (!copy_want(fetch, &config->want)) {
		fail_set(fail, FAIL_MEMORY, "no memory to fetch a model");
		fetch_abandon(fetch);
		return NULL;
	}
	const bool is_known = store_get(config->store, &config->model, &known);
	fetch->need = is_known ? NEED_CHUNKS : NEED_MANIFEST;
	if (is_known && all_here(fetch)) {
		fetch->need = NEED_FLUSH;
		go_on(fetch);
	} else {
		uv_timer_start(&fetch->timer, on_timer, 0, 0);
	}
	return fetch;
}
