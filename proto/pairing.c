#include "proto/pairing.h"

#include "proto/cpace.h"
#include "proto/noise.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define NONCE_BYTES 16
#define MAC_BYTES crypto_auth_hmacsha512_BYTES
#define TRANSCRIPT_BYTES 64
#define CODE_DIGITS (PAIRING_CODE_BYTES - 1)
#define DOMAIN "primad-pair-v1"

#define M0_BYTES (NONCE_BYTES + HOME_LABEL_BYTES)
#define M1_BYTES (NONCE_BYTES + CPACE_POINT_BYTES)
#define M2_BYTES (CPACE_POINT_BYTES + MAC_BYTES)
#define M3_BYTES MAC_BYTES
#define M4_PLAIN (2 * KEY_BYTES + DEVICE_NAME_BYTES + SIGNATURE_BYTES)
#define M4_BYTES (M4_PLAIN + NOISE_TAG_BYTES)
#define M5_HEAD 4 /* u32 size of what follows */
#define M5_FIXED (2 * KEY_BYTES + SIGNATURE_BYTES + HOME_ID_BYTES + HOME_LABEL_BYTES)
#define M5_MIN (M5_FIXED + STATEMENT_BYTES + NOISE_TAG_BYTES)
#define M5_MOST (M5_FIXED + ROSTER_STATEMENTS_MAX * STATEMENT_BYTES + NOISE_TAG_BYTES)

static const char prologue[] = "primad/1/pair";
static const char joiner_ad[] = "joiner";
static const char member_ad[] = "member";

/* What is awaited; the joiner's states first. */
enum state { WANT_M0, WANT_M2, WANT_M5_HEAD, WANT_M5, WANT_M1, WANT_M3, WANT_M4, ADMITTING, OVER };

struct pairing {
	enum state state;
	bool joiner;
	const struct identity *self;
	char name[DEVICE_NAME_BYTES]; /* the joiner's */
	char label[HOME_LABEL_BYTES]; /* zero-padded, as it travels */
	char code[PAIRING_CODE_BYTES];
	pairing_attempt *attempt;
	void *context;
	uint8_t preambles[2 * PREAMBLE_BYTES];
	uint8_t sid[2 * NONCE_BYTES]; /* nonce_A, nonce_B */
	uint8_t y[CPACE_SCALAR_BYTES];
	uint8_t ya[CPACE_POINT_BYTES], yb[CPACE_POINT_BYTES];
	uint8_t mac_key[CPACE_ISK_BYTES];
	uint8_t isk_hash[64];
	uint8_t secret[KEY_BYTES]; /* from ISK, until the transcript is whole */
	uint8_t joiner_key[KEY_BYTES], member_key[KEY_BYTES]; /* of M4 and M5 */
	crypto_generichash_state transcript; /* preambles, M0 to M3 */
	uint8_t transcript_hash[TRANSCRIPT_BYTES];
	size_t m5_size;
	struct device_keys peer;
	struct pairing_welcome welcome;
	uint8_t *m5; /* owned; the welcome's statements point into it */
};

/* ---- codes ---- */

void pairing_code(char code[PAIRING_CODE_BYTES])
{
	uint32_t number = randombytes_uniform(1000000);
	for (int i = CODE_DIGITS - 1; i >= 0; i--, number /= 10)
		code[i] = (char)('0' + number % 10);
	code[CODE_DIGITS] = 0;
}

bool pairing_code_read(char code[PAIRING_CODE_BYTES], const char *text)
{
	int n = 0;
	for (; *text; text++) {
		if (strchr(" -\t\r\n", *text))
			continue;
		if (*text < '0' || *text > '9' || n == CODE_DIGITS)
			return false;
		code[n++] = *text;
	}
	code[n] = 0;
	return n == CODE_DIGITS;
}

/* ---- what both sides compute ---- */

static struct cpace_bytes view(const void *bytes, size_t size)
{
	return (struct cpace_bytes){ bytes, size };
}

static void generator(const struct pairing *pairing, uint8_t g[CPACE_POINT_BYTES])
{
	uint8_t ci[sizeof(prologue) + 2 * PREAMBLE_BYTES + HOME_LABEL_BYTES + 6];
	uint8_t *end = cpace_lv(ci, prologue, sizeof(prologue) - 1);
	end = cpace_lv(end, pairing->preambles, sizeof(pairing->preambles));
	end = cpace_lv(end, pairing->label, HOME_LABEL_BYTES);
	cpace_generator(g, view(pairing->code, CODE_DIGITS), view(ci, (size_t)(end - ci)),
			view(pairing->sid, sizeof(pairing->sid)));
}

static bool make_share(struct pairing *pairing, uint8_t share[CPACE_POINT_BYTES])
{
	uint8_t g[CPACE_POINT_BYTES];
	generator(pairing, g);
	cpace_scalar(pairing->y);
	const bool good = cpace_share(share, pairing->y, g);
	sodium_memzero(g, sizeof(g));
	sodium_memzero(pairing->code, sizeof(pairing->code));
	return good;
}

static void hash_two(uint8_t *out, size_t out_size, const void *key, size_t key_size,
		     const void *first, size_t first_size, const void *second, size_t second_size)
{
	crypto_generichash_state state;
	crypto_generichash_init(&state, key, key_size, out_size);
	crypto_generichash_update(&state, first, first_size);
	crypto_generichash_update(&state, second, second_size);
	crypto_generichash_final(&state, out, out_size);
	sodium_memzero(&state, sizeof(state));
}

/* The draft's explicit key confirmation: mac_key = H("CPaceMac" || sid || ISK). */
static void confirmation_key(struct pairing *pairing, const uint8_t isk[CPACE_ISK_BYTES])
{
	static const char domain[] = "CPaceMac";
	crypto_hash_sha512_state state;
	crypto_hash_sha512_init(&state);
	crypto_hash_sha512_update(&state, (const uint8_t *)domain, sizeof(domain) - 1);
	crypto_hash_sha512_update(&state, pairing->sid, sizeof(pairing->sid));
	crypto_hash_sha512_update(&state, isk, CPACE_ISK_BYTES);
	crypto_hash_sha512_final(&state, pairing->mac_key);
	sodium_memzero(&state, sizeof(state));
}

/* False when the other's share is invalid. The scalar is gone afterwards. */
static bool agree(struct pairing *pairing)
{
	uint8_t isk[CPACE_ISK_BYTES];
	const struct cpace_run run = {
		.sid = view(pairing->sid, sizeof(pairing->sid)),
		.ya = pairing->ya,
		.ada = view(joiner_ad, sizeof(joiner_ad) - 1),
		.yb = pairing->yb,
		.adb = view(member_ad, sizeof(member_ad) - 1),
	};
	const uint8_t *theirs = pairing->joiner ? pairing->yb : pairing->ya;
	const bool good = cpace_key(isk, pairing->y, theirs, &run);
	if (good) {
		confirmation_key(pairing, isk);
		hash_two(pairing->secret, KEY_BYTES, isk, sizeof(isk), DOMAIN, strlen(DOMAIN),
			 pairing->sid, sizeof(pairing->sid));
		crypto_generichash(pairing->isk_hash, sizeof(pairing->isk_hash), isk, sizeof(isk),
				   NULL, 0);
	}
	sodium_memzero(pairing->y, sizeof(pairing->y));
	sodium_memzero(isk, sizeof(isk));
	return good;
}

/* HMAC over lv(Y) || lv(AD). */
static void confirmation(const struct pairing *pairing, bool joiner, uint8_t tag[MAC_BYTES])
{
	uint8_t text[CPACE_POINT_BYTES + sizeof(joiner_ad) + 4];
	const char *ad = joiner ? joiner_ad : member_ad;
	uint8_t *end = cpace_lv(text, joiner ? pairing->ya : pairing->yb, CPACE_POINT_BYTES);
	end = cpace_lv(end, ad, strlen(ad));
	crypto_auth_hmacsha512_state state;
	crypto_auth_hmacsha512_init(&state, pairing->mac_key, sizeof(pairing->mac_key));
	crypto_auth_hmacsha512_update(&state, text, (size_t)(end - text));
	crypto_auth_hmacsha512_final(&state, tag);
	sodium_memzero(&state, sizeof(state));
}

static bool confirmed(const struct pairing *pairing, bool joiner, const uint8_t tag[MAC_BYTES])
{
	uint8_t expected[MAC_BYTES];
	confirmation(pairing, joiner, expected);
	return sodium_memcmp(expected, tag, MAC_BYTES) == 0;
}

static void note(struct pairing *pairing, const uint8_t *bytes, size_t size)
{
	crypto_generichash_update(&pairing->transcript, bytes, size);
}

/* After M3: keys of M4 and M5 hang on all that was said before. */
static void end_transcript(struct pairing *pairing)
{
	crypto_generichash_final(&pairing->transcript, pairing->transcript_hash, TRANSCRIPT_BYTES);
	hash_two(pairing->joiner_key, KEY_BYTES, pairing->secret, KEY_BYTES, joiner_ad,
		 strlen(joiner_ad), pairing->transcript_hash, TRANSCRIPT_BYTES);
	hash_two(pairing->member_key, KEY_BYTES, pairing->secret, KEY_BYTES, member_ad,
		 strlen(member_ad), pairing->transcript_hash, TRANSCRIPT_BYTES);
	sodium_memzero(pairing->secret, sizeof(pairing->secret));
	sodium_memzero(pairing->mac_key, sizeof(pairing->mac_key));
}

/* What a side signs: role, transcript, ISK, its own keys and (joiner) name. */
#define SIGNED_BYTES (1 + TRANSCRIPT_BYTES + 64 + 2 * KEY_BYTES + DEVICE_NAME_BYTES)

static void signed_form(const struct pairing *pairing, bool joiner, const struct device_keys *keys,
			uint8_t form[SIGNED_BYTES])
{
	memset(form, 0, SIGNED_BYTES);
	form[0] = joiner ? 'J' : 'M';
	uint8_t *at = form + 1;
	memcpy(at, pairing->transcript_hash, TRANSCRIPT_BYTES);
	memcpy(at += TRANSCRIPT_BYTES, pairing->isk_hash, 64);
	memcpy(at += 64, keys->ed_pk, KEY_BYTES);
	memcpy(at += KEY_BYTES, keys->x_pk, KEY_BYTES);
	if (joiner)
		memcpy(at + KEY_BYTES, pairing->name, DEVICE_NAME_BYTES);
}

static void sign_own(const struct pairing *pairing, uint8_t signature[SIGNATURE_BYTES])
{
	uint8_t form[SIGNED_BYTES];
	signed_form(pairing, pairing->joiner, &pairing->self->keys, form);
	identity_sign(pairing->self, DOMAIN, form, sizeof(form), signature);
}

static bool peer_signed(const struct pairing *pairing, const uint8_t signature[SIGNATURE_BYTES])
{
	uint8_t form[SIGNED_BYTES];
	signed_form(pairing, !pairing->joiner, &pairing->peer, form);
	return identity_verify(pairing->peer.ed_pk, DOMAIN, form, sizeof(form), signature);
}

/* Each key seals one message: the nonce is zero. */
static struct noise_cipher cipher_of(const uint8_t key[KEY_BYTES])
{
	struct noise_cipher cipher = { .keyed = true };
	memcpy(cipher.key, key, KEY_BYTES);
	return cipher;
}

/* Zero-padded, terminated, printable. */
static bool text_fits(const char *text, size_t capacity)
{
	const size_t length = strnlen(text, capacity);
	return length > 0 && length < capacity && text_printable(text, length) &&
	       sodium_is_zero((const uint8_t *)text + length, capacity - length);
}

/* ---- life ---- */

static struct pairing *create(const struct identity *self, const uint8_t *dialler,
			      const uint8_t *accepter, struct fail *fail)
{
	struct pairing *pairing = sodium_malloc(sizeof(*pairing));
	if (!pairing) {
		fail_set(fail, FAIL_MEMORY, "no locked memory to pair a device");
		return NULL;
	}
	memset(pairing, 0, sizeof(*pairing));
	pairing->self = self;
	memcpy(pairing->preambles, dialler, PREAMBLE_BYTES);
	memcpy(pairing->preambles + PREAMBLE_BYTES, accepter, PREAMBLE_BYTES);
	crypto_generichash_init(&pairing->transcript, NULL, 0, TRANSCRIPT_BYTES);
	note(pairing, pairing->preambles, sizeof(pairing->preambles));
	return pairing;
}

void pairing_destroy(struct pairing *pairing)
{
	if (!pairing)
		return;
	free(pairing->m5);
	sodium_free(pairing); /* wipes */
}

struct pairing *pairing_create_joiner(const struct identity *self, const char *name,
				      const char code[PAIRING_CODE_BYTES],
				      const uint8_t dialler[PREAMBLE_BYTES],
				      const uint8_t accepter[PREAMBLE_BYTES], struct fail *fail)
{
	struct pairing *pairing = create(self, dialler, accepter, fail);
	if (!pairing)
		return NULL;
	pairing->joiner = true;
	pairing->state = WANT_M0;
	memcpy(pairing->name, name, strnlen(name, DEVICE_NAME_BYTES - 1));
	text_make_printable(pairing->name, strlen(pairing->name));
	memcpy(pairing->code, code, CODE_DIGITS);
	return pairing;
}

struct pairing *pairing_create_member(const struct identity *self, const char *label,
				      const uint8_t dialler[PREAMBLE_BYTES],
				      const uint8_t accepter[PREAMBLE_BYTES],
				      pairing_attempt *attempt, void *context, struct buf *out,
				      struct fail *fail)
{
	struct pairing *pairing = create(self, dialler, accepter, fail);
	if (!pairing)
		return NULL;
	pairing->state = WANT_M1;
	pairing->attempt = attempt;
	pairing->context = context;
	memcpy(pairing->label, label, strnlen(label, HOME_LABEL_BYTES - 1));
	text_make_printable(pairing->label, strlen(pairing->label));
	uint8_t *m0 = buf_extend(out, M0_BYTES);
	if (!m0) {
		fail_set(fail, FAIL_MEMORY, "no memory to pair a device");
		pairing_destroy(pairing);
		return NULL;
	}
	randombytes_buf(pairing->sid + NONCE_BYTES, NONCE_BYTES);
	memcpy(m0, pairing->sid + NONCE_BYTES, NONCE_BYTES);
	memcpy(m0 + NONCE_BYTES, pairing->label, HOME_LABEL_BYTES);
	note(pairing, m0, M0_BYTES);
	return pairing;
}

size_t pairing_wants(const struct pairing *pairing)
{
	switch (pairing->state) {
	case WANT_M0: return M0_BYTES;
	case WANT_M1: return M1_BYTES;
	case WANT_M2: return M2_BYTES;
	case WANT_M3: return M3_BYTES;
	case WANT_M4: return M4_BYTES;
	case WANT_M5_HEAD: return M5_HEAD;
	case WANT_M5: return pairing->m5_size;
	case ADMITTING:
	case OVER: break;
	}
	return 0;
}

/* ---- joiner ---- */

static int take_m0(struct pairing *pairing, const uint8_t *m0, uint8_t m1[M1_BYTES],
		   struct fail *fail)
{
	memcpy(pairing->sid + NONCE_BYTES, m0, NONCE_BYTES);
	memcpy(pairing->label, m0 + NONCE_BYTES, HOME_LABEL_BYTES);
	if (!text_fits(pairing->label, HOME_LABEL_BYTES))
		return fail_set(fail, FAIL_INVALID, "what answers there is no home to join");
	randombytes_buf(pairing->sid, NONCE_BYTES);
	if (!make_share(pairing, pairing->ya))
		return fail_set(fail, FAIL_INVALID, "the pairing could not begin; try again");
	memcpy(m1, pairing->sid, NONCE_BYTES);
	memcpy(m1 + NONCE_BYTES, pairing->ya, CPACE_POINT_BYTES);
	note(pairing, m0, M0_BYTES);
	note(pairing, m1, M1_BYTES);
	pairing->state = WANT_M2;
	return PAIRING_GOES_ON;
}

static void write_m4(struct pairing *pairing, uint8_t m4[M4_BYTES])
{
	const struct device_keys *keys = &pairing->self->keys;
	struct noise_cipher cipher = cipher_of(pairing->joiner_key);
	memcpy(m4, keys->ed_pk, KEY_BYTES);
	memcpy(m4 + KEY_BYTES, keys->x_pk, KEY_BYTES);
	memcpy(m4 + 2 * KEY_BYTES, pairing->name, DEVICE_NAME_BYTES);
	sign_own(pairing, m4 + 2 * KEY_BYTES + DEVICE_NAME_BYTES);
	noise_seal(&cipher, NULL, 0, m4, M4_PLAIN);
	sodium_memzero(&cipher, sizeof(cipher));
}

static int take_m2(struct pairing *pairing, const uint8_t *m2, uint8_t m34[M3_BYTES + M4_BYTES],
		   struct fail *fail)
{
	memcpy(pairing->yb, m2, CPACE_POINT_BYTES);
	if (!agree(pairing))
		return fail_set(fail, FAIL_INVALID, "the home sent an invalid key; do not join it");
	if (!confirmed(pairing, false, m2 + CPACE_POINT_BYTES))
		return fail_set(fail, FAIL_DENIED,
				"the code is wrong; read it again and try once more");
	confirmation(pairing, true, m34);
	note(pairing, m2, M2_BYTES);
	note(pairing, m34, M3_BYTES);
	end_transcript(pairing);
	write_m4(pairing, m34 + M3_BYTES);
	pairing->state = WANT_M5_HEAD;
	return PAIRING_GOES_ON;
}

static int take_m5_head(struct pairing *pairing, const uint8_t *head, struct fail *fail)
{
	const uint32_t size = load_u32le(head);
	if (size < M5_MIN || size > M5_MOST ||
	    (size - M5_FIXED - NOISE_TAG_BYTES) % STATEMENT_BYTES != 0)
		return fail_set(fail, FAIL_INVALID, "the home's welcome is malformed");
	pairing->m5 = malloc(size);
	if (!pairing->m5)
		return fail_set(fail, FAIL_MEMORY, "no memory for the home's welcome");
	pairing->m5_size = size;
	pairing->state = WANT_M5;
	return PAIRING_GOES_ON;
}

static void read_welcome(struct pairing *pairing, uint8_t signature[SIGNATURE_BYTES])
{
	struct pairing_welcome *welcome = &pairing->welcome;
	const size_t size = pairing->m5_size - NOISE_TAG_BYTES;
	uint8_t ed_pk[KEY_BYTES], x_pk[KEY_BYTES];
	struct reader reader;
	reader_init(&reader, pairing->m5, size);
	reader_copy(&reader, ed_pk, KEY_BYTES);
	reader_copy(&reader, x_pk, KEY_BYTES);
	device_keys_set(&pairing->peer, ed_pk, x_pk);
	reader_copy(&reader, signature, SIGNATURE_BYTES);
	reader_copy(&reader, welcome->home, HOME_ID_BYTES);
	reader_copy(&reader, welcome->label, HOME_LABEL_BYTES);
	welcome->n_statements = (uint32_t)(reader_left(&reader) / STATEMENT_BYTES);
	welcome->statements = reader.next;
}

/* Every statement is of this home, and one of them, by the member, adds us. */
static bool statements_admit(const struct pairing *pairing)
{
	const struct pairing_welcome *welcome = &pairing->welcome;
	bool admitted = false;
	for (uint32_t i = 0; i < welcome->n_statements; i++) {
		struct statement statement;
		if (statement_decode(&statement, welcome->statements + i * STATEMENT_BYTES, NULL) <
			    0 ||
		    memcmp(statement.home, welcome->home, HOME_ID_BYTES) != 0)
			return false;
		if (statement.kind == STATEMENT_ADD &&
		    device_id_equal(&statement.subject.id, &pairing->self->keys.id) &&
		    memcmp(statement.author, pairing->peer.ed_pk, KEY_BYTES) == 0)
			admitted |= statement_verify(&statement);
	}
	return admitted;
}

static int take_m5(struct pairing *pairing, const uint8_t *m5, struct fail *fail)
{
	uint8_t signature[SIGNATURE_BYTES];
	struct noise_cipher cipher = cipher_of(pairing->member_key);
	memcpy(pairing->m5, m5, pairing->m5_size);
	const bool opened = noise_open(&cipher, NULL, 0, pairing->m5,
				       pairing->m5_size - NOISE_TAG_BYTES);
	sodium_memzero(&cipher, sizeof(cipher));
	if (!opened)
		return fail_set(fail, FAIL_CORRUPT, "the home's welcome does not verify");
	read_welcome(pairing, signature);
	if (!peer_signed(pairing, signature) ||
	    !text_fits(pairing->welcome.label, HOME_LABEL_BYTES) || !statements_admit(pairing))
		return fail_set(fail, FAIL_INVALID, "the home's welcome does not verify");
	pairing->state = OVER;
	return PAIRING_DONE;
}

/* ---- member ---- */

static int take_m1(struct pairing *pairing, const uint8_t *m1, uint8_t m2[M2_BYTES],
		   struct fail *fail)
{
	/* before anything that depends on the code: else a guess could be tried and hung up on */
	if (!pairing->attempt(pairing->context, pairing->code))
		return fail_set(fail, FAIL_DENIED,
				"no invitation is open, or its attempts are used up; invite again");
	memcpy(pairing->sid, m1, NONCE_BYTES);
	memcpy(pairing->ya, m1 + NONCE_BYTES, CPACE_POINT_BYTES);
	if (!make_share(pairing, pairing->yb) || !agree(pairing))
		return fail_set(fail, FAIL_INVALID, "the joining device sent an invalid key");
	memcpy(m2, pairing->yb, CPACE_POINT_BYTES);
	confirmation(pairing, false, m2 + CPACE_POINT_BYTES);
	note(pairing, m1, M1_BYTES);
	note(pairing, m2, M2_BYTES);
	pairing->state = WANT_M3;
	return PAIRING_GOES_ON;
}

static int take_m3(struct pairing *pairing, const uint8_t *m3, struct fail *fail)
{
	if (!confirmed(pairing, true, m3))
		return fail_set(fail, FAIL_DENIED, "someone on this network tried a wrong code");
	note(pairing, m3, M3_BYTES);
	end_transcript(pairing);
	pairing->state = WANT_M4;
	return PAIRING_GOES_ON;
}

static int take_m4(struct pairing *pairing, const uint8_t *m4, struct fail *fail)
{
	uint8_t plain[M4_BYTES];
	struct noise_cipher cipher = cipher_of(pairing->joiner_key);
	memcpy(plain, m4, M4_BYTES);
	const bool opened = noise_open(&cipher, NULL, 0, plain, M4_PLAIN);
	sodium_memzero(&cipher, sizeof(cipher));
	if (!opened)
		return fail_set(fail, FAIL_CORRUPT, "the joining device's keys do not verify");
	device_keys_set(&pairing->peer, plain, plain + KEY_BYTES);
	memcpy(pairing->name, plain + 2 * KEY_BYTES, DEVICE_NAME_BYTES);
	if (!text_fits(pairing->name, DEVICE_NAME_BYTES) ||
	    !peer_signed(pairing, plain + 2 * KEY_BYTES + DEVICE_NAME_BYTES))
		return fail_set(fail, FAIL_INVALID, "the joining device's keys do not verify");
	pairing->state = ADMITTING;
	return PAIRING_MET;
}

int pairing_admit(struct pairing *pairing, const uint8_t home[HOME_ID_BYTES],
		  const uint8_t *statements, uint32_t n_statements, struct buf *out,
		  struct fail *fail)
{
	assert(pairing->state == ADMITTING && n_statements > 0);
	assert(n_statements <= ROSTER_STATEMENTS_MAX);
	const struct device_keys *keys = &pairing->self->keys;
	const size_t n_bytes = (size_t)n_statements * STATEMENT_BYTES;
	uint8_t signature[SIGNATURE_BYTES];
	if (!buf_reserve(out, M5_HEAD + M5_FIXED + n_bytes + NOISE_TAG_BYTES))
		return fail_set(fail, FAIL_MEMORY, "no memory to welcome a device");
	sign_own(pairing, signature);
	buf_u32(out, (uint32_t)(M5_FIXED + n_bytes + NOISE_TAG_BYTES));
	uint8_t *m5 = out->data + out->size;
	buf_append(out, keys->ed_pk, KEY_BYTES);
	buf_append(out, keys->x_pk, KEY_BYTES);
	buf_append(out, signature, SIGNATURE_BYTES);
	buf_append(out, home, HOME_ID_BYTES);
	buf_append(out, pairing->label, HOME_LABEL_BYTES);
	buf_append(out, statements, n_bytes);
	buf_extend(out, NOISE_TAG_BYTES);
	struct noise_cipher cipher = cipher_of(pairing->member_key);
	noise_seal(&cipher, NULL, 0, m5, M5_FIXED + n_bytes);
	sodium_memzero(&cipher, sizeof(cipher));
	pairing->state = OVER;
	return 0;
}

/* ---- the door ---- */

static int take(struct pairing *pairing, const uint8_t *bytes, uint8_t *answer, size_t *answer_size,
		struct fail *fail)
{
	*answer_size = 0;
	switch (pairing->state) {
	case WANT_M0: *answer_size = M1_BYTES; return take_m0(pairing, bytes, answer, fail);
	case WANT_M1: *answer_size = M2_BYTES; return take_m1(pairing, bytes, answer, fail);
	case WANT_M2:
		*answer_size = M3_BYTES + M4_BYTES;
		return take_m2(pairing, bytes, answer, fail);
	case WANT_M3: return take_m3(pairing, bytes, fail);
	case WANT_M4: return take_m4(pairing, bytes, fail);
	case WANT_M5_HEAD: return take_m5_head(pairing, bytes, fail);
	case WANT_M5: return take_m5(pairing, bytes, fail);
	case ADMITTING:
	case OVER: break;
	}
	return fail_set(fail, FAIL_INVALID, "the pairing is over");
}

int pairing_step(struct pairing *pairing, const uint8_t *bytes, struct buf *out, struct fail *fail)
{
	uint8_t answer[M3_BYTES + M4_BYTES];
	size_t size;
	int result = take(pairing, bytes, answer, &size, fail);
	if (result >= 0) {
		buf_append(out, answer, size);
		if (out->failed)
			result = fail_set(fail, FAIL_MEMORY, "no memory to pair a device");
	}
	if (result < 0)
		pairing->state = OVER;
	return result;
}

const struct device_keys *pairing_peer(const struct pairing *pairing, const char **name)
{
	*name = pairing->joiner ? "" : pairing->name;
	return &pairing->peer;
}

const struct pairing_welcome *pairing_welcome(const struct pairing *pairing)
{
	return &pairing->welcome;
}
