#include "daemon/home.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NUMBERS_MAGIC "PRMDnumb"
#define NUMBERS_VERSION 1
#define INCARNATION_BLOCK 64
#define ADDRESSES_MAGIC "PRMDaddr"
#define ADDRESSES_VERSION 1

static bool path_of(const struct home *home, const char *name, char path[PATH_MAX])
{
	return file_join(path, PATH_MAX, home->folder, name);
}

/* ---- identity ---- */

static int open_identity(struct home *home, struct fail *fail)
{
	char path[PATH_MAX];
	path_of(home, "identity.key", path);
	home->identity = identity_load(path, fail);
	if (home->identity || (fail->code != FAIL_NOT_FOUND))
		return home->identity ? 0 : -(int)fail->code;
	home->identity = identity_create(fail);
	return home->identity ? identity_save(home->identity, path, fail) : -(int)fail->code;
}

/* ---- roster: label, then the roster's own encoding ---- */

int home_save_roster(struct home *home, struct fail *fail)
{
	char path[PATH_MAX];
	struct buf payload;
	buf_init(&payload);
	buf_append(&payload, home->label, sizeof(home->label));
	roster_encode(home->roster, &payload);
	path_of(home, "roster.bin", path);
	int result;
	if (payload.failed)
		result = fail_set(fail, FAIL_MEMORY, "no memory to save the roster");
	else
		result = state_file_write(path, ROSTER_FILE_MAGIC, ROSTER_FILE_VERSION,
					  payload.data, payload.size, fail);
	buf_finish(&payload);
	return result;
}

static int found_home(struct home *home, struct fail *fail)
{
	roster_destroy(home->roster);
	home->roster = roster_found(home->identity, home->name);
	if (!home->roster)
		return fail_set(fail, FAIL_MEMORY, "no memory for the roster");
	snprintf(home->label, sizeof(home->label), "%s", home->name);
	return home_save_roster(home, fail);
}

static int decode_roster(struct home *home, const struct buf *payload, struct fail *fail)
{
	if (payload->size < sizeof(home->label))
		return fail_set(fail, FAIL_CORRUPT, "%s/roster.bin is too short", home->folder);
	memcpy(home->label, payload->data, sizeof(home->label));
	home->label[sizeof(home->label) - 1] = 0;
	home->roster = roster_decode(payload->data + sizeof(home->label),
				     payload->size - sizeof(home->label), fail);
	if (!home->roster)
		return -(int)fail->code;
	if (!roster_find(home->roster, &home->identity->keys.id))
		return fail_set(fail, FAIL_CORRUPT,
				"%s/roster.bin does not list this device: it was removed from its "
				"home; run `primactl leave` or move the file away",
				home->folder);
	return 0;
}

static int open_roster(struct home *home, struct fail *fail)
{
	char path[PATH_MAX];
	uint32_t version;
	struct buf payload;
	buf_init(&payload);
	path_of(home, "roster.bin", path);
	int result = state_file_read(path, ROSTER_FILE_MAGIC, ROSTER_FILE_VERSION, &version,
				     &payload, fail);
	if (result == 0)
		result = decode_roster(home, &payload, fail);
	else if (fail->code == FAIL_NOT_FOUND)
		result = found_home(home, fail);
	buf_finish(&payload);
	return result;
}

/* ---- numbers: u64 incarnation end, u64 version end, u16 port, u8 has record, record ---- */

int home_save_numbers(struct home *home, struct fail *fail)
{
	char path[PATH_MAX];
	struct buf payload;
	buf_init(&payload);
	buf_u64(&payload, home->incarnation_end);
	buf_u64(&payload, home->version_end);
	buf_u16(&payload, home->port);
	buf_u8(&payload, home->has_record);
	uint8_t *record = buf_extend(&payload, COMMIT_RECORD_BYTES);
	int result = -1;
	if (record) {
		commit_record_encode(&home->record, record);
		path_of(home, "numbers.bin", path);
		result = state_file_write(path, NUMBERS_MAGIC, NUMBERS_VERSION, payload.data,
					  payload.size, fail);
	}
	buf_finish(&payload);
	return result;
}

static int decode_numbers(struct home *home, const struct buf *payload, struct fail *fail)
{
	struct reader reader;
	reader_init(&reader, payload->data, payload->size);
	home->incarnation_end = reader_u64(&reader);
	home->version_end = reader_u64(&reader);
	home->port = reader_u16(&reader);
	home->has_record = reader_u8(&reader) != 0;
	const uint8_t *record = reader_take(&reader, COMMIT_RECORD_BYTES);
	if (!record)
		return fail_set(fail, FAIL_CORRUPT, "%s/numbers.bin is too short", home->folder);
	return home->has_record
		       ? commit_record_decode(&home->record, record, COMMIT_RECORD_BYTES, fail)
		       : 0;
}

static int open_numbers(struct home *home, struct fail *fail)
{
	char path[PATH_MAX];
	uint32_t version;
	struct buf payload;
	buf_init(&payload);
	path_of(home, "numbers.bin", path);
	int result =
		state_file_read(path, NUMBERS_MAGIC, NUMBERS_VERSION, &version, &payload, fail);
	if (result == 0)
		result = decode_numbers(home, &payload, fail);
	else if (fail->code == FAIL_NOT_FOUND)
		result = 0;
	buf_finish(&payload);
	if (result != 0)
		return result;
	home->incarnation_end += INCARNATION_BLOCK;
	home->version_end += GOSSIP_VERSION_BLOCK;
	return home_save_numbers(home, fail);
}

/* ---- addresses: id, u8 family, 16 bytes, u32 scope, u16 port, one after another ---- */

static void save_addresses(const struct home *home)
{
	char path[PATH_MAX];
	struct buf payload;
	struct fail why;
	buf_init(&payload);
	for (uint32_t i = 0; i < home->n_known; i++) {
		const struct address *address = &home->known[i].address;
		buf_append(&payload, home->known[i].id.bytes, ID_BYTES);
		buf_u8(&payload, address->family);
		buf_append(&payload, address->bytes, sizeof(address->bytes));
		buf_u32(&payload, address->scope);
		buf_u16(&payload, address->port);
	}
	path_of(home, "addresses.bin", path);
	if (payload.failed || state_file_write(path, ADDRESSES_MAGIC, ADDRESSES_VERSION,
					       payload.data, payload.size, &why) != 0)
		log_warn("home", "addresses of members could not be stored");
	buf_finish(&payload);
}

/* A damaged file is no loss: members are found again. */
static void open_addresses(struct home *home)
{
	char path[PATH_MAX];
	uint32_t version;
	struct buf payload;
	struct reader reader;
	buf_init(&payload);
	path_of(home, "addresses.bin", path);
	if (state_file_read(path, ADDRESSES_MAGIC, ADDRESSES_VERSION, &version, &payload, NULL) != 0)
		payload.size = 0;
	reader_init(&reader, payload.data, payload.size);
	while (reader_left(&reader) > 0 && home->n_known < HOME_ADDRESSES_MAX) {
		struct known_address *known = &home->known[home->n_known];
		reader_copy(&reader, known->id.bytes, ID_BYTES);
		known->address.family = reader_u8(&reader);
		reader_copy(&reader, known->address.bytes, sizeof(known->address.bytes));
		known->address.scope = reader_u32(&reader);
		known->address.port = reader_u16(&reader);
		if (!reader.failed)
			home->n_known++;
	}
	buf_finish(&payload);
}

static struct known_address *place_for(struct home *home, const struct device_id *id)
{
	for (uint32_t i = 0; i < home->n_known; i++)
		if (device_id_equal(&home->known[i].id, id))
			return &home->known[i];
	if (home->n_known == HOME_ADDRESSES_MAX) /* the oldest makes room */
		memmove(home->known, home->known + 1,
			(size_t)--home->n_known * sizeof(home->known[0]));
	return &home->known[home->n_known++];
}

void home_remember(struct home *home, const struct device_id *id, const struct address *address)
{
	const struct device_id nobody = { 0 };
	const struct device_id *key = id ? id : &nobody;
	for (uint32_t i = 0; i < home->n_known; i++)
		if (device_id_equal(&home->known[i].id, key) &&
		    address_equal(&home->known[i].address, address))
			return;
	*place_for(home, key) = (struct known_address){ *key, *address };
	save_addresses(home);
}

/* ---- opening ---- */

static int open_folder(struct home *home, struct fail *fail)
{
	struct stat info;
	if (file_make_folder(home->folder, 0700, fail) != 0)
		return -(int)fail->code;
	if (stat(home->folder, &info) != 0)
		return fail_errno(fail, errno, "cannot examine the state folder %s", home->folder);
	if (info.st_uid != geteuid())
		return fail_set(fail, FAIL_DENIED,
				"the state folder %s belongs to another user; run primad as that "
				"user or choose another --state",
				home->folder);
	if (info.st_mode & 022)
		return fail_set(fail, FAIL_DENIED,
				"others may write to the state folder %s: chmod 700 it", home->folder);
	return 0;
}

struct home *home_open(const char *folder, const char *name, struct fail *fail)
{
	struct home *home = calloc(1, sizeof(*home));
	if (!home) {
		fail_set(fail, FAIL_MEMORY, "no memory");
		return NULL;
	}
	snprintf(home->folder, sizeof(home->folder), "%s", folder);
	snprintf(home->name, sizeof(home->name), "%s", name);
	if (open_folder(home, fail) == 0 && open_identity(home, fail) == 0 &&
	    open_roster(home, fail) == 0 && open_numbers(home, fail) == 0) {
		open_addresses(home);
		return home;
	}
	home_close(home);
	return NULL;
}

void home_close(struct home *home)
{
	if (!home)
		return;
	roster_destroy(home->roster);
	identity_destroy(home->identity);
	free(home);
}

int home_adopt(struct home *home, const struct pairing_welcome *welcome, struct fail *fail)
{
	bool changed;
	struct roster *roster = roster_create(welcome->home);
	if (!roster)
		return fail_set(fail, FAIL_MEMORY, "no memory for the roster");
	int result = roster_merge(roster, welcome->statements, welcome->n_statements, &changed, NULL,
				  fail);
	if (result == 0 && !roster_find(roster, home_self(home)))
		result = fail_set(fail, FAIL_INVALID,
				  "the other device's statements do not admit this one; try again");
	if (result != 0) {
		roster_destroy(roster);
		return result;
	}
	roster_destroy(home->roster);
	home->roster = roster;
	snprintf(home->label, sizeof(home->label), "%s", welcome->label);
	return home_save_roster(home, fail);
}

int home_reset(struct home *home, struct fail *fail)
{
	char path[PATH_MAX];
	struct identity *identity = identity_create(fail);
	if (!identity)
		return -(int)fail->code;
	/* the roster goes first: a crash in between finds an identity without a home, founds one */
	path_of(home, "roster.bin", path);
	if (unlink(path) != 0 && errno != ENOENT) {
		identity_destroy(identity);
		return fail_errno(fail, errno, "cannot remove %s", path);
	}
	path_of(home, "identity.key", path);
	const int result = identity_save(identity, path, fail);
	if (result != 0) {
		identity_destroy(identity);
		return result;
	}
	identity_destroy(home->identity);
	home->identity = identity;
	return found_home(home, fail);
}

const struct device_id *home_self(const struct home *home)
{
	return &home->identity->keys.id;
}

bool home_is_alone(const struct home *home)
{
	return roster_count(home->roster) <= 1;
}
