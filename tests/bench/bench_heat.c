/*
 * bench_heat.c - a map of cosines drawn again, at every zoom, against one frame of 16 ms.
 *
 *   bench_heat [rows d_in]
 *
 * A redraw is what the view does for a key: the cells on a screen of 200 x 60, two a
 * character, are looked up and painted. Zooms finer than the map's own blocks take theirs
 * from a part that a job has computed before, as on the screen.
 */
#include <string.h>

#include "io/mem.h"
#include "io/team.h"
#include "model/heat.h"
#include "tui/canvas.h"
#include "tui/wid_heat.h"
#include "rows.h"

enum { COLS = 200, ROWS = 60, REPEATS = 20 };

static void make_rows(struct match_rows *r, int64_t rows, int64_t cols)
{
    uint64_t s = 3;
    float *v = xmalloc((size_t)(rows * cols) * sizeof *v);
    for (int64_t i = 0; i < rows * cols; i++)
        v[i] = (float)bench_normal(&s);
    bench_unit_rows(r, v, rows, cols);
    free(v);
}

struct redraw {
    const struct heat *heat;
    const struct heat_blocks *part;
    struct heat_window window;
    float *value;
    struct canvas canvas;
};

static void redraw(void *ctx)
{
    struct redraw *r = ctx;
    heat_look(r->heat, r->part, &r->window, r->value);
    canvas_clear(&r->canvas, INK_TEXT);
    wid_heat_paint(&r->canvas, &(struct wid_heat){.value = r->value, .n_r = (int)r->window.n_r,
                                                  .n_c = (int)r->window.n_c, .half = true,
                                                  .cell_cols = 1, .scale = 1, .cursor_r = -1,
                                                  .cursor_c = -1});
}

/* Milliseconds of a redraw whose cells are blocks of `block` x `block`. */
static double zoom(const struct heat *h, int64_t rows, int64_t block)
{
    struct heat_blocks part = {0};
    struct err err = {0};
    int64_t n_r = (rows + block - 1) / block, n_c = n_r;
    n_r = n_r < 2 * ROWS ? n_r : 2 * ROWS;
    n_c = n_c < COLS ? n_c : COLS;
    bool finer = block < h->blocks.block_r;
    if (finer)
        bench_need(heat_part(h, 0, 0, n_r * block, n_c * block, block, block,
                             team_default_threads(), NULL, &part, &err) ? h : NULL, &err);
    struct redraw r = {.heat = h, .part = finer ? &part : NULL,
                       .window = {0, 0, block, block, n_r, n_c, HEAT_STRONGEST},
                       .value = xmalloc((size_t)(n_r * n_c) * sizeof(float))};
    canvas_init(&r.canvas, ROWS, COLS);
    double ms = bench_least(redraw, &r, REPEATS);
    canvas_finish(&r.canvas);
    free(r.value);
    heat_blocks_finish(&part);
    return ms;
}

int main(int argc, char **argv)
{
    int64_t rows = argc > 2 ? atoll(argv[1]) : 8192, cols = argc > 2 ? atoll(argv[2]) : 768;
    struct match_rows a;
    struct heat h;
    struct err err = {0};
    make_rows(&a, rows, cols);
    double start = clock_seconds(), most = 0;
    bench_need(heat_init(&h, &a, NULL, NULL, NULL, &err) ? &h : NULL, &err);
    bench_need(heat_compute(&h, team_default_threads(), NULL, &err) ? &h : NULL, &err);
    printf("map of %lld x %lld cosines of %lld: %.1f s\n", (long long)rows, (long long)rows,
           (long long)cols, clock_seconds() - start);
    for (int64_t block = 1; block <= rows / 16; block *= 2) {
        double ms = zoom(&h, rows, block);
        printf("  a cell of %4lld x %-4lld redraw %6.3f ms\n", (long long)block,
               (long long)block, ms);
        most = ms > most ? ms : most;
    }
    printf("slowest redraw over a frame of 16 ms: %.3f\n", most / 16);
    heat_finish(&h);
    match_rows_finish(&a);
    return 0;
}
