/* handshake.h: two members of a home prove themselves to each other and get keys. Pure: bytes in,
 * bytes out.
 *
 * Noise_IK_25519_ChaChaPoly_BLAKE2b (noise.h); prologue "primad/1" || home id || dialler's preamble
 * || accepter's preamble. The dialler knows whom it calls (roster); its own key travels encrypted.
 *
 *   dialler                                    accepter
 *   preamble_make                 -- 16 -->    preamble_check, preamble_answer
 *   preamble_check                <-- 16 --
 *   handshake_start   -- HANDSHAKE_FIRST_BYTES -->   handshake_answer
 *   handshake_end     <-- HANDSHAKE_SECOND_BYTES --
 *   channel_create, HELLO          <------>    channel_create, HELLO
 *
 * Both messages have fixed sizes. Message 1 can be replayed by an eavesdropper: nothing it carries
 * may take effect before the first channel record of the peer was opened, but for signed
 * statements, which prove themselves. After any failure the accepter closes without another byte;
 * what is said in `fail` is for the own log only.
 *
 * After a failure a handshake can only be destroyed. */
#ifndef PROTO_HANDSHAKE_H
#define PROTO_HANDSHAKE_H

#include "base/buf.h"
#include "base/fail.h"
#include "proto/id.h"
#include "proto/identity.h"
#include "proto/preamble.h"
#include "proto/statement.h"

#include <stdbool.h>
#include <stdint.h>

#define HANDSHAKE_STATEMENTS_MAX 4
#define HANDSHAKE_FIRST_BYTES 1408 /* fits one Ethernet segment */
#define HANDSHAKE_SECOND_BYTES 384

/* What a finished handshake gives to a channel. */
struct channel_keys {
	uint8_t send[KEY_BYTES];
	uint8_t receive[KEY_BYTES];
	uint8_t hash[64]; /* names this session; equal on both sides */
};

enum handshake_verdict {
	HANDSHAKE_STRANGER, /* no answer */
	HANDSHAKE_MEMBER,   /* go on */
	HANDSHAKE_REMOVED   /* answer with the REMOVE statement, then close */
};

/* Called once by handshake_answer with the dialler's session key, which is proven, and the
 * statements it carried ([n_statements, STATEMENT_BYTES], borrowed), which are not: they let a
 * device that joined a moment ago be known here too. For a member fill `peer` (its x_pk must be
 * this key); for a removed one fill `notice` with the statement that removed it. */
typedef enum handshake_verdict handshake_lookup(void *context, const uint8_t x_pk[KEY_BYTES],
						const uint8_t *statements, uint32_t n_statements,
						struct device_keys *peer,
						uint8_t notice[STATEMENT_BYTES]);

struct handshake;

/* `self` is borrowed until destroy. Gives; NULL when memory is short. */
struct handshake *handshake_create(const struct identity *self, const uint8_t home[HOME_ID_BYTES],
				   const uint8_t dialler[PREAMBLE_BYTES],
				   const uint8_t accepter[PREAMBLE_BYTES]);
void handshake_destroy(struct handshake *handshake); /* takes; wipes; accepts NULL */

/* Dialler: appends message 1 for `peer` to `out`. `statements` [n_statements, STATEMENT_BYTES], at
 * most HANDSHAKE_STATEMENTS_MAX, may be NULL when there are none. */
int handshake_start(struct handshake *handshake, const struct device_keys *peer,
		    const uint8_t *statements, uint32_t n_statements, struct buf *out,
		    struct fail *fail);

/* Accepter: reads message 1, asks `lookup`, appends message 2 to `out`. 0: finished. Negative:
 * close; but first send what was appended to `out`: nothing, or for a removed device its notice
 * (FAIL_DENIED). */
int handshake_answer(struct handshake *handshake, const uint8_t message[HANDSHAKE_FIRST_BYTES],
		     handshake_lookup *lookup, void *context, struct buf *out, struct fail *fail);

/* Dialler: reads message 2. 0: finished. Negative: close; FAIL_DENIED when it carried a notice that
 * we were removed, see handshake_notice. */
int handshake_end(struct handshake *handshake, const uint8_t message[HANDSHAKE_SECOND_BYTES],
		  struct fail *fail);

/* The encoded REMOVE statement that came instead of a welcome, or NULL. Borrowed. It still has to
 * be verified: any member could have sent it. */
const uint8_t *handshake_notice(const struct handshake *handshake);

/* After success: who is at the other end, and the keys. */
const struct device_keys *handshake_peer(const struct handshake *handshake);
void handshake_keys(const struct handshake *handshake, struct channel_keys *keys);

#endif
