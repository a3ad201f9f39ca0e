/* maths.h: our own functions, because a C library's differ from machine to machine. Exact order of
 * operations, fused steps written out: the same bits everywhere. */
#ifndef COMPUTE_CPU_MATHS_H
#define COMPUTE_CPU_MATHS_H

/* e^x, error below 1 ulp; overflow to infinity, gradual underflow. NaN gives NaN. */
float maths_exp(float x);
/* Error below 2 ulp. */
float maths_tanh(float x);

/* For angles and frequencies; |x| < 2^31 for sine and cosine. Errors below 1e-15 absolute. */
void maths_sin_cos(double x, double *sine, double *cosine);
/* base^exponent for base > 0 and finite results; relative error below 1e-15. */
double maths_pow(double base, double exponent);

#endif
