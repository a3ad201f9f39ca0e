/* process.h: what this process must not leave behind. One .c file per system. */
#ifndef DAEMON_PROCESS_H
#define DAEMON_PROCESS_H

/* Prompts, answers and keys lie in our memory: no core dump, and no other process of this user may
 * read it. */
void process_harden(void);

#endif
