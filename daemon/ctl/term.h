/* term.h: what a person at a terminal sees besides answers: progress on standard error. Does nothing
 * when standard error is not a terminal. */
#ifndef DAEMON_CTL_TERM_H
#define DAEMON_CTL_TERM_H

#include <stdbool.h>
#include <stdint.h>

/* "label [#####     ] 120.0 MB of 240.0 MB, 2 s left"; without a total, what is done so far. A bar
 * of another label starts its clock anew. `bytes`: done and total are bytes. */
void term_bar(const char *label, uint64_t done, uint64_t total, bool bytes);
void term_clear(void); /* removes the bar */

/* "1.2 MB" (decimal); gives `text`. */
const char *term_size(uint64_t bytes, char text[16]);

/* From here on Ctrl-C sets a flag instead of ending the program; a second one ends it. */
void term_catch_interrupt(void);
bool term_interrupted(void);

#endif
