#include "compute/cpu/matmul.h"

#include <assert.h>

/* Pieces per thread and run: enough for a busy core to hand over what it cannot do. */
#define PIECES_PER_THREAD 16u
/* Work of a piece in bytes of weights times rows: with less, it costs more to hand out than it
 * shares; with more, the others wait long for the last one. */
#define PIECE_WORK_MIN (16u << 10)
#define PIECE_WORK_MAX (1u << 20)

struct share {
	const struct kernels *kernels;
	const struct matmul *products;
	uint32_t rows[MATMUL_MAX]; /* outputs a piece */
	uint32_t end[MATMUL_MAX];  /* pieces of this product and all before it */
};

static uint32_t divide_up(uint32_t a, uint32_t b)
{
	return (a + b - 1) / b;
}

static void run_piece(void *context, uint32_t piece, uint32_t thread)
{
	const struct share *share = context;
	uint32_t p = 0;
	while (piece >= share->end[p])
		p++;
	const struct matmul *product = &share->products[p];
	const uint32_t before = p > 0 ? share->end[p - 1] : 0;
	const uint32_t first = (piece - before) * share->rows[p], left = product->n_out - first;
	share->kernels->matmul(product, first,
			       first + (left < share->rows[p] ? left : share->rows[p]));
}

/* Of one output. */
static uint64_t work_of(const struct matmul *product)
{
	return (uint64_t)weight_row_bytes(product->type, product->n_in) * product->n_rows + 1;
}

/* Work of a piece: an even share of all, within the bounds of what is worth handing out. */
static uint64_t piece_work(const struct matmul *products, uint32_t n_products, uint32_t threads)
{
	uint64_t work = 0;
	for (uint32_t p = 0; p < n_products; p++)
		work += work_of(&products[p]) * products[p].n_out;
	work /= threads * PIECES_PER_THREAD;
	work = work < PIECE_WORK_MAX ? work : PIECE_WORK_MAX;
	return work > PIECE_WORK_MIN ? work : PIECE_WORK_MIN;
}

void matmul_run(struct pool *pool, const struct kernels *kernels, const struct matmul *products,
		uint32_t n_products)
{
	assert(n_products <= MATMUL_MAX);
	struct share share = { .kernels = kernels, .products = products };
	const uint64_t work = piece_work(products, n_products, pool_threads(pool));
	uint32_t total = 0;
	for (uint32_t p = 0; p < n_products; p++) {
		const uint32_t rows = (uint32_t)(work / work_of(&products[p])) + 1;
		share.rows[p] = divide_up(rows, MATMUL_ROWS) * MATMUL_ROWS;
		total += divide_up(products[p].n_out, share.rows[p]);
		share.end[p] = total;
	}
	pool_run(pool, run_piece, &share, total);
}
