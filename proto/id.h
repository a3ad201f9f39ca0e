/* id.h: names of things that travel: devices, homes, models, requests, epochs. */
#ifndef PROTO_ID_H
#define PROTO_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ID_BYTES 32
#define ID_TEXT_BYTES 11 /* short form with terminator: 10 base32 characters */
#define ID_HEX_BYTES 65
#define DEVICE_NAME_BYTES 64 /* with terminator; printable UTF-8 */
#define HOME_ID_BYTES 16

/* BLAKE2b-256("primad-id-v1" || ed_pk || x_pk), see identity.h. All zero means "no device". */
struct device_id {
	uint8_t bytes[ID_BYTES];
};

/* BLAKE2b-256 of a model's manifest, see facts.h. */
struct model_id {
	uint8_t bytes[ID_BYTES];
};

/* Plans are ordered by (counter, planner); 0 is "no plan yet". */
struct epoch {
	uint64_t counter;
	struct device_id planner;
};

/* Chosen by the owner: the device whose client asked. Unique by (owner, boot, number). */
struct request_id {
	struct device_id owner;
	uint64_t boot;   /* random per start of the owner's daemon */
	uint64_t number; /* counts from 1 */
};

static inline int device_id_compare(const struct device_id *a, const struct device_id *b)
{
	return memcmp(a->bytes, b->bytes, ID_BYTES);
}

static inline bool device_id_equal(const struct device_id *a, const struct device_id *b)
{
	return device_id_compare(a, b) == 0;
}

static inline bool model_id_equal(const struct model_id *a, const struct model_id *b)
{
	return memcmp(a->bytes, b->bytes, ID_BYTES) == 0;
}

static inline bool request_id_equal(const struct request_id *a, const struct request_id *b)
{
	return device_id_equal(&a->owner, &b->owner) && a->boot == b->boot &&
	       a->number == b->number;
}

bool device_id_is_none(const struct device_id *id);
int epoch_compare(const struct epoch *a, const struct epoch *b); /* <0, 0, >0 */

/* First 50 bits as 10 lower-case base32 characters; gives `text`. For people and logs. */
const char *id_text(const uint8_t bytes[ID_BYTES], char text[ID_TEXT_BYTES]);
const char *id_hex(const uint8_t bytes[ID_BYTES], char text[ID_HEX_BYTES]);
bool id_from_hex(uint8_t bytes[ID_BYTES], const char *text);

/* True for valid UTF-8 that a terminal shows as what it is: no control characters, no line or
 * paragraph separators, no marks that turn the direction of writing. For names from outside. */
bool text_printable(const char *text, size_t size);

/* Puts question marks in the place of what text_printable refuses (a character cut in the middle,
 * for example), so that own text is never refused by who gets it. */
void text_make_printable(char *text, size_t size);

#endif
