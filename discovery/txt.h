/* txt.h: the TXT record of `_primad._tcp`: what an announcement says, and what it hides.
 *
 *   v=1              version of this record
 *   n=HEX16          a random nonce, new at each start and each change of home
 *   t=HEX32          BLAKE2b-128 keyed with the discovery key over (n || device id)
 *   p=1              only while a pairing window is open
 *   l=LABEL          then, the label of the home that invites
 *
 * The discovery key is BLAKE2b-256("primad-discovery-v1" || home id): members, who know the home id
 * and each other's ids, find whose tag it is; to others it is noise. Nothing here is trusted. Pure.
 */
#ifndef DISCOVERY_TXT_H
#define DISCOVERY_TXT_H

#include "proto/id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TXT_NONCE_BYTES  8
#define TXT_TAG_BYTES    16
#define TXT_KEY_BYTES    32
#define TXT_LABEL_BYTES  64 /* with terminator */
#define TXT_ENTRIES_MAX  16 /* more are not read */
#define TXT_RECORD_BYTES 256

struct txt {
	uint8_t nonce[TXT_NONCE_BYTES];
	uint8_t tag[TXT_TAG_BYTES];
	bool pairing;
	char label[TXT_LABEL_BYTES];
};

void txt_key(const uint8_t home_id[HOME_ID_BYTES], uint8_t key[TXT_KEY_BYTES]);
void txt_tag(const uint8_t key[TXT_KEY_BYTES], const uint8_t nonce[TXT_NONCE_BYTES],
	     const struct device_id *id, uint8_t tag[TXT_TAG_BYTES]);

/* Writes the record as on the wire: length-prefixed strings. Gives its size. */
size_t txt_build(const struct txt *txt, uint8_t record[TXT_RECORD_BYTES]);

/* Reads a record. False when it is not one of ours: version, nonce or tag missing, malformed or
 * given twice. Unknown entries are passed over. The label is made printable, cut at a character. */
bool txt_parse(struct txt *txt, const void *record, size_t size);

#endif
