/*
 * kern_gemm.c - products of matrices, by tiles that stay in registers.
 *
 * As in Goto and van de Geijn, Anatomy of high-performance matrix multiplication (2008):
 * both sides are packed into strips as tall or wide as a tile, so that a tile reads them in
 * order; a block of strips of A stays in the second cache while those of B go by. Where the
 * processor has neither AVX2 nor AVX-512, OpenBLAS makes the product.
 */
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "model/kern_blas.h"
#include "model/kern_impl.h"

#define M KERN_TILE_ROWS
#define N KERN_TILE_COLS

/* A block: of A [BLOCK_M, BLOCK_K] (0.5 MiB), of B [BLOCK_K, BLOCK_N] (3 MiB). */
#define BLOCK_M (14 * M)
#define BLOCK_N (32 * N)
#define BLOCK_K 768

/* ---- the packed blocks: memory of the thread's own, freed with it ----------------- */

struct room {
    float a[BLOCK_M * BLOCK_K], b[BLOCK_N * BLOCK_K];
};
_Static_assert(sizeof(struct room) <= KERN_GEMM_BYTES, "kern.h says how much it is");

static pthread_key_t room_key;
static pthread_once_t room_once = PTHREAD_ONCE_INIT;

static void make_key(void)
{
    if (pthread_key_create(&room_key, free) != 0)
        abort();
}

static struct room *thread_room(void)
{
    pthread_once(&room_once, make_key);
    struct room *room = pthread_getspecific(room_key);
    if (!room) {
        room = mem_try(1, sizeof *room, "product", NULL);
        if (!room || pthread_setspecific(room_key, room) != 0)
            abort(); /* as xmalloc does: its size comes from no input */
    }
    return room;
}

/* ---- packing: [n / width] strips of [k, width], the last filled up with zeros ----- */

static inline int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

typedef float v4 __attribute__((vector_size(16)));

/* Four rows of four elements become four columns, `width` apart. */
static inline void turn_4x4(float *to, int64_t width, const float *from, int64_t ld)
{
    v4 r[4];
    for (int i = 0; i < 4; i++)
        memcpy(&r[i], from + i * ld, sizeof r[i]);
    v4 low01 = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5);
    v4 low23 = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
    v4 high01 = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
    v4 high23 = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
    r[0] = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
    r[1] = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
    r[2] = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
    r[3] = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
    for (int i = 0; i < 4; i++)
        memcpy(to + i * width, &r[i], sizeof r[i]);
}

/* What is packed of a row before the next one: a cache line. */
#define PIECE 16

/* k <= PIECE columns of a strip's rows, n of them. */
static void turn_strip(float *to, int64_t width, const float *from, int64_t ld, int64_t n,
                       int64_t k)
{
    int64_t r = 0;
    for (; r + 4 <= n && k == PIECE; r += 4)
        for (int64_t p = 0; p < PIECE; p += 4) {
            __builtin_prefetch(from + (r + p / 4) * ld + 2 * PIECE);
            turn_4x4(to + p * width + r, width, from + r * ld + p, ld);
        }
    for (; r < n; r++)
        for (int64_t p = 0; p < k; p++)
            to[p * width + r] = from[r * ld + p];
}

/* The matrix is [n, k]: its rows become a strip's columns. */
static void pack_rows(float *to, int64_t width, const float *from, int64_t ld, int64_t n,
                      int64_t k)
{
    for (int64_t r = 0; r < n; r += width, to += width * k) {
        int64_t rows = least(n - r, width);
        if (rows < width)
            memset(to, 0, (size_t)(width * k) * sizeof *to);
        for (int64_t p = 0; p < k; p += PIECE)
            turn_strip(to + p * width, width, from + r * ld + p, ld, rows,
                       least(k - p, PIECE));
    }
}

/* The matrix is [k, n], n to be filled up to whole strips. Inline: width is a constant. */
static inline void pack_columns(float *to, int64_t width, const float *from, int64_t ld,
                                int64_t n, int64_t k)
{
    for (int64_t p = 0; p < k; p += PIECE)
        for (int64_t j = 0; j < n; j += width) {
            int64_t columns = least(n - j, width);
            float *strip = to + j * k + p * width;
            const float *block = from + p * ld + j;
            for (int64_t i = 0; i < least(k - p, PIECE); i++, strip += width)
                if (columns == width) {
                    memcpy(strip, block + i * ld, (size_t)width * sizeof *strip);
                } else {
                    memset(strip, 0, (size_t)width * sizeof *strip);
                    memcpy(strip, block + i * ld, (size_t)columns * sizeof *strip);
                }
        }
}

/* ---- blocks ----------------------------------------------------------------------- */

/* A tile that reaches beyond C [m, n]: by way of one that does not. */
static void edge_tile(float *c, int64_t ldc, int64_t m, int64_t n, const float *a,
                      const float *b, int64_t k, bool add)
{
    float whole[M * N] = {0};
    for (int64_t i = 0; i < m && add; i++)
        memcpy(whole + i * N, c + i * ldc, (size_t)n * sizeof *c);
    kern_best()->tile(whole, N, a, b, k, add);
    for (int64_t i = 0; i < m; i++)
        memcpy(c + i * ldc, whole + i * N, (size_t)n * sizeof *c);
}

static void block(float *C, int64_t ldc, int64_t m, int64_t n, const float *a,
                  const float *b, int64_t k, bool add)
{
    const struct kern *kern = kern_best();
    for (int64_t j = 0; j < n; j += N)
        for (int64_t i = 0; i < m; i += M) {
            float *c = C + i * ldc + j;
            if (i + M <= m && j + N <= n)
                kern->tile(c, ldc, a + i * k, b + j * k, k, add);
            else
                edge_tile(c, ldc, least(m - i, M), least(n - j, N), a + i * k, b + j * k, k,
                          add);
        }
}

/* Pieces of at most BLOCK_K, of nearly equal length. */
static int64_t piece_of(int64_t k)
{
    int64_t pieces = (k + BLOCK_K - 1) / BLOCK_K;
    return pieces > 1 ? ((k + pieces - 1) / pieces + 7) / 8 * 8 : k;
}

/* C [m, n] (+)= A . B' for a packed block of B, n <= BLOCK_N, k <= BLOCK_K. A is [m, k] or,
 * if turned, [k, m]. */
static void all_rows(int64_t m, int64_t n, int64_t k, const float *A, int64_t lda,
                     bool turned, const float *b, float *C, int64_t ldc, bool add)
{
    float *a = thread_room()->a;
    for (int64_t i = 0; i < m; i += BLOCK_M) {
        int64_t mi = least(m - i, BLOCK_M);
        if (turned)
            pack_columns(a, M, A + i, lda, mi, k);
        else
            pack_rows(a, M, A + i * lda, lda, mi, k);
        block(C + i * ldc, ldc, mi, n, a, b, k, add);
    }
}

static void clear(float *C, int64_t ldc, int64_t m, int64_t n)
{
    for (int64_t i = 0; i < m; i++)
        memset(C + i * ldc, 0, (size_t)n * sizeof *C);
}

/* A is [m, k] or, if turned, [k, m]; B is [n, k] or, if turned, [k, n]. */
static void gemm(int64_t m, int64_t n, int64_t k, const float *A, int64_t lda,
                 bool a_turned, const float *B, int64_t ldb, bool b_turned, float *C,
                 int64_t ldc, bool add)
{
    assert(m >= 0 && n >= 0 && k >= 0);
    if (kern_best() == &kern_portable &&
        kern_blas_gemm(m, n, k, A, lda, a_turned, B, ldb, b_turned, C, ldc, add))
        return;
    float *b = thread_room()->b;
    int64_t piece = piece_of(k);
    if (k == 0 && !add)
        clear(C, ldc, m, n);
    for (int64_t j = 0; j < n; j += BLOCK_N)
        for (int64_t p = 0; p < k; p += piece) {
            int64_t nj = least(n - j, BLOCK_N), kp = least(k - p, piece);
            if (b_turned)
                pack_columns(b, N, B + p * ldb + j, ldb, nj, kp);
            else
                pack_rows(b, N, B + j * ldb + p, ldb, nj, kp);
            all_rows(m, nj, kp, A + (a_turned ? p * lda : p), lda, a_turned, b,
                     C + j, ldc, add || p > 0);
        }
}

void kern_gemm_nt(int64_t m, int64_t n, int64_t k, const float *A, int64_t lda,
                  const float *B, int64_t ldb, float *C, int64_t ldc)
{
    gemm(m, n, k, A, lda, false, B, ldb, false, C, ldc, false);
}

static int64_t whole_strips(int64_t n)
{
    return (n + N - 1) / N * N;
}

int64_t kern_right_floats(int64_t n, int64_t k)
{
    return whole_strips(n) * k;
}

/* Block by block, and in a block piece by piece. */
void kern_right_init(struct kern_right *r, int64_t n, int64_t k, const float *B,
                     int64_t ldb, float *packed)
{
    int64_t piece = piece_of(k);
    *r = (struct kern_right){.n = n, .k = k, .ldb = ldb, .B = B, .packed = packed};
    for (int64_t j = 0; j < n; j += BLOCK_N)
        for (int64_t p = 0; p < k; p += piece) {
            int64_t nj = least(n - j, BLOCK_N);
            pack_rows(packed + j * k + whole_strips(nj) * p, N, B + j * ldb + p, ldb, nj,
                      least(k - p, piece));
        }
}

void kern_gemm_right(int64_t m, const float *A, int64_t lda, const struct kern_right *r,
                     float *C, int64_t ldc)
{
    int64_t n = r->n, k = r->k, piece = piece_of(k);
    if (kern_best() == &kern_portable) {
        gemm(m, n, k, A, lda, false, r->B, r->ldb, false, C, ldc, false);
        return;
    }
    if (k == 0)
        clear(C, ldc, m, n);
    for (int64_t j = 0; j < n; j += BLOCK_N)
        for (int64_t p = 0; p < k; p += piece) {
            int64_t nj = least(n - j, BLOCK_N);
            all_rows(m, nj, least(k - p, piece), A + p, lda, false,
                     r->packed + j * k + whole_strips(nj) * p, C + j, ldc, p > 0);
        }
}

void kern_gemm_nn(int64_t m, int64_t n, int64_t k, const float *A, int64_t lda,
                  const float *B, int64_t ldb, float *C, int64_t ldc, bool add)
{
    gemm(m, n, k, A, lda, false, B, ldb, true, C, ldc, add);
}

void kern_gemm_tn(int64_t m, int64_t n, int64_t k, const float *A, int64_t lda,
                  const float *B, int64_t ldb, float *C, int64_t ldc)
{
    gemm(m, n, k, A, lda, true, B, ldb, true, C, ldc, true);
}

bool kern_gemm_is_axpy(void)
{
    return kern_best() != &kern_portable;
}

/* ---- dot products, many at once --------------------------------------------------- */

/* Floats of X that stay in the second cache while all of W goes by. */
#define DOTS_FLOATS ((int64_t)96 << 10)

/* Rows as a tile wants them: beginning on cache lines, and not all in the same corner of the
 * first cache. */
struct rows {
    const float *p;
    int64_t ld;
};

static int64_t dots_pitch(int64_t k)
{
    return (k + 15) / 16 * 16 + 16;
}

/* n rows as they are, if they lie well, or else copied into room [n, dots_pitch(k)]. */
static struct rows rows_laid(const float *from, int64_t ld, int64_t n, int64_t k,
                             float *room)
{
    int64_t pitch = dots_pitch(k);
    if ((uintptr_t)from % 64 == 0 && ld % 16 == 0 && ld % 1024 != 0)
        return (struct rows){from, ld};
    for (int64_t i = 0; i < n; i++)
        memcpy(room + i * pitch, from + i * ld, (size_t)k * sizeof *room);
    return (struct rows){room, pitch};
}

static void single_dots(int64_t m, int64_t n, int64_t k, const float *w, int64_t ldw,
                        const float *x, int64_t ldx, float *c, int64_t ldc)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            c[i * ldc + j] = kern_best()->dot(w + i * ldw, x + j * ldx, k);
}

/* C [m, n] for few rows of X; room for KERN_DOTS rows of W. */
static void few_dots(int64_t m, int64_t n, int64_t k, const float *W, int64_t ldw,
                     float *room, struct rows x, float *C, int64_t ldc)
{
    const int64_t step = KERN_DOTS;
    for (int64_t i = 0; i < m; i += step) {
        int64_t mi = least(m - i, step);
        struct rows w = rows_laid(W + i * ldw, ldw, mi, k, room);
        for (int64_t j = 0; j < n; j += step) {
            const float *xj = x.p + j * x.ld;
            float *c = C + i * ldc + j;
            if (mi == step && j + step <= n)
                kern_best()->dots(c, ldc, w.p, w.ld, xj, x.ld, k);
            else
                single_dots(mi, least(n - j, step), k, w.p, w.ld, xj, x.ld, c, ldc);
        }
    }
}

void kern_dots(int64_t m, int64_t n, int64_t k, const float *W, int64_t ldw, const float *X,
               int64_t ldx, float *C, int64_t ldc)
{
    int64_t pitch = dots_pitch(k), rows = DOTS_FLOATS / pitch / KERN_DOTS * KERN_DOTS;
    struct room *room = thread_room();
    if (KERN_DOTS * pitch > BLOCK_M * BLOCK_K) { /* no room for rows that long */
        single_dots(m, n, k, W, ldw, X, ldx, C, ldc);
        return;
    }
    rows = rows < KERN_DOTS ? KERN_DOTS : rows;
    for (int64_t j = 0; j < n; j += rows) {
        int64_t nj = least(n - j, rows);
        struct rows x = rows_laid(X + j * ldx, ldx, nj, k, room->b);
        few_dots(m, nj, k, W, ldw, room->a, x, C + j, ldc);
    }
}
