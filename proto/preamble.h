/* preamble.h: the only clear bytes of a connection: 16 each way, before any key exists.
 *
 *   0 "PRMD"   4 u8 wire major   5 u8 enum connection_kind   6 u16 flags (0)   8 random or hint [8]
 *
 * The dialling side speaks first; the accepting side answers a well-formed preamble with its own
 * and says nothing more to a stranger. Both preambles are bound into the handshake and into
 * pairing, so a changed byte breaks either.
 *
 * The answer's last 8 bytes are a nonce of 4 and BLAKE2b-32(key: home id; nonce || device id). To a
 * stranger they are noise, different each time; a member that dialled a mere address (a `peers`
 * line) tells by it which member answered, and so which key to begin the handshake with. */
#ifndef PROTO_PREAMBLE_H
#define PROTO_PREAMBLE_H

#include "base/fail.h"
#include "proto/id.h"
#include "proto/messages.h"

#include <stdbool.h>
#include <stdint.h>

#define PREAMBLE_BYTES 16

/* The dialling side's preamble. */
void preamble_make(uint8_t preamble[PREAMBLE_BYTES], enum connection_kind kind);

/* The accepting side's, with the hint for members of `home`. */
void preamble_answer(uint8_t preamble[PREAMBLE_BYTES], enum connection_kind kind,
		     const uint8_t home[HOME_ID_BYTES], const struct device_id *self);

/* True when this answer came from `id` of `home`, as far as a hint can tell. */
bool preamble_hints(const uint8_t preamble[PREAMBLE_BYTES], const uint8_t home[HOME_ID_BYTES],
		    const struct device_id *id);

/* Gives the enum connection_kind, or negative: FAIL_INVALID for what is no primad preamble,
 * FAIL_VERSION for another wire major (the sentence names both). The accepting side answers with
 * its own preamble in the latter case too, so that the other can say the same. */
int preamble_check(const uint8_t preamble[PREAMBLE_BYTES], struct fail *fail);

#endif
