/* file.h: files that belong to a person. Nothing is ever half written: a new content goes to a
 * temporary file beside the old one, is flushed, and takes its name in one step. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buf.h"
#include "base/fail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads a whole regular file of at most `limit` bytes. FAIL_NOT_FOUND when there is none.
 * Symbolic links are not followed. */
int file_read(const char *path, size_t limit, struct buf *out, struct fail *fail);

/* Replaces `path` by these bytes: temporary file, fsync, rename, fsync of the folder.
 * `mode` is the new file's mode, for example 0600. */
int file_replace(const char *path, const void *bytes, size_t size, unsigned mode,
		 struct fail *fail);

/* 0 when `path` is a regular file of this user that no other may read or write. FAIL_NOT_FOUND when
 * there is none, else FAIL_DENIED with what to do. For files that hold keys. */
int file_check_private(const char *path, struct fail *fail);

/* Makes the folder and its parents where they are missing; `mode` applies to new ones. */
int file_make_folder(const char *path, unsigned mode, struct fail *fail);

/* Free bytes for an unprivileged writer in the file system of `path`; 0 when unknown. */
uint64_t file_space_left(const char *path);

/* Makes the file where it is missing and locks it until the descriptor is closed or the process
 * ends. FAIL_BUSY: another process has it. Gives the descriptor, or a negative code. */
int file_lock(const char *path, struct fail *fail);

/* Joins with one slash into `out`; false when it does not fit. */
bool file_join(char *out, size_t size, const char *folder, const char *name);

/* ---- state files: an 8-byte magic, u32 format version, u32 zero, u64 payload size, 32 bytes
 * BLAKE2b-256 of all before and of the payload, then the payload. ---- */

#define STATE_FILE_LIMIT (16u << 20) /* the hash lists of very large models take most of it */

/* Writes the payload as a state file of mode 0600. `magic` has 8 bytes. */
int state_file_write(const char *path, const char magic[8], uint32_t version, const void *payload,
		     size_t size, struct fail *fail);

/* Reads and checks; gives the file's version in `*version` (at most `newest`) so that the caller
 * can upgrade an older payload. FAIL_NOT_FOUND: no file. FAIL_CORRUPT: bad magic, size or
 * checksum. FAIL_VERSION: newer than `newest`. In the last two cases the file is left untouched. */
int state_file_read(const char *path, const char magic[8], uint32_t newest, uint32_t *version,
		    struct buf *payload, struct fail *fail);

#endif
