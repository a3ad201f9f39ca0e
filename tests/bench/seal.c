/* What encryption costs a hop: microseconds per flight, sealing and opening, median of many.
 *
 * "raw" is libsodium's ChaCha20-Poly1305 alone on as many bytes; "seal" writes header and records
 * from the states where they lie; "open" receives, decrypts in place and decodes into the state
 * buffer; "hop" is both. */
#include "base/clock.h"
#include "proto/channel.h"
#include "proto/flight.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS 4000
#define TURNS 8 /* per measurement: the clock counts whole microseconds */
#define EMBD_MAX 8192

static struct flight flight, received;
static float states[EMBD_MAX];
static float *room;
static struct channel *from, *to;
static struct buf head;

static void give_up(const char *what)
{
	fprintf(stderr, "seal: %s\n", what);
	exit(1);
}

static void make_channels(void)
{
	struct channel_keys keys = { .send = { 1 }, .receive = { 2 } };
	struct channel_keys mirror = { .send = { 2 }, .receive = { 1 } };
	struct channel_message message;
	struct buf wire;
	buf_init(&wire);
	from = channel_create(&keys, CONNECTION_RING);
	to = channel_create(&mirror, CONNECTION_RING);
	room = malloc(sizeof(float) * FLIGHT_ROWS_MAX * EMBD_MAX);
	if (!from || !to || !room)
		give_up("no memory");
	channel_seal(from, MESSAGE_HELLO, NULL, 0, "hello", 5, &wire, NULL);
	channel_feed(to, wire.data, wire.size, NULL);
	if (channel_next(to, &message, NULL) != 1)
		give_up("no hello");
	buf_finish(&wire);
}

static void seal_flight(uint64_t id, struct buf *wire)
{
	buf_clear(&head);
	buf_clear(wire);
	flight.id = id;
	flight_encode_head(&flight, &head);
	if (channel_seal(from, MESSAGE_FLIGHT, head.data, head.size, states,
			 (size_t)flight.n_embd * 4, wire, NULL) < 0)
		give_up("cannot seal");
}

static void open_flight(uint64_t id, const struct buf *wire)
{
	struct channel_message message;
	size_t space;
	for (size_t at = 0; at < wire->size;) {
		uint8_t *into = channel_space(to, &space);
		const size_t n = wire->size - at < space ? wire->size - at : space;
		memcpy(into, wire->data + at, n); /* as the kernel would */
		channel_received(to, n);
		at += n;
	}
	if (channel_next(to, &message, NULL) != 1 ||
	    flight_decode(&received, room, FLIGHT_ROWS_MAX, flight.n_embd, message.body, message.size, NULL) < 0 ||
	    received.id != id)
		give_up("cannot open");
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double median(double *values)
{
	qsort(values, RUNS, sizeof(values[0]), by_value);
	return values[RUNS / 2];
}

static double raw_us(size_t size)
{
	static double took[RUNS];
	static uint8_t bytes[EMBD_MAX * 4 + 256];
	const uint8_t key[32] = { 1 }, nonce[12] = { 2 };
	uint8_t tag[16];
	for (int i = 0; i < RUNS; i++) {
		const int64_t start = clock_us();
		for (int turn = 0; turn < TURNS; turn++)
			crypto_aead_chacha20poly1305_ietf_encrypt_detached(
				bytes, tag, NULL, bytes, size, NULL, 0, NULL, nonce, key);
		took[i] = (double)(clock_us() - start) / TURNS;
	}
	return median(took);
}

static void measure(uint32_t n_embd)
{
	static double seal[RUNS], open[RUNS];
	struct buf wires[TURNS];
	for (int turn = 0; turn < TURNS; turn++)
		buf_init(&wires[turn]);
	flight.n_embd = n_embd;
	for (int i = 0; i < RUNS; i++) {
		const int64_t start = clock_us();
		for (int turn = 0; turn < TURNS; turn++)
			seal_flight((uint64_t)turn, &wires[turn]);
		const int64_t middle = clock_us();
		for (int turn = 0; turn < TURNS; turn++)
			open_flight((uint64_t)turn, &wires[turn]);
		seal[i] = (double)(middle - start) / TURNS;
		open[i] = (double)(clock_us() - middle) / TURNS;
	}
	const double s = median(seal), o = median(open);
	printf("%7.1f KiB  raw %6.2f us  seal %6.2f us  open %6.2f us  hop %6.2f us\n",
	       n_embd * 4 / 1024.0, raw_us((size_t)n_embd * 4), s, o, s + o);
	for (int turn = 0; turn < TURNS; turn++)
		buf_finish(&wires[turn]);
}

int main(void)
{
	if (sodium_init() < 0)
		give_up("no libsodium");
	flight.n_rows = 1;
	flight.rows[0].parent = UINT32_MAX;
	flight.epoch.counter = 1;
	for (int i = 0; i < EMBD_MAX; i++)
		states[i] = (float)i;
	make_channels();
	static const uint32_t widths[] = { 640, 2048, 4096, 8192 };
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++)
		measure(widths[i]);
	channel_destroy(from);
	channel_destroy(to);
	buf_finish(&head);
	free(room);
	return 0;
}
