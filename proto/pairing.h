/* pairing.h: six digits, read from one screen and typed on another, become mutual trust. Pure:
 * bytes in, bytes out.
 *
 * CPace over ristretto255 with SHA-512 (cpace.h), then key confirmation, then an exchange of
 * long-term keys under the agreed key. Follows the preambles of a connection of kind
 * CONNECTION_PAIR. A = joiner (dialled), B = member:
 *
 *   M0 B->A   nonce_B [16], home label [64]
 *   M1 A->B   nonce_A [16], Ya [32]                      B spends one attempt on receiving this
 *   M2 B->A   Yb [32], Tb [64]
 *   M3 A->B   Ta [64]
 *   M4 A->B   sealed: ed_pk, x_pk, name [64], signature
 *   M5 B->A   u32 size, then sealed: ed_pk, x_pk, signature, home id, label, statements
 *
 *   sid = nonce_A || nonce_B; PRS = the digits; CI = lv("primad/1/pair") || lv(both preambles) ||
 *   lv(label); ADa = "joiner", ADb = "member"; T = HMAC-SHA-512 under SHA-512("CPaceMac" || sid ||
 *   ISK) over lv(Y) || lv(AD); secret = BLAKE2b-256(key: ISK; "primad-pair-v1" || sid); keys of M4
 *   and M5 = BLAKE2b-256(key: secret; "joiner" or "member" || transcript hash); signatures bind
 * role, transcript hash, BLAKE2b-512(ISK) and the sender's keys and name.
 *
 * No long-term identity travels before the code is confirmed. A wrong code costs its guesser the
 * connection and one attempt, and tells nothing else. Fixed roles, a fresh sid and the preambles in
 * CI stop reflection and relay.
 *
 * Use: while pairing_wants() > 0, receive exactly so many bytes and give them to pairing_step. */
#ifndef PROTO_PAIRING_H
#define PROTO_PAIRING_H

#include "base/buf.h"
#include "base/fail.h"
#include "proto/id.h"
#include "proto/identity.h"
#include "proto/messages.h"
#include "proto/preamble.h"
#include "proto/statement.h"

#include <stdbool.h>
#include <stdint.h>

#define PAIRING_CODE_BYTES 7 /* six digits and a terminator */
/* With terminator; printable UTF-8. Strangers see it while an invitation is open. */
#define HOME_LABEL_BYTES 64

struct pairing;

/* Six random digits. */
void pairing_code(char code[PAIRING_CODE_BYTES]);

/* Reads what a person typed, blanks and dashes between digits allowed; false when it is no code. */
bool pairing_code_read(char code[PAIRING_CODE_BYTES], const char *text);

/* Member: asked once per run, when M1 has come. Counts one attempt for good, whatever follows, and
 * gives the code of the open window; false when there is no window or no attempt left. */
typedef bool pairing_attempt(void *context, char code[PAIRING_CODE_BYTES]);

/* `self` is borrowed until destroy; name and label must not be empty, and are cut and made
 * printable. pairing_create_member appends M0 to `out`. Both give, or NULL. */
struct pairing *pairing_create_member(const struct identity *self, const char *label,
				      const uint8_t dialler[PREAMBLE_BYTES],
				      const uint8_t accepter[PREAMBLE_BYTES],
				      pairing_attempt *attempt, void *context, struct buf *out,
				      struct fail *fail);
struct pairing *pairing_create_joiner(const struct identity *self, const char *name,
				      const char code[PAIRING_CODE_BYTES],
				      const uint8_t dialler[PREAMBLE_BYTES],
				      const uint8_t accepter[PREAMBLE_BYTES], struct fail *fail);
void pairing_destroy(struct pairing *pairing); /* takes; wipes; accepts NULL */

/* Bytes of the next message or part of one; 0: nothing more is to be received. */
size_t pairing_wants(const struct pairing *pairing);

enum pairing_result {
	PAIRING_GOES_ON,
	PAIRING_MET, /* member: the joiner proved the code: see pairing_peer, then pairing_admit */
	PAIRING_DONE /* joiner: see pairing_peer and pairing_welcome */
};

/* Takes the pairing_wants() bytes, appends the answer to `out`. Negative: close the connection
 * without sending anything. FAIL_DENIED: the code was wrong, or no window is open. After a failure
 * the pairing can only be destroyed. */
int pairing_step(struct pairing *pairing, const uint8_t *bytes, struct buf *out, struct fail *fail);

/* The other side, once PAIRING_MET or PAIRING_DONE. A joiner's name is given too; "" of a member,
 * whose name is in the statements. */
const struct device_keys *pairing_peer(const struct pairing *pairing, const char **name);

/* Member, after PAIRING_MET: appends M5 with `statements` [n_statements, STATEMENT_BYTES], the new
 * ADD of the joiner signed by this member among them. The run has then succeeded. */
int pairing_admit(struct pairing *pairing, const uint8_t home[HOME_ID_BYTES],
		  const uint8_t *statements, uint32_t n_statements, struct buf *out,
		  struct fail *fail);

/* Joiner, after PAIRING_DONE: what the member said. Every statement is well formed and of this
 * home, and one is an ADD of us with a valid signature of the member; the rest is for the roster to
 * verify. Borrowed. */
struct pairing_welcome {
	uint8_t home[HOME_ID_BYTES];
	char label[HOME_LABEL_BYTES];
	uint32_t n_statements;
	const uint8_t *statements; /* [n_statements, STATEMENT_BYTES] */
};
const struct pairing_welcome *pairing_welcome(const struct pairing *pairing);

#endif
