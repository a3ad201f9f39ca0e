/* cores.h: how many threads of this process can run at the same time. One file per system. */
#ifndef COMPUTE_CPU_CORES_H
#define COMPUTE_CPU_CORES_H

#include <stdint.h>

/* Cores that the process may use (affinity counts where the system has it); at least 1. */
uint32_t cores_usable(void);

#endif
