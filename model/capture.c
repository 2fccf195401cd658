/* capture.c - see capture.h. */
#include "model/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "io/fs.h"
#include "io/json.h"
#include "io/map.h"
#include "io/mem.h"
#include "io/npy.h"
#include "io/str.h"
#include "io/team.h"
#include "io/tokenizer.h"
#include "model/capture_tokens.h"
#include "model/clock.h"
#include "model/session.h"

#define FRAME_BYTES ((size_t)8 << 20) /* of one zstd frame: readers unpack them in parallel */
#define ZSTD_LEVEL  3
#define F16_MOST    65504.0f
#define SAVE_EVERY  2.0               /* seconds between two notes of how far it is */

struct capture {
    const struct lm *lm;
    const struct token_encoder *te;
    const struct capture_options *o;
    int64_t T, d, threads;
    char *partial, *state, *tokens, *acts; /* paths; owned */
    char *key;            /* what it is made from; owned */
    int lock, tokens_fd, acts_fd;
    bool ours;            /* OUT.partial is: it may be taken away */
    int64_t rows, dropped; /* -1: the text is not read yet */
    int64_t done, end;    /* rows written, and where the next goes */
    int64_t batch;        /* rows at a time */
    int64_t first;        /* of this batch */
    size_t row_bytes;
    unsigned char *rows_out; /* [batch] of row_bytes */
    unsigned char *packed;
    size_t packed_cap;
    ZSTD_CCtx *zstd;      /* NULL: as they are */
    struct worker {
        struct capture *c;
        struct lm_run *run;
        float *x, *rest;  /* [T, d] */
        int64_t *ids;     /* [T] */
        int32_t *read;
        int64_t row;      /* that it works on */
        bool ok;
        struct err err;
    } *workers;           /* [threads] */
    struct lm_work work;
    double saved;         /* when */
};

/* ---- what it is made from */

static bool key_of(struct capture *c, struct err *err)
{
    const struct capture_options *o = c->o;
    struct str key = {0};
    const char *path;
    bool ok = session_key_file(&key, o->text, err) && session_key_file(&key, token_encoder_path(c->te), err);
    for (int i = 0; ok && (path = lm_file(c->lm, i)) != NULL; i++)
        ok = session_key_file(&key, path, err);
    str_appendf(&key, "hook %s T %lld limit %lld dtype %s zstd %d bos %d %d\n", o->hook_name,
                (long long)c->T, (long long)o->tokens_limit, o->dtype == DTYPE_F16 ? "f16" : "f32", o->zstd,
                (int)o->bos, o->sae ? o->sae->prepend_bos : -1);
    c->key = str_take(&key);
    return ok;
}

static bool save_state(struct capture *c, struct err *err)
{
    json_t *state = json_pack("{s:s, s:I, s:I, s:I, s:I}", "inputs", c->key, "rows",
                              (json_int_t)c->rows, "dropped", (json_int_t)c->dropped, "done",
                              (json_int_t)c->done, "bytes", (json_int_t)c->end);
    char *text = json_dumps(state, JSON_INDENT(1));
    bool ok = (c->acts_fd < 0 || fdatasync(c->acts_fd) == 0 ||
               err_os(err, errno, c->acts, "cannot write")) &&
              fs_write_atomic(c->state, text, strlen(text), err);
    json_decref(state);
    free(text);
    c->saved = clock_seconds();
    return ok;
}

/* How far an earlier run came. False: it was another capture, or what is there is none. */
static bool load_state(struct capture *c, struct err *err)
{
    json_t *state = json_load_path(c->state, JSON_MAX_TEXT, JSON_LAST_WINS, err);
    const char *key = json_string_value(json_object_get(state, "inputs"));
    int64_t rows = -1, dropped = 0, done = 0, end = 0;
    bool same = key && strcmp(key, c->key) == 0 && json_get_int(state, "rows", &rows, NULL) &&
                json_get_int(state, "dropped", &dropped, NULL) &&
                json_get_int(state, "done", &done, NULL) &&
                json_get_int(state, "bytes", &end, NULL) && done >= 0 && end >= 0 &&
                (rows < 0 ? done == 0 : done <= rows);
    json_decref(state);
    if (!same)
        return err_set(err, ERR_FORMAT, "%s: left by another capture (found other inputs or "
                       "options, expected the same; remove it or give another -o)", c->partial);
    c->rows = rows;
    c->dropped = dropped;
    c->done = done;
    c->end = end;
    return true;
}

/* ---- the directory */

static void remove_partial(const struct capture *c)
{
    static const char *const names[] = {"tokens.npy",     "acts.npy",       "acts.npy.zst",
                                        "capture.json",   "bundle.json",    "tokenizer.json",
                                        "tokenizer.model", "vocab.json",    "merges.txt"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = xasprintf("%s/%s", c->partial, names[i]);
        unlink(path);
        free(path);
    }
    rmdir(c->partial);
}

/* OUT.partial, new or as it was left; locked, for nobody else writes there meanwhile. */
static bool open_partial(struct capture *c, struct err *err)
{
    struct stat st;
    if (lstat(c->o->out, &st) == 0)
        return err_set(err, ERR_FORMAT, "%s: is there already (found a file or directory, "
                       "expected a new name)", c->o->out);
    bool is_new = mkdir(c->partial, 0777) == 0;
    if (!is_new && errno != EEXIST)
        return err_os(err, errno, c->partial, "cannot make");
    c->lock = open(c->partial, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c->lock < 0)
        return err_os(err, errno, c->partial, "cannot open");
    if (flock(c->lock, LOCK_EX | LOCK_NB) != 0)
        return err_set(err, ERR_OS, "%s: another capture is at work there (found its lock, expected "
                "none)", c->partial);
    c->ours = is_new || load_state(c, err);
    return c->ours && (!is_new || save_state(c, err));
}

/* ---- tokens, and the file for the samples */

static int64_t wanted_rows(const struct capture *c)
{
    int64_t most = c->o->tokens_limit / c->T;
    return c->o->tokens_limit > 0 ? (most > 0 ? most : 1) : 0;
}

static bool read_text(struct capture *c, const struct progress *progress, struct err *err)
{
    struct token_ids front = {0};
    struct capture_rows rows;
    bool ok = prompt_bos_ids(c->te, c->o->sae, c->lm, c->o->bos, &front, err);
    if (ok && (int64_t)front.n >= c->T)
        ok = err_set(err, ERR_RANGE, "--seq-len: no room for text (found %lld, expected more than "
                     "the %zu tokens in front)", (long long)c->T, front.n);
    ok = ok && capture_tokens(c->lm, c->te, c->o->text, c->tokens, &front, c->T, wanted_rows(c),
                              progress, &rows, err);
    free(front.id);
    if (!ok)
        return false;
    c->rows = rows.rows;
    c->dropped = rows.dropped;
    return true;
}

static size_t pack(struct capture *c, const void *bytes, size_t n, struct err *err)
{
    size_t packed = ZSTD_compressCCtx(c->zstd, c->packed, c->packed_cap, bytes, n, ZSTD_LEVEL);
    if (!ZSTD_isError(packed))
        return packed;
    err_set(err, ERR_NOMEM, "%s: zstd: %s", c->acts, ZSTD_getErrorName(packed));
    return 0;
}

static bool put_acts(struct capture *c, const unsigned char *bytes, size_t n, struct err *err)
{
    for (size_t at = 0, part; at < n; at += part) {
        part = !c->zstd || n - at < FRAME_BYTES ? n - at : FRAME_BYTES;
        const unsigned char *from = bytes + at;
        size_t len = c->zstd ? pack(c, from, part, err) : part;
        if (!len || !fs_pwrite(c->acts_fd, c->acts, c->zstd ? c->packed : from, len, c->end, err))
            return false;
        c->end += (int64_t)len;
    }
    return true;
}

/* Open it, cut to what is known to be good; a new one gets its header. */
static bool open_acts(struct capture *c, struct err *err)
{
    unsigned char header[NPY_HEADER_ROOM];
    int64_t shape[] = {c->rows, c->T, c->d};
    if (c->o->zstd) {
        c->packed_cap = ZSTD_compressBound(FRAME_BYTES);
        c->packed = mem_try(c->packed_cap, 1, "zstd frame", err);
        c->zstd = c->packed ? ZSTD_createCCtx() : NULL;
        if (!c->zstd)
            return c->packed ? err_set(err, ERR_NOMEM, "zstd: no memory") : false;
    }
    c->acts_fd = open(c->acts, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    c->tokens_fd = open(c->tokens, O_RDONLY | O_CLOEXEC);
    if (c->acts_fd < 0 || c->tokens_fd < 0)
        return err_os(err, errno, c->acts_fd < 0 ? c->acts : c->tokens, "cannot open");
    struct stat st;
    if (c->done > 0 && (fstat(c->acts_fd, &st) != 0 || st.st_size < c->end))
        c->done = 0; /* less than was noted: begin anew */
    if (c->done == 0)
        c->end = 0;
    if (ftruncate(c->acts_fd, c->end) != 0)
        return err_os(err, errno, c->acts, "cannot write");
    if (c->done > 0)
        return true;
    size_t n = npy_write_header(c->o->dtype, 3, shape, header, sizeof header);
    return put_acts(c, header, n, err) && save_state(c, err);
}

/* ---- rows */

/* Into the row's place, in the file's type. */
static bool store_row(struct worker *w, int64_t i, struct err *err)
{
    struct capture *c = w->c;
    unsigned char *to = c->rows_out + (size_t)i * c->row_bytes;
    int64_t n = c->T * c->d;
    for (int64_t k = 0; k < n; k++) {
        if (!isfinite(w->x[k]))
            return err_set(err, ERR_FORMAT, "%s: activation not finite (found %g in row %lld at "
                           "position %lld, expected a number)", lm_path(c->lm), (double)w->x[k],
                           (long long)w->row, (long long)(k / c->d));
        if (c->o->dtype == DTYPE_F16 && fabsf(w->x[k]) > F16_MOST)
            return err_set(err, ERR_RANGE, "%s: activation beyond f16 (found %.6g in row %lld at "
                           "position %lld, expected at most %g; --dtype f32 holds it)",
                           lm_path(c->lm), (double)w->x[k], (long long)w->row,
                           (long long)(k / c->d), (double)F16_MOST);
    }
    if (c->o->dtype == DTYPE_F16)
        f16_from_f32(w->x, (uint16_t *)(void *)to, (size_t)n);
    else
        memcpy(to, w->x, c->row_bytes);
    return true;
}

static int64_t tokens_header(const struct capture *c)
{
    unsigned char header[NPY_HEADER_ROOM];
    int64_t shape[] = {c->rows, c->T};
    return (int64_t)npy_write_header(DTYPE_I32, 2, shape, header, sizeof header);
}

/* Inside map_guard. */
static void run_row(void *ctx)
{
    struct worker *w = ctx;
    struct capture *c = w->c;
    size_t bytes = (size_t)c->T * sizeof *w->read;
    w->ok = fs_pread(c->tokens_fd, c->tokens, w->read, bytes,
                     tokens_header(c) + w->row * (int64_t)bytes, &w->err);
    for (int64_t p = 0; w->ok && p < c->T; p++)
        w->ids[p] = w->read[p];
    w->ok = w->ok && lm_check_ids(c->lm, c->tokens, w->ids, c->T, &w->err) &&
            lm_run_to(w->run, w->ids, c->T, &c->o->hook, w->x, w->rest, &w->err) &&
            store_row(w, w->row - c->first, &w->err);
}

static void one_row(void *ctx, size_t i, int thread)
{
    struct capture *c = ctx;
    struct worker *w = &c->workers[thread];
    if (!w->ok)
        return;
    w->row = c->first + (int64_t)i;
    if (!map_guard(run_row, w, &w->err))
        w->ok = false;
}

static bool make_workers(struct capture *c, struct err *err)
{
    size_t size = (size_t)(c->T * c->d);
    size_t each = lm_run_bytes(c->lm, c->T) + size * 2 * sizeof(float) + 2 * c->row_bytes;
    int64_t room = c->o->memory ? (int64_t)(c->o->memory / each) : 1 << 20;
    c->threads = c->o->threads > 0 ? c->o->threads : team_default_threads();
    c->threads = c->threads > room ? room : c->threads;
    c->threads = c->threads > c->rows - c->done ? c->rows - c->done : c->threads;
    c->threads = c->threads < 1 ? 1 : c->threads;
    c->batch = 2 * c->threads;
    c->rows_out = mem_try((size_t)c->batch, c->row_bytes, "activations", err);
    c->workers = xcalloc((size_t)c->threads, sizeof *c->workers);
    for (int64_t i = 0; c->rows_out && i < c->threads; i++) {
        struct worker *w = &c->workers[i];
        *w = (struct worker){.c = c, .ok = true};
        w->x = mem_try(2 * size, sizeof *w->x, "activations", err);
        w->run = w->x ? lm_run_new(c->lm, c->T, &c->work, err) : NULL;
        if (!w->run)
            return false;
        w->rest = w->x + size;
        w->ids = xmalloc((size_t)c->T * sizeof *w->ids);
        w->read = xmalloc((size_t)c->T * sizeof *w->read);
    }
    return c->rows_out != NULL;
}

static bool run_batch(struct capture *c, struct err *err)
{
    int64_t n = c->rows - c->done < c->batch ? c->rows - c->done : c->batch;
    c->first = c->done;
    team_each((int)c->threads, (size_t)n, one_row, c);
    for (int64_t i = 0; i < c->threads; i++)
        if (!c->workers[i].ok) {
            if (err)
                *err = c->workers[i].err;
            return false;
        }
    if (!put_acts(c, c->rows_out, (size_t)n * c->row_bytes, err))
        return false;
    c->done += n;
    return clock_seconds() - c->saved < SAVE_EVERY || save_state(c, err);
}

static bool run_rows(struct capture *c, const struct progress *progress, struct err *err)
{
    int64_t left = (c->rows - c->done) * c->T;
    c->work = (struct lm_work){.progress = progress, .what = "tokens", .tokens = left,
                               .of = left * lm_cost_to(c->lm, &c->o->hook)};
    bool ok = c->done == c->rows || make_workers(c, err);
    while (ok && c->done < c->rows)
        ok = run_batch(c, err);
    return ok;
}

/* ---- the end */

static bool copy_file(const struct capture *c, const char *from, const char *name,
                      struct err *err)
{
    size_t n;
    char *text = fs_read_file(from, TOKENIZER_MAX_FILE, &n, err);
    char *to = xasprintf("%s/%s", c->partial, name);
    bool ok = text && fs_write_atomic(to, text, n, err);
    free(text);
    free(to);
    return ok;
}

static bool copy_tokenizer(const struct capture *c, char **name, struct err *err)
{
    const char *from = token_encoder_path(c->te), *slash = strrchr(from, '/');
    const char *base = slash ? slash + 1 : from;
    size_t len = strlen(base);
    bool model = len > 6 && strcmp(base + len - 6, ".model") == 0;
    bool vocab = token_encoder_merges(c->te);
    *name = xstrdup(model ? "tokenizer.model" : vocab ? "vocab.json" : "tokenizer.json");
    return copy_file(c, from, *name, err) &&
           (!token_encoder_merges(c->te) ||
            copy_file(c, token_encoder_merges(c->te), "merges.txt", err));
}

static bool write_bundle(const struct capture *c, struct err *err)
{
    char *tokenizer = NULL, *path = xasprintf("%s/bundle.json", c->partial);
    const char *slash = strrchr(c->o->out, '/'), *acts = strrchr(c->acts, '/') + 1;
    bool ok = copy_tokenizer(c, &tokenizer, err);
    json_t *bundle = json_pack("{s:s, s:s, s:s, s:s, s:s}", "name",
                               slash && slash[1] ? slash + 1 : c->o->out, "hook",
                               c->o->hook_name, "acts", acts, "tokens", "tokens.npy", "tokenizer",
                               tokenizer);
    char *text = json_dumps(bundle, JSON_INDENT(2));
    if (ok && !text)
        ok = err_set(err, ERR_FORMAT, "%s: bad name (found other bytes, expected UTF-8)", c->o->out);
    ok = ok && fs_write_atomic(path, text, strlen(text), err);
    json_decref(bundle);
    free(text);
    free(tokenizer);
    free(path);
    return ok;
}

/* Everything to the disk, then to its name in one step. */
static bool finish(struct capture *c, struct err *err)
{
    if (fsync(c->acts_fd) != 0)
        return err_os(err, errno, c->acts, "cannot write");
    if (!write_bundle(c, err))
        return false;
    unlink(c->state);
    fsync(c->lock);
    if (renameat2(AT_FDCWD, c->partial, AT_FDCWD, c->o->out, RENAME_NOREPLACE) == 0 ||
        ((errno == EINVAL || errno == ENOSYS) && access(c->o->out, F_OK) != 0 &&
         rename(c->partial, c->o->out) == 0)) /* file systems that cannot refuse */
        return true;
    int why = errno;
    save_state(c, NULL);
    return err_os(err, why, c->o->out, "cannot give it its name");
}

static bool run_all(struct capture *c, const struct progress *progress,
                    struct page_capture *page, struct err *err)
{
    if (!open_partial(c, err))
        return false;
    if (c->rows < 0 && !(read_text(c, progress, err) && save_state(c, err)))
        return false;
    if (!open_acts(c, err))
        return false;
    page->resumed = c->done;
    return run_rows(c, progress, err) && finish(c, err);
}

static void capture_finish(struct capture *c)
{
    for (int64_t i = 0; c->workers && i < c->threads; i++) {
        lm_run_free(c->workers[i].run);
        free(c->workers[i].x);
        free(c->workers[i].ids);
        free(c->workers[i].read);
    }
    free(c->workers);
    free(c->rows_out);
    free(c->packed);
    ZSTD_freeCCtx(c->zstd);
    if (c->acts_fd >= 0)
        close(c->acts_fd);
    if (c->tokens_fd >= 0)
        close(c->tokens_fd);
    if (c->lock >= 0)
        close(c->lock);
    free(c->partial);
    free(c->state);
    free(c->tokens);
    free(c->acts);
    free(c->key);
}

/* What is worth going on from stays, under a name that says what it is. */
static int64_t give_up(struct capture *c, const struct err *err)
{
    bool resumable = err->code != ERR_RANGE && err->code != ERR_FORMAT;
    if (!c->ours)
        return 0;
    if (resumable && c->done > 0 && save_state(c, NULL))
        return c->done;
    remove_partial(c);
    return 0;
}

bool capture_run(const struct lm *lm, const struct token_encoder *te,
                 const struct capture_options *options, const struct progress *progress,
                 struct page_capture *out, int64_t *kept, struct err *err)
{
    double start = clock_seconds();
    struct err own = {0};
    struct page_capture page = {0};
    struct capture c = {.lm = lm, .te = te, .o = options, .d = lm_d_model(lm), .rows = -1,
                        .lock = -1, .tokens_fd = -1, .acts_fd = -1, .saved = start};
    c.T = options->seq_len > 0 ? options->seq_len
          : lm_context(lm) < CAPTURE_SEQ_LEN ? lm_context(lm) : CAPTURE_SEQ_LEN;
    c.row_bytes = (size_t)(c.T * c.d) * (options->dtype == DTYPE_F16 ? 2 : 4);
    c.partial = xasprintf("%s.partial", options->out);
    c.state = xasprintf("%s/capture.json", c.partial);
    c.tokens = xasprintf("%s/tokens.npy", c.partial);
    c.acts = xasprintf("%s/acts.npy%s", c.partial, options->zstd ? ".zst" : "");
    *kept = 0;
    bool ok = lm_check_length(lm, "--seq-len", c.T, &own) && key_of(&c, &own) &&
              run_all(&c, progress, &page, &own);
    if (ok) {
        page.rows = c.rows;
        page.seq_len = c.T;
        page.d = c.d;
        page.tokens = c.rows * c.T;
        page.dropped = c.dropped;
        page.bytes = c.end;
        page.seconds = clock_seconds() - start;
        *out = page;
    } else {
        *kept = give_up(&c, &own);
        if (err)
            *err = own;
    }
    capture_finish(&c);
    return ok;
}
