#include "daemon/ctl/term.h"

#include "base/clock.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BAR_WIDTH 24
#define REDRAW_MS 100

static struct {
	char label[32];
	int64_t start_ms, drawn_ms;
	bool shown;
	volatile sig_atomic_t interrupted;
} term;

const char *term_size(uint64_t bytes, char text[16])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	double value = (double)bytes;
	int unit = 0;
	while (value >= 1000 && unit < 4) {
		value /= 1000;
		unit++;
	}
	snprintf(text, 16, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return text;
}

static const char *amount(uint64_t value, bool bytes, char text[24])
{
	if (bytes)
		return term_size(value, text);
	snprintf(text, 24, "%llu", (unsigned long long)value);
	return text;
}

static void draw(uint64_t done, uint64_t total, bool bytes, int64_t now_ms)
{
	char first[24], second[24], bar[BAR_WIDTH + 1];
	if (total == 0) {
		fprintf(stderr, "\r\033[K%s", term.label);
		if (done > 0)
			fprintf(stderr, " %s", amount(done, bytes, first));
		return;
	}
	const double share = done >= total ? 1 : (double)done / (double)total;
	memset(bar, ' ', BAR_WIDTH);
	memset(bar, '#', (size_t)(share * BAR_WIDTH));
	bar[BAR_WIDTH] = 0;
	fprintf(stderr, "\r\033[K%s [%s] %s of %s", term.label, bar, amount(done, bytes, first),
		amount(total, bytes, second));
	const double taken_s = (double)(now_ms - term.start_ms) / 1000;
	if (share > 0.01 && share < 1 && taken_s > 1)
		fprintf(stderr, ", %.0f s left", taken_s * (1 - share) / share);
}

void term_bar(const char *label, uint64_t done, uint64_t total, bool bytes)
{
	const int64_t now_ms = clock_ms();
	const bool same = term.shown && strncmp(term.label, label, sizeof(term.label) - 1) == 0;
	if (!isatty(STDERR_FILENO) || (same && now_ms < term.drawn_ms + REDRAW_MS && done != total))
		return;
	if (!same) {
		snprintf(term.label, sizeof(term.label), "%s", label);
		term.start_ms = now_ms;
	}
	term.shown = true;
	term.drawn_ms = now_ms;
	draw(done, total, bytes, now_ms);
	fflush(stderr);
}

void term_clear(void)
{
	if (!term.shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	term.shown = false;
}

static void interrupt(int number)
{
	term.interrupted = 1;
}

void term_catch_interrupt(void)
{
	struct sigaction action;
	memset(&action, 0, sizeof(action));
	action.sa_handler = interrupt;
	action.sa_flags = (int)SA_RESETHAND;
	sigaction(SIGINT, &action, NULL);
}

bool term_interrupted(void)
{
	return term.interrupted != 0;
}
