#include "compute/cpu/kernels.h"

#include "compute/cpu/c.h"
#include "compute/cpu/formats.h"
#include "compute/cpu/platform.h"
#include "compute/cpu/rows.h"
/* Which variants exist is the build's choice: see meson.build. */
#ifdef HAVE_AVX2
#include "compute/cpu/avx2.h"
#endif
#ifdef HAVE_AVXVNNI
#include "compute/cpu/avxvnni.h"
#endif
#ifdef HAVE_AVX512
#include "compute/cpu/avx512.h"
#endif
#ifdef HAVE_NEON
#include "compute/cpu/neon.h"
#endif

#include <string.h>

struct variant {
	const struct kernels *kernels;
	bool (*available)(void);
	const char *needs;
};

/* The fastest first. */
static const struct variant variants[] = {
#ifdef HAVE_AVX512
	{ &kernels_avx512, platform_has_avx512, "AVX-512 F, BW, VL, DQ and VNNI" },
#endif
#ifdef HAVE_AVXVNNI
	{ &kernels_avxvnni, platform_has_avxvnni, "AVX2, FMA, F16C and AVX-VNNI" },
#endif
#ifdef HAVE_AVX2
	{ &kernels_avx2, platform_has_avx2, "AVX2, FMA and F16C" },
#endif
#ifdef HAVE_NEON
	{ &kernels_i8mm, platform_has_i8mm, "the I8MM instructions" },
	{ &kernels_neon, platform_has_dotprod, "the DotProd instructions" },
#endif
	{ &kernels_c, platform_has_fma, "fused multiply-add" },
};

static const struct kernels *named(const char *name, struct fail *fail)
{
	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
		if (strcmp(variants[i].kernels->name, name) != 0)
			continue;
		if (variants[i].available())
			return variants[i].kernels;
		fail_set(fail, FAIL_UNSUPPORTED,
			 "the kernels '%s' need %s, which this processor lacks", name,
			 variants[i].needs);
		return NULL;
	}
	fail_set(fail, FAIL_NOT_FOUND, "this build has no kernels named '%s'", name);
	return NULL;
}

const struct kernels *kernels_select(const char *force, struct fail *fail)
{
	if (force)
		return named(force, fail);
	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++)
		if (variants[i].available())
			return variants[i].kernels;
	fail_set(fail, FAIL_UNSUPPORTED,
		 "no FMA: this processor lacks fused multiply-add, without which its results would "
		 "differ from other devices'");
	return NULL;
}

void kernels_prepare_thread(void)
{
	platform_prepare_float();
}

enum row_format row_format_of(uint32_t tensor_type)
{
	return format_of(tensor_type) ? ROW_I8 : ROW_F32;
}

size_t row_bytes(enum row_format format, uint32_t n)
{
	return format == ROW_F32 ? row_round((size_t)n * sizeof(float)) : row_end(n);
}

size_t weight_row_bytes(uint32_t tensor_type, uint32_t n)
{
	const struct format *format = format_of(tensor_type);
	if (format)
		return (size_t)(n / format->size) * format->bytes;
	return (size_t)n * (tensor_type == TENSOR_F32 ? 4 : 2);
}
