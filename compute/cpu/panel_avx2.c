#include "compute/cpu/products_avx2.h"

#include "compute/cpu/avx2.h"
#include "compute/cpu/panel_avx2.h"

void avx2_matmul_panels(const struct matmul *product, uint32_t first, uint32_t end)
{
	panels_run(product, first, end);
}
