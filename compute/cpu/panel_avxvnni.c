#include "compute/cpu/products_avxvnni.h"

#include "compute/cpu/avxvnni.h"
#include "compute/cpu/panel_avx2.h"

void avxvnni_matmul_panels(const struct matmul *product, uint32_t first, uint32_t end)
{
	panels_run(product, first, end);
}
