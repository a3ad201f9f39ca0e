#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int read_all(int fd, size_t size, struct buf *out)
{
	size_t done = 0;
	uint8_t *to = buf_extend(out, size);
	if (!to && size > 0)
		return ENOMEM;
	while (done < size) {
		const ssize_t n = read(fd, to + done, size - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (n == 0)
			return EIO; /* the file became shorter while it was read */
		done += (size_t)n;
	}
	return 0;
}

int file_read(const char *path, size_t limit, struct buf *out, struct fail *fail)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return fail_errno(fail, errno, "cannot open %s", path);
	struct stat info;
	int result = 0;
	if (fstat(fd, &info) != 0)
		result = fail_errno(fail, errno, "cannot examine %s", path);
	else if (!S_ISREG(info.st_mode))
		result = fail_set(fail, FAIL_INVALID, "%s is not a regular file", path);
	else if ((uint64_t)info.st_size > limit)
		result = fail_set(fail, FAIL_INVALID, "%s has %lld bytes, more than the %zu allowed",
				  path, (long long)info.st_size, limit);
	else {
		const int error = read_all(fd, (size_t)info.st_size, out);
		if (error)
			result = fail_errno(fail, error, "cannot read %s", path);
	}
	close(fd);
	return result;
}

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
	while (size > 0) {
		const ssize_t n = write(fd, bytes, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		bytes += n;
		size -= (size_t)n;
	}
	return fsync(fd) == 0 ? 0 : errno;
}

static void sync_folder_of(const char *path)
{
	char folder[PATH_MAX];
	snprintf(folder, sizeof(folder), "%s", path);
	char *slash = strrchr(folder, '/');
	if (!slash)
		snprintf(folder, sizeof(folder), ".");
	else if (slash == folder)
		slash[1] = 0;
	else
		*slash = 0;
	const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
}

int file_replace(const char *path, const void *bytes, size_t size, unsigned mode, struct fail *fail)
{
	char temporary[PATH_MAX];
	if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int)sizeof(temporary))
		return fail_set(fail, FAIL_INVALID, "the path %s is too long", path);
	const int fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return fail_errno(fail, errno, "cannot make a temporary file beside %s", path);
	int error = fchmod(fd, mode) == 0 ? 0 : errno;
	if (!error)
		error = write_all(fd, bytes, size);
	if (close(fd) != 0 && !error)
		error = errno;
	if (!error && rename(temporary, path) != 0)
		error = errno;
	if (error) {
		unlink(temporary);
		return fail_errno(fail, error, "cannot write %s", path);
	}
	sync_folder_of(path);
	return 0;
}

int file_check_private(const char *path, struct fail *fail)
{
	struct stat info;
	if (lstat(path, &info) != 0)
		return fail_errno(fail, errno, "cannot examine %s", path);
	if (!S_ISREG(info.st_mode))
		return fail_set(fail, FAIL_DENIED, "%s is not a regular file", path);
	if (info.st_uid != geteuid())
		return fail_set(fail, FAIL_DENIED,
				"%s belongs to another user (%u); give it to the user that runs primad",
				path, (unsigned)info.st_uid);
	if (info.st_mode & 077)
		return fail_set(fail, FAIL_DENIED,
				"%s can be read or written by others (mode %03o); run: chmod 600 %s",
				path, (unsigned)(info.st_mode & 0777), path);
	return 0;
}

int file_make_folder(const char *path, unsigned mode, struct fail *fail)
{
	char part[PATH_MAX];
	if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
		return fail_set(fail, FAIL_INVALID, "the path %s is too long", path);
	for (char *at = part + 1;; at++) {
		if (*at != '/' && *at != 0)
			continue;
		const char end = *at;
		*at = 0;
		if (mkdir(part, mode) != 0 && errno != EEXIST)
			return fail_errno(fail, errno, "cannot make the folder %s", part);
		if (end == 0)
			return 0;
		*at = end;
	}
}

uint64_t file_space_left(const char *path)
{
	struct statvfs info;
	if (statvfs(path, &info) != 0)
		return 0;
	return (uint64_t)info.f_bavail * info.f_frsize;
}

int file_lock(const char *path, struct fail *fail)
{
	const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail_errno(fail, errno, "cannot open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	const int result = errno == EWOULDBLOCK
		? fail_set(fail, FAIL_BUSY, "%s is locked by another process", path)
		: fail_errno(fail, errno, "cannot lock %s", path);
	close(fd);
	return result;
}

bool file_join(char *out, size_t size, const char *folder, const char *name)
{
	const int n = snprintf(out, size, "%s/%s", folder, name);
	return n >= 0 && (size_t)n < size;
}

#define STATE_HEAD_BYTES 24
#define STATE_SUM_BYTES 32

static void checksum(uint8_t sum[STATE_SUM_BYTES], const uint8_t *head, const void *payload,
		     size_t size)
{
	crypto_generichash_state state;
	crypto_generichash_init(&state, NULL, 0, STATE_SUM_BYTES);
	crypto_generichash_update(&state, head, STATE_HEAD_BYTES);
	crypto_generichash_update(&state, payload, size);
	crypto_generichash_final(&state, sum, STATE_SUM_BYTES);
}

int state_file_write(const char *path, const char magic[8], uint32_t version, const void *payload,
		     size_t size, struct fail *fail)
{
	struct buf file;
	buf_init(&file);
	buf_append(&file, magic, 8);
	buf_u32(&file, version);
	buf_u32(&file, 0);
	buf_u64(&file, size);
	uint8_t sum[STATE_SUM_BYTES];
	if (!file.failed)
		checksum(sum, file.data, payload, size);
	buf_append(&file, sum, sizeof(sum));
	buf_append(&file, payload, size);
	int result;
	if (file.failed)
		result = fail_set(fail, FAIL_MEMORY, "no memory to write %s", path);
	else
		result = file_replace(path, file.data, file.size, 0600, fail);
	if (file.data)
		sodium_memzero(file.data, file.capacity); /* it may hold a key */
	buf_finish(&file);
	return result;
}

static int check_state_file(const char *path, const char magic[8], uint32_t newest,
			    uint32_t *version, const struct buf *file, struct fail *fail)
{
	struct reader reader;
	reader_init(&reader, file->data, file->size);
	const uint8_t *found = reader_take(&reader, 8);
	*version = reader_u32(&reader);
	reader_u32(&reader);
	const uint64_t size = reader_u64(&reader);
	const uint8_t *sum = reader_take(&reader, STATE_SUM_BYTES);
	if (!found || !sum || memcmp(found, magic, 8) != 0)
		return fail_set(fail, FAIL_CORRUPT,
				"%s is not a state file of this kind; move it away to start afresh",
				path);
	if (*version > newest)
		return fail_set(fail, FAIL_VERSION,
				"%s was written by a newer primad (format %u, this one reads %u); "
				"upgrade primad",
				path, *version, newest);
	uint8_t expected[STATE_SUM_BYTES];
	if (size == reader_left(&reader))
		checksum(expected, file->data, reader.next, size);
	if (size != reader_left(&reader) || sodium_memcmp(sum, expected, STATE_SUM_BYTES) != 0)
		return fail_set(fail, FAIL_CORRUPT,
				"%s is damaged (checksum); restore it from a backup or move it away",
				path);
	return 0;
}

int state_file_read(const char *path, const char magic[8], uint32_t newest, uint32_t *version,
		    struct buf *payload, struct fail *fail)
{
	struct buf file;
	buf_init(&file);
	int result = file_read(path, STATE_FILE_LIMIT, &file, fail);
	if (result == 0)
		result = check_state_file(path, magic, newest, version, &file, fail);
	if (result == 0) {
		const size_t head = STATE_HEAD_BYTES + STATE_SUM_BYTES;
		buf_append(payload, file.data + head, file.size - head);
		if (payload->failed)
			result = fail_set(fail, FAIL_MEMORY, "no memory to read %s", path);
	}
	if (file.data)
		sodium_memzero(file.data, file.capacity);
	buf_finish(&file);
	return result;
}
