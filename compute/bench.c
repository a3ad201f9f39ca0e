#include "compute/bench.h"

#include "base/clock.h"
#include "base/file.h"
#include "compute/cpu/backend_cpu.h"
#include "compute/cpu/matmul.h"
#include "compute/cpu/rope.h"
#include "compute/uncached.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PRODUCT_BYTES       (64u << 20) /* of weights: more than the caches hold */
#define FILL_BYTES          65521u      /* no multiple of a block */
#define PRODUCT_SHARE       4           /* and at most such a part of all memory */
#define PRODUCT_BYTES_MAX   (1u << 30)
#define PRODUCT_PIECES_MAX  32u
#define PRODUCT_PIECE_OUTS  256u /* of a single matrix: enough for all threads */
#define ATTENTION_POSITIONS 4096u
#define ATTENTION_HEADS     4u
#define ATTENTION_QUERIES   4u
#define DISK_BYTES_MAX      (64u << 20)
#define DISK_BYTES_MIN      (4u << 20)
#define DISK_READ_BYTES     (1u << 20)

/* ---- memory ---- */

/* Bytes between 0x20 and 0x3f: whatever a format reads from them, no float of it is infinite, NaN
 * or subnormal, so that every type runs at its usual speed. */
static void fill(uint8_t *bytes, size_t size)
{
	const size_t first = size < FILL_BYTES ? size : FILL_BYTES;
	uint32_t state = 1;
	for (size_t i = 0; i < first; i++) {
		state = state * 1664525u + 1013904223u;
		bytes[i] = (uint8_t)(0x20 | state >> 27);
	}
	for (size_t i = first; i < size; i += first)
		memcpy(bytes + i, bytes, size - i < first ? size - i : first);
}

/* Charged, on pages of its own, so that the system has all of it back; filled. NULL when there is
 * no room. Give back with `release`. */
static uint8_t *take(const struct backend *backend, size_t size)
{
	if (!account_charge(backend_account(backend), ACCOUNT_BUFFERS, size))
		return NULL;
	uint8_t *bytes =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bytes == MAP_FAILED) {
		account_release(backend_account(backend), ACCOUNT_BUFFERS, size);
		return NULL;
	}
	fill(bytes, size);
	return bytes;
}

static void release(const struct backend *backend, uint8_t *bytes, size_t size)
{
	if (!bytes)
		return;
	account_release(backend_account(backend), ACCOUNT_BUFFERS, size);
	munmap(bytes, size);
}

/* Seconds of one call: the best of as many as fit the budget, at least three. Other work on the
 * machine makes a call slower, never faster. */
static double best_of(void (*call)(void *context), void *context, int64_t budget_ms)
{
	const int64_t end_us = clock_us() + budget_ms * 1000;
	int64_t best_us = INT64_MAX;
	for (int i = 0; i < 3 || clock_us() < end_us; i++) {
		const int64_t begin_us = clock_us();
		call(context);
		const int64_t took_us = clock_us() - begin_us;
		best_us = took_us < best_us ? took_us : best_us;
	}
	return (double)(best_us > 0 ? best_us : 1) / 1e6;
}

/* ---- products ---- */

struct product_bench {
	struct backend *backend;
	struct matmul product;
	size_t matrix_bytes, row_size;
	uint32_t n_matrices; /* one after the other, so that none stays in the caches */
	uint8_t *weights, *rows, *out;
	int64_t budget_ms;
	uint32_t n_pieces; /* that are timed apart */
	int64_t best_us[PRODUCT_PIECES_MAX];
	double seconds;
};

static void multiply(struct product_bench *bench, const struct matmul *product)
{
	matmul_run(backend_pool(bench->backend), backend_kernels(bench->backend), product, 1);
}

/* Some of the matrices, or of a single one some of its columns of outputs. */
static void multiply_piece(struct product_bench *bench, uint32_t piece)
{
	const uint32_t n = bench->n_matrices > 1 ? bench->n_matrices : bench->product.n_out;
	const uint32_t first = n * piece / bench->n_pieces;
	const uint32_t end = n * (piece + 1) / bench->n_pieces;
	struct matmul product = bench->product;
	product.weights = bench->weights;
	if (bench->n_matrices == 1) {
		product.n_out = end - first;
		product.weights += first * (bench->matrix_bytes / n);
		product.out += first;
		multiply(bench, &product);
		return;
	}
	for (uint32_t i = first; i < end; i++) {
		product.weights = bench->weights + i * bench->matrix_bytes;
		multiply(bench, &product);
	}
}

/* All of it in short pieces, each as fast as it ever was: where others use the cores too, a piece
 * is between two of their turns now and then, a whole pass never is. */
static void product_call(void *context)
{
	struct product_bench *bench = context;
	for (uint32_t i = 0; i < bench->n_pieces; i++) {
		const int64_t begin_us = clock_us();
		multiply_piece(bench, i);
		const int64_t took_us = clock_us() - begin_us;
		if (took_us < bench->best_us[i])
			bench->best_us[i] = took_us;
	}
}

static void product_lead(void *context)
{
	struct product_bench *bench = context;
	const struct matmul *product = &bench->product;
	const float *x = (const float *)(const void *)bench->out; /* any values: not yet written */
	for (uint32_t i = 0; i < product->n_rows; i++)
		backend_kernels(bench->backend)
			->quantize_row(row_format_of(product->type), x, product->n_in,
				       bench->rows + i * bench->row_size);
	for (uint32_t i = 0; i < bench->n_pieces; i++)
		multiply_piece(bench, i); /* touches everything once */
	for (uint32_t i = 0; i < bench->n_pieces; i++)
		bench->best_us[i] = INT64_MAX;
	best_of(product_call, bench, bench->budget_ms);
	int64_t sum_us = 0;
	for (uint32_t i = 0; i < bench->n_pieces; i++)
		sum_us += bench->best_us[i];
	bench->seconds = (double)(sum_us > 0 ? sum_us : 1) / 1e6 / bench->n_matrices;
}

static size_t out_floats(const struct matmul *product)
{
	const size_t floats = (size_t)product->n_rows * product->n_out;
	return floats > product->n_in ? floats : product->n_in;
}

/* A guest: however much there is, no more than a share of what the model at hand may need. */
static size_t product_bytes(const struct product_bench *bench)
{
	const uint64_t share =
		atomic_load(&backend_account(bench->backend)->limit_bytes) / PRODUCT_SHARE;
	return share < PRODUCT_BYTES ? (size_t)share : PRODUCT_BYTES;
}

static bool product_take(struct product_bench *bench)
{
	const struct matmul *product = &bench->product;
	bench->rows = take(bench->backend, product->n_rows * bench->row_size);
	bench->out = take(bench->backend, out_floats(product) * sizeof(float));
	/* many rows are bound by arithmetic: where the weights lie does not matter then */
	bench->n_matrices = product->n_rows > 1
				    ? 1
				    : (uint32_t)(product_bytes(bench) / bench->matrix_bytes) + 1;
	if (bench->rows && bench->out)
		bench->weights = take(bench->backend, bench->n_matrices * bench->matrix_bytes);
	while (bench->rows && bench->out && !bench->weights && bench->n_matrices > 1) {
		bench->n_matrices /= 2; /* a device with little memory: nearer to its caches */
		bench->weights = take(bench->backend, bench->n_matrices * bench->matrix_bytes);
	}
	bench->n_pieces =
		bench->n_matrices > 1 ? bench->n_matrices : product->n_out / PRODUCT_PIECE_OUTS;
	bench->n_pieces =
		bench->n_pieces < PRODUCT_PIECES_MAX ? bench->n_pieces : PRODUCT_PIECES_MAX;
	bench->n_pieces += bench->n_pieces == 0;
	bench->product.rows = bench->rows;
	bench->product.out = (float *)(void *)bench->out;
	return bench->weights != NULL;
}

double bench_product(struct backend *backend, uint32_t type, uint32_t out, uint32_t in,
		     uint32_t rows, int64_t budget_ms)
{
	const uint32_t block = tensor_type_supported(type) ? tensor_type_block(type) : 0;
	if (block == 0 || in < block || out == 0 || rows == 0)
		return 0;
	in = in / block * block;
	struct product_bench bench = {
		.backend = backend,
		.product = { .type = type,
			     .n_in = in,
			     .n_out = out,
			     .n_rows = rows,
			     .out_stride = out },
		.matrix_bytes = weight_row_bytes(type, in) * out,
		.row_size = row_bytes(row_format_of(type), in),
		.budget_ms = budget_ms,
	};
	double rate = 0;
	if (bench.matrix_bytes <= PRODUCT_BYTES_MAX && product_take(&bench)) {
		backend_call(backend, product_lead, &bench);
		rate = (double)out * in / bench.seconds;
	}
	release(backend, bench.weights, bench.n_matrices * bench.matrix_bytes);
	release(backend, bench.rows, rows * bench.row_size);
	release(backend, bench.out, out_floats(&bench.product) * sizeof(float));
	return rate;
}

/* ---- a layer beside its products ---- */

#define OVERHEAD_RUNS 5u  /* times the threads meet in a layer: qkv, attention, out, in, down */
#define OVERHEAD_WIDE 4u  /* width of the FFN, in embeddings */
#define OVERHEAD_HEAD 64u /* width of a head */

struct overhead_bench {
	struct backend *backend;
	uint32_t n_embd;
	float *x, *y, *table; /* [OVERHEAD_WIDE * n_embd], likewise, [OVERHEAD_HEAD] */
	uint8_t *row;
	int64_t budget_ms;
	double seconds;
};

static void nothing(void *context, uint32_t piece, uint32_t thread)
{
}

/* What one row passes in a layer with norms on both sides, as forward.c does it. */
static void overhead_call(void *context)
{
	struct overhead_bench *b = context;
	const struct kernels *kernels = backend_kernels(b->backend);
	const uint32_t n = b->n_embd, wide = OVERHEAD_WIDE * n;
	struct pool *pool = backend_pool(b->backend);
	for (uint32_t i = 0; i < 4; i++)
		kernels->rms_norm(b->x, b->x, b->y, n, 1e-6f);
	kernels->quantize_row(ROW_I8, b->x, n, b->row);
	kernels->quantize_row(ROW_I8, b->y, n, b->row);
	kernels->quantize_row(ROW_I8, b->x, n, b->row);
	kernels->quantize_row(ROW_I8, b->y, wide, b->row);
	kernels->rope(b->x, n / OVERHEAD_HEAD, OVERHEAD_HEAD, OVERHEAD_HEAD, ROPE_HALVES, b->table);
	kernels->activate(ACTIVATION_SILU, b->x, b->y, wide);
	kernels->add(b->x, b->y, n);
	kernels->add(b->x, b->y, n);
	for (uint32_t i = 0; i < OVERHEAD_RUNS; i++)
		pool_run(pool, nothing, NULL, 2 * pool_threads(pool));
}

static void overhead_lead(void *context)
{
	struct overhead_bench *bench = context;
	const double turns[OVERHEAD_HEAD / 2] = { 1 };
	rope_table(bench->table, turns, OVERHEAD_HEAD, 1, 7);
	bench->seconds = best_of(overhead_call, bench, bench->budget_ms);
}

double bench_layer_overhead(struct backend *backend, uint32_t n_embd, int64_t budget_ms)
{
	struct overhead_bench bench = { .backend = backend, .budget_ms = budget_ms };
	bench.n_embd = n_embd / OVERHEAD_HEAD * OVERHEAD_HEAD;
	if (bench.n_embd == 0)
		bench.n_embd = OVERHEAD_HEAD;
	const size_t wide = (size_t)OVERHEAD_WIDE * bench.n_embd;
	const size_t row = row_bytes(ROW_I8, (uint32_t)wide);
	const size_t size = (2 * wide + OVERHEAD_HEAD) * sizeof(float) + row;
	uint8_t *memory = take(backend, size);
	if (!memory)
		return 0;
	bench.row = memory;
	bench.x = (float *)(void *)(memory + row);
	bench.y = bench.x + wide;
	bench.table = bench.y + wide;
	backend_call(backend, overhead_lead, &bench);
	release(backend, memory, size);
	return bench.seconds;
}

/* ---- attention ---- */

struct attention_bench {
	struct backend *backend;
	struct attention shape;
	const uint8_t *pages[ATTENTION_POSITIONS / ATTENTION_TILE];
	const float *q;
	float *partials;
	int64_t budget_ms;
	double seconds;
};

static void attention_piece(void *context, uint32_t piece, uint32_t thread)
{
	struct attention_bench *bench = context;
	const uint32_t tiles = ATTENTION_POSITIONS / ATTENTION_TILE;
	const uint32_t tile = piece % tiles;
	struct attention attention = bench->shape;
	const size_t head = 2 * kv_head_bytes(KV_F16, attention.head_k);
	attention.key_offset += piece / tiles * head;
	attention.value_offset += piece / tiles * head;
	backend_kernels(bench->backend)
		->attention_tile(&attention, bench->q, ATTENTION_POSITIONS - 1, tile,
				 bench->partials + piece * attention_partial_floats(&attention));
}

static void attention_call(void *context)
{
	struct attention_bench *bench = context;
	pool_run(backend_pool(bench->backend), attention_piece, bench,
		 ATTENTION_HEADS * (ATTENTION_POSITIONS / ATTENTION_TILE));
}

static void attention_lead(void *context)
{
	struct attention_bench *bench = context;
	bench->seconds = best_of(attention_call, bench, bench->budget_ms);
}

double bench_attention(struct backend *backend, uint32_t head_width, int64_t budget_ms)
{
	const uint32_t tiles = ATTENTION_POSITIONS / ATTENTION_TILE;
	const uint32_t width = head_width < 8 ? 8 : head_width / 8 * 8;
	const size_t head = kv_head_bytes(KV_F16, width);
	struct attention_bench bench = { .backend = backend, .budget_ms = budget_ms };
	if (width > ATTENTION_WIDTH_MAX)
		return 0;
	bench.shape = (struct attention){
		.head_k = width,
		.head_v = width,
		.n_q = ATTENTION_QUERIES,
		.n_kv = 1,
		.scale = 0.125f,
		.pages = bench.pages,
		.value_offset = head,
	};
	const size_t kv = 2 * head * ATTENTION_HEADS * tiles;
	const size_t q = (size_t)ATTENTION_QUERIES * width * sizeof(float);
	const size_t partials =
		attention_partial_floats(&bench.shape) * ATTENTION_HEADS * tiles * sizeof(float);
	uint8_t *memory = take(backend, kv + q + partials);
	if (!memory)
		return 0;
	for (uint32_t i = 0; i < tiles; i++)
		bench.pages[i] = memory + i * 2 * head * ATTENTION_HEADS;
	bench.q = (const float *)(const void *)(memory + kv);
	bench.partials = (float *)(void *)(memory + kv + q);
	backend_call(backend, attention_lead, &bench);
	release(backend, memory, kv + q + partials);
	return (double)kv / bench.seconds;
}

/* ---- the disk ---- */

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
	while (size > 0) {
		const ssize_t put = write(fd, bytes, size);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put < 0 ? errno : EIO;
		bytes += put;
		size -= (size_t)put;
	}
	return 0;
}

/* Writes for half of the budget, then flushes; gives the bytes in `*size`, 0 or errno. */
static int disk_write(int fd, const uint8_t *bytes, int64_t budget_ms, size_t *size)
{
	const int64_t end_us = clock_us() + budget_ms * 500;
	int error = 0;
	*size = 0;
	while (!error && *size < DISK_BYTES_MAX &&
	       (*size < DISK_BYTES_MIN || clock_us() < end_us)) {
		error = write_all(fd, bytes, DISK_READ_BYTES);
		*size += DISK_READ_BYTES;
	}
	if (!error && fsync(fd) < 0)
		error = errno;
	return error;
}

/* Bytes per second, or 0 and errno. */
static double disk_read(int fd, uint8_t *bytes, size_t size)
{
	const int64_t begin_us = clock_us();
	size_t done = 0;
	while (done < size) {
		const ssize_t got = pread(fd, bytes, DISK_READ_BYTES, (off_t)done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		done += (size_t)got;
	}
	const int error = errno;
	const int64_t took_us = clock_us() - begin_us;
	errno = error;
	return done == size ? (double)size * 1e6 / (double)(took_us > 0 ? took_us : 1) : 0;
}

static double measure_disk(int fd, uint8_t *bytes, int64_t budget_ms)
{
	size_t size;
	fill(bytes, DISK_READ_BYTES);
	errno = disk_write(fd, bytes, budget_ms, &size);
	if (errno)
		return 0;
	uncached_begin(fd);
	return disk_read(fd, bytes, size);
}

double bench_disk(const char *folder, int64_t budget_ms, struct fail *fail)
{
	if (file_space_left(folder) < 4ull * DISK_BYTES_MAX) {
		fail_set(fail, FAIL_SPACE, "%s has too little free space to measure its disk",
			 folder);
		return 0;
	}
	uint8_t *bytes = aligned_alloc(UNCACHED_ALIGN, DISK_READ_BYTES);
	const int fd = bytes ? uncached_create(folder) : -1;
	if (fd < 0) {
		fail_errno(fail, bytes ? errno : ENOMEM, "cannot measure the disk of %s", folder);
		free(bytes);
		return 0;
	}
	const double rate = measure_disk(fd, bytes, budget_ms);
	if (rate == 0)
		fail_errno(fail, errno ? errno : EIO, "cannot measure the disk of %s", folder);
	close(fd);
	free(bytes);
	return rate;
}
