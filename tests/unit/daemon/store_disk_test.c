/* A full disk: a small file system of its own, where that is allowed. */
#include "store_steps.h"

#include <sched.h>
#include <sys/mount.h>

static void fill(const char *folder)
{
	char path[600], block[4096] = { 0 };
	snprintf(path, sizeof(path), "%s/filler", folder);
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	while (fwrite(block, 1, sizeof(block), file) == sizeof(block) && fflush(file) == 0)
		;
	fclose(file);
}

static void on_a_small_disk(const char *disk)
{
	struct buf file;
	struct fail fail;
	make_file(&file, 1, 0);
	struct store *a = open_store("a", 0), *b = open_store("disk/b", 1u << 30);
	const struct store_model added = upload(a, "tiny", &file);
	assert_null(addition_upload(b, "big", 15u << 20, &fail));
	assert_int_equal(fail.code, FAIL_SPACE);
	assert_non_null(strstr(fail.text, "the disk of"));
	adopt(a, b, &added.id);
	struct addition *addition = addition_upload(b, "tiny", file.size, &fail);
	if (!addition)
		fail_msg("%s", fail.text);
	fill(disk); /* somebody else was faster */
	assert_int_equal(addition_write(addition, file.data, file.size, &fail), -FAIL_SPACE);
	assert_non_null(strstr(fail.text, "No space left"));
	assert_int_equal(fetch_chunk(a, b, &added.id, 1, &fail), -FAIL_SPACE);
	assert_non_null(strstr(fail.text, "model rm"));
	addition_destroy(addition);
	char path[600];
	snprintf(path, sizeof(path), "%s/filler", disk);
	assert_int_equal(unlink(path), 0);
	/* with room again everything goes on */
	assert_int_equal(fetch(a, b, &added.id, &want_all), 23);
	struct store_model model;
	assert_true(store_get(b, &added.id, &model) && model.whole);
	buf_finish(&file);
	store_close(a);
	store_close(b);
}

static void says_when_the_disk_is_full(void **state)
{
	(void)state;
	char disk[512];
	path_in(disk, "disk", NULL);
	assert_int_equal(mkdir(disk, 0700), 0);
	/* in a namespace of this process: nothing is left mounted, whatever happens */
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("tmpfs", disk, "tmpfs", 0, "size=16m") != 0)
		skip();
	on_a_small_disk(disk);
	assert_int_equal(umount2(disk, MNT_DETACH), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(says_when_the_disk_is_full),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
