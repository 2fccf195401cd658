/* capture_tokens.c - see capture_tokens.h. */
#include "model/capture_tokens.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/fs.h"
#include "io/mem.h"
#include "io/npy.h"

#define READ ((size_t)1 << 20) /* bytes of text encoded at once, about */

struct cutter {
    const struct lm *lm;
    const char *path;
    int fd;
    int64_t T, most;
    int32_t *row; /* [T] */
    int64_t fill, n_front;
    int64_t rows, dropped;
    int64_t at;   /* where the next row goes */
    int32_t *out; /* rows that are whole and not written yet */
    int64_t n_out, cap_out;
};

static bool flush(struct cutter *c, struct err *err)
{
    size_t bytes = (size_t)c->n_out * sizeof *c->out;
    if (!fs_pwrite(c->fd, c->path, c->out, bytes, c->at, err))
        return false;
    c->at += (int64_t)bytes;
    c->n_out = 0;
    return true;
}

static bool is_full(const struct cutter *c)
{
    return c->most > 0 && c->rows >= c->most;
}

static bool put_ids(struct cutter *c, const struct token_ids *ids, struct err *err)
{
    for (size_t i = 0; i < ids->n; i++) {
        int64_t id = ids->id[i];
        if (!lm_check_ids(c->lm, "text", &id, 1, err))
            return false;
        if (is_full(c)) {
            c->dropped++;
            continue;
        }
        c->row[c->fill++] = ids->id[i];
        if (c->fill < c->T)
            continue;
        while (c->n_out + c->T > c->cap_out) {
            c->cap_out = c->cap_out ? 2 * c->cap_out : 4 * c->T;
            c->out = xreallocarray(c->out, (size_t)c->cap_out, sizeof *c->out);
        }
        memcpy(c->out + c->n_out, c->row, (size_t)c->T * sizeof *c->row);
        c->n_out += c->T;
        c->rows++;
        c->fill = c->n_front;
    }
    return true;
}

/* How much of text [n] is encoded now; the rest waits for what follows. 0: read on. */
static size_t part(const char *text, size_t n, bool end)
{
    size_t cut = end ? n : token_encoder_cut(text, n);
    if (cut || n < TOKEN_ENCODER_MAX_TEXT)
        return cut;
    for (cut = n; cut > n - 4 && ((unsigned char)text[cut - 1] & 0xc0) == 0x80;)
        cut--; /* a text without spaces is cut between characters */
    return cut > 1 ? cut - 1 : n;
}

static bool encode_file(struct cutter *c, const struct token_encoder *te, int text_fd,
                        const char *text_path, int64_t size, const struct progress *progress,
                        struct err *err)
{
    char *buf = xmalloc(TOKEN_ENCODER_MAX_TEXT);
    struct token_ids ids = {0};
    size_t have = 0, want = READ;
    int64_t off = 0;
    unsigned flags = 0;
    bool ok = true;
    while (ok && (off < size || have) && !is_full(c)) {
        size_t room = want - have < (size_t)(size - off) ? want - have : (size_t)(size - off);
        ok = progress_step(progress, "reading the text", off, size) ||
             err_set(err, ERR_CANCELLED, "cancelled");
        ok = ok && fs_pread(text_fd, text_path, buf + have, room, off, err);
        have += room;
        off += (int64_t)room;
        size_t now = part(buf, have, off == size);
        if (ok && !now) {
            want = 2 * want < TOKEN_ENCODER_MAX_TEXT ? 2 * want : TOKEN_ENCODER_MAX_TEXT;
            continue;
        }
        ids.n = 0;
        ok = ok && token_encoder_run(te, buf, now, flags, &ids, err) && put_ids(c, &ids, err) &&
             flush(c, err);
        memmove(buf, buf + now, have - now);
        have -= now;
        want = READ > have ? READ : TOKEN_ENCODER_MAX_TEXT;
        flags = TOKEN_CONTINUES;
    }
    free(ids.id);
    free(buf);
    return ok;
}

static bool write_header(struct cutter *c, struct err *err)
{
    unsigned char header[NPY_HEADER_ROOM];
    int64_t shape[] = {c->rows, c->T};
    size_t n = npy_write_header(DTYPE_I32, 2, shape, header, sizeof header);
    return fs_pwrite(c->fd, c->path, header, n, 0, err);
}

/* The header's length does not depend on the number of rows: it is padded to 128 bytes. */
static int64_t header_size(int64_t T)
{
    unsigned char header[NPY_HEADER_ROOM];
    int64_t shape[] = {INT64_C(1) << 40, T};
    return (int64_t)npy_write_header(DTYPE_I32, 2, shape, header, sizeof header);
}

bool capture_tokens(const struct lm *lm, const struct token_encoder *te, const char *text,
                    const char *path, const struct token_ids *front, int64_t T, int64_t most,
                    const struct progress *progress, struct capture_rows *out,
                    struct err *err)
{
    struct stat st;
    int text_fd = fs_open_regular(text, &st, err);
    if (text_fd < 0)
        return false;
    struct cutter c = {.lm = lm, .path = path, .T = T, .most = most, .at = header_size(T)};
    c.fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool ok = c.fd >= 0 || err_os(err, errno, path, "cannot write");
    c.row = xmalloc((size_t)T * sizeof *c.row);
    for (size_t i = 0; i < front->n; i++)
        c.row[c.fill++] = front->id[i];
    c.n_front = c.fill;
    ok = ok && encode_file(&c, te, text_fd, text, (int64_t)st.st_size, progress, err);
    if (ok && c.rows == 0)
        ok = err_set(err, ERR_RANGE, "%s: too short for one row (found %lld tokens, expected at "
                     "least %lld; see --seq-len)", text, (long long)c.fill, (long long)T);
    ok = ok && write_header(&c, err);
    if (ok && fsync(c.fd) != 0)
        ok = err_os(err, errno, path, "cannot write");
    if (ok)
        *out = (struct capture_rows){c.rows, c.dropped + c.fill - c.n_front};
    if (c.fd >= 0)
        close(c.fd);
    close(text_fd);
    free(c.row);
    free(c.out);
    return ok;
}
