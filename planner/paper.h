/* paper.h: the scheduling problem of the paper (arXiv 2504.08791, "Halda"), as a baseline.
 *
 * Symbols of the paper: L layers; w_m layers of a device's window, n_m of them on its GPU; k rounds,
 * W = sum of w = L / k; B bytes of a layer, Bq with its KV cache, N = L Bq; a device has A of RAM, F
 * of GPU memory, a disk of speed s, and spends alpha per layer, alpha + beta per layer on the GPU,
 * xi per round. The time of a token is
 *
 *   T = k sum of (a_m w_m + b_m n_m + xi_m) + kappa
 *
 * with coefficients by set: M1 (macOS without Metal, overflowing), M2 (Metal, overflowing), M3 (Linux
 * or Android, overflowing), M4 (fits, or the disk is slower than 0.1 GB/s and must not be used):
 *
 *        a            b           condition
 *   M1   alpha + Bq/s 0           w > W (A - o) / N
 *   M2   alpha + B/s  beta        w > W (F - o) / N
 *   M3   alpha + Bq/s beta - Bq/s w - n > W (A - o) / N
 *   M4   alpha        beta        not so
 *   kappa: output, on the head; its embedding row and, unless the head is in M4, output matrix from
 *   disk; less A / s for every device in M1 and M3.      o = the head's output, else 0
 *   n <= W F / N, less the head's output with Metal; w >= 1
 *
 * The paper solves an integer programme for fixed sets and k and repeats with new sets. Here no
 * repetition is needed: each (w, n) belongs to exactly one set, so for each k (the divisors of L,
 * but L) a programme over the devices with h_m(w) = least cost over n gives the optimum over all
 * sets at once. Compute buffers are left out: our profiles reserve them. */
#ifndef PLANNER_PAPER_H
#define PLANNER_PAPER_H

#include "planner/home.h"

enum paper_system { PAPER_LINUX, PAPER_MACOS, PAPER_METAL };
enum paper_set { PAPER_M1 = 1, PAPER_M2, PAPER_M3, PAPER_M4 };

struct paper_device {
	enum paper_system system;
	double alpha_s, beta_s, xi_s;
	double ram_bytes;        /* A */
	double gpu_bytes;        /* F; 0: no GPU */
	double disk_bytes_per_s; /* s */
};

struct paper_problem {
	uint32_t n_devices; /* the head is the first */
	struct paper_device devices[PLAN_DEVICES_MAX];
	uint32_t n_layers;
	double layer_bytes;      /* B */
	double layer_full_bytes; /* Bq */
	double row_bytes;        /* of the embedding, Bi / V */
	double output_bytes;     /* Bo */
	double output_s;
};

struct paper_solution {
	double token_s; /* T */
	uint32_t rounds;
	uint32_t w[PLAN_DEVICES_MAX], n[PLAN_DEVICES_MAX];
	enum paper_set set[PLAN_DEVICES_MAX];
};

/* The optimum over sets, windows and k (or just `rounds`, when not 0). False: no solution. */
bool paper_solve(struct paper_solution *solution, const struct paper_problem *problem,
		 uint32_t rounds);

/* T of given windows, with the sets that they belong to; infinite when a condition is not met. */
double paper_cost(const struct paper_problem *problem, uint32_t rounds, const uint32_t *w,
		  const uint32_t *n, enum paper_set *set);

/* Makes the paper's plan: usable devices of one numerics version, head first, the ring in the order
 * of candidates; then the paper's selection: devices whose window is one layer are removed, all at
 * once, and the rest is solved again, until none is left. Without a pinned head each is tried. The
 * forecast is that of our own model with streaming; where that model cannot hold the plan (one
 * round streams nothing ahead), it is the paper's T, and the limit sentence says so. Profiles name
 * no operating system: all count as Linux. The pin may settle head and rounds only. FAIL_MEMORY: no
 * windows meet the paper's conditions. */
int plan_make_paper(struct plan *plan, const struct plan_candidate *candidates,
		    uint32_t n_candidates, const struct model_facts *facts,
		    const struct plan_options *options, struct fail *fail);

#endif
