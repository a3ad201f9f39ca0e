#include "compute/cpu/products_avx2.h"

#include "compute/cpu/avx2.h"
#include "compute/cpu/direct_avx2.h"

void avx2_matmul_direct(const struct matmul *product, uint32_t first, uint32_t end)
{
	functions[product->type](product, first, end);
}
