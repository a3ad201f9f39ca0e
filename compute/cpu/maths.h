/* maths.h: our own functions, because a C library's differ from machine to machine. Exact order of
 * operations, fused steps written out: the same bits everywhere. */
#ifndef COMPUTE_CPU_MATHS_H
#define COMPUTE_CPU_MATHS_H

/* The steps of maths_exp, for variants that take them in vectors:
 *   t = fma(x, EXP_LOG2E, EXP_ROUND), the whole number k = t - EXP_ROUND also lies in t's low bits
 *   r = fma(k, -EXP_LN2_LOW, fma(k, -EXP_LN2_HIGH, x))
 *   p = fma(fma(...fma(EXP_C7, r, EXP_C6)..., r, EXP_C2), r * r, r) + 1
 *   (p * 2^(k >> 1)) * 2^(k - (k >> 1)), x being clamped to +-EXP_LIMIT before (NaN stays) */
#define EXP_LIMIT    128.0f
#define EXP_LOG2E    0x1.715476p+0f
#define EXP_ROUND    0x1.8p23f
#define EXP_LN2_HIGH 0x1.62e4p-1f
#define EXP_LN2_LOW  0x1.7f7d1cp-20f
#define EXP_C2       0x1p-1f
#define EXP_C3       0x1.555556p-3f
#define EXP_C4       0x1.555556p-5f
#define EXP_C5       0x1.111112p-7f
#define EXP_C6       0x1.6c16c2p-10f
#define EXP_C7       0x1.a01a02p-13f

/* e^x, error below 1.1 ulp; overflow to infinity, gradual underflow. NaN gives NaN. */
float maths_exp(float x);

/* 1 - 2 / (e^(2x) + 1); absolute error below 2^-22. NaN gives NaN. */
float maths_tanh(float x);

/* The tanh form of gelu: 2 sqrt(2/pi), and its weight of x^3. */
#define GELU_FACTOR 0x1.988454p+0f
#define GELU_CUBIC  0.044715f

/* The gate of gpt-oss: its slope, and where it and the other branch are clamped. */
#define CLAMPED_SLOPE 1.702f
#define CLAMPED_LIMIT 7.0f

/* For angles; |x| <= 2^24. Error below 2^-51. */
void maths_sin_cos(double x, double *sine, double *cosine);
/* ln(x) for a normal x > 0; relative error below 1e-15 away from 1. */
double maths_log(double x);
/* base^exponent for a normal base > 0 and a normal result; relative error below 1e-14. */
double maths_pow(double base, double exponent);

#endif
