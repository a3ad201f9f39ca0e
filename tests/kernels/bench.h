/* bench.h: rates of the products, printed. */
#ifndef TESTS_KERNELS_BENCH_H
#define TESTS_KERNELS_BENCH_H

/* Arguments: names of types to measure ("Q4_K"), or none for all. Gives an exit status. */
int bench_products(int argc, char **argv);

#endif
