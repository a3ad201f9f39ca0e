#include "compute/cpu/matmul.h"

#include <assert.h>

/* Pieces per thread and run: enough for a busy core to hand over what it cannot do. */
#define PIECES_PER_THREAD 8u
/* A piece of fewer bytes of weights (times rows) costs more to hand out than it shares. */
#define PIECE_WORK_MIN (16u << 10)

struct share {
	const struct kernels *kernels;
	const struct matmul *products;
	uint32_t n_products;
	uint32_t rows[MATMUL_MAX];     /* outputs a piece */
	uint32_t n_pieces[MATMUL_MAX]; /* of each product */
};

static uint32_t divide_up(uint32_t a, uint32_t b)
{
	return (a + b - 1) / b;
}

static void run_piece(void *context, uint32_t piece, uint32_t thread)
{
	const struct share *share = context;
	uint32_t p = 0;
	while (piece >= share->n_pieces[p])
		piece -= share->n_pieces[p++];
	const struct matmul *product = &share->products[p];
	const uint32_t first = piece * share->rows[p], left = product->n_out - first;
	share->kernels->matmul(product, first,
			       first + (left < share->rows[p] ? left : share->rows[p]));
}

/* Outputs a piece: an even share, but no less work than is worth a hand-out. */
static uint32_t piece_rows(const struct matmul *product, uint32_t pieces)
{
	const uint64_t row_work =
		(uint64_t)weight_row_bytes(product->type, product->n_in) * product->n_rows;
	const uint32_t worth = (uint32_t)(PIECE_WORK_MIN / (row_work + 1)) + 1;
	const uint32_t even = divide_up(product->n_out, pieces);
	return divide_up(worth > even ? worth : even, MATMUL_ROWS) * MATMUL_ROWS;
}

void matmul_run(struct pool *pool, const struct kernels *kernels, const struct matmul *products,
		uint32_t n_products)
{
	assert(n_products <= MATMUL_MAX);
	struct share share = { .kernels = kernels, .products = products, .n_products = n_products };
	const uint32_t pieces = pool_threads(pool) * PIECES_PER_THREAD;
	uint32_t total = 0;
	for (uint32_t p = 0; p < n_products; p++) {
		share.rows[p] = piece_rows(&products[p], pieces);
		share.n_pieces[p] = divide_up(products[p].n_out, share.rows[p]);
		total += share.n_pieces[p];
	}
	pool_run(pool, run_piece, &share, total);
}
