#include "compute/cpu/products_avxvnni.h"

#include "compute/cpu/avxvnni.h"
#include "compute/cpu/direct_avx2.h"

void avxvnni_matmul_direct(const struct matmul *product, uint32_t first, uint32_t end)
{
	functions[product->type](product, first, end);
}
