/* Runs a fuzz target over files named on the command line, or over all files of a folder: the
 * committed seeds become a regression test under any compiler and sanitizer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	if (!file) {
		perror(path);
		return -1;
	}
	uint8_t *data = malloc(1 << 20);
	const size_t size = data ? fread(data, 1, 1 << 20, file) : 0;
	fclose(file);
	/* an exact allocation, so that one byte of over-read is seen */
	uint8_t *exact = malloc(size ? size : 1);
	if (!data || !exact)
		abort();
	memcpy(exact, data, size);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	free(data);
	return 1;
}

static int run_folder(const char *path)
{
	DIR *folder = opendir(path);
	if (!folder) {
		perror(path);
		return -1;
	}
	int count = 0;
	for (struct dirent *entry; (entry = readdir(folder));) {
		char name[4096];
		struct stat info;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (stat(name, &info) == 0 && S_ISREG(info.st_mode) && run_file(name) == 1)
			count++;
	}
	closedir(folder);
	return count;
}

int main(int argc, char **argv)
{
	int count = 0;
	for (int i = 1; i < argc; i++) {
		struct stat info;
		if (stat(argv[i], &info) != 0) {
			perror(argv[i]);
			return 1;
		}
		const int n = S_ISDIR(info.st_mode) ? run_folder(argv[i]) : run_file(argv[i]);
		if (n <= 0)
			return 1;
		count += n;
	}
	printf("%d inputs\n", count);
	return count > 0 ? 0 : 1;
}
