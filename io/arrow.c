/*
 * arrow.c - Arrow IPC streams (what Hugging Face's datasets keep in .arrow files), and the
 * IPC file format around one.
 *
 *   messages   u32 FFFFFFFF, i32 length of the metadata, a FlatBuffers table Message, then
 *              the body; a Schema first, then record batches; FFFFFFFF 00000000 ends it
 *   a batch    for every field, outermost first, a node {i64 length, i64 nulls} and its
 *              buffers {i64 offset, i64 length} in the body
 *
 * Columns of numbers, or of lists of lists of numbers of one length, become a tensor a batch:
 * [rows], [rows, n] or [rows, n, m], all of them called like the column. Lists may start
 * anywhere (a slice of another array). A column that has nulls, or lists of several
 * lengths, in any batch is left out as a whole. Buffers that are compressed with zstd are
 * unpacked (arrow_unpack.h).
 *
 * Source: arrow.apache.org/docs/format/Columnar.html, format/Message.fbs and Schema.fbs.
 */
#include "io/reader.h"

#include <stdlib.h>
#include <string.h>

#include "io/arrow_unpack.h"
#include "io/flat.h"
#include "io/fs.h"
#include "io/mem.h"

#define MAX_METADATA ((int64_t)64 << 20)
#define MAX_COLUMNS  1024
#define MAX_DEPTH    16
#define OFFSETS      4096 /* looked at together */

enum header { HEADER_SCHEMA = 1, HEADER_DICTIONARY = 2, HEADER_BATCH = 3 };

enum type {
    TYPE_NULL = 1, TYPE_INT = 2, TYPE_FLOAT = 3, TYPE_BINARY = 4, TYPE_UTF8 = 5, TYPE_BOOL = 6,
    TYPE_DECIMAL = 7, TYPE_DATE = 8, TYPE_TIME = 9, TYPE_TIMESTAMP = 10, TYPE_INTERVAL = 11,
    TYPE_LIST = 12, TYPE_STRUCT = 13, TYPE_FIXED_BINARY = 15, TYPE_FIXED_LIST = 16,
    TYPE_DURATION = 18, TYPE_LARGE_BINARY = 19, TYPE_LARGE_UTF8 = 20, TYPE_LARGE_LIST = 21,
    TYPE_COUNT,
};

/* Buffers of a field's own; 0 but for Null: not a type that is known. */
static const signed char buffers_of[TYPE_COUNT] = {
    [TYPE_INT] = 2, [TYPE_FLOAT] = 2, [TYPE_BINARY] = 3, [TYPE_UTF8] = 3, [TYPE_BOOL] = 2,
    [TYPE_DECIMAL] = 2, [TYPE_DATE] = 2, [TYPE_TIME] = 2, [TYPE_TIMESTAMP] = 2,
    [TYPE_INTERVAL] = 2, [TYPE_LIST] = 2, [TYPE_STRUCT] = 1, [TYPE_FIXED_BINARY] = 2,
    [TYPE_FIXED_LIST] = 1, [TYPE_DURATION] = 2, [TYPE_LARGE_BINARY] = 3,
    [TYPE_LARGE_UTF8] = 3, [TYPE_LARGE_LIST] = 2,
};

/* ---- the schema: fields in the order of their nodes */

struct field {
    char *name;      /* owned; of a column, else NULL */
    int type, depth; /* depth 0: a column */
    int64_t list;    /* FixedSizeList: its length */
    bool numbers;    /* a number of a dtype that tensors have */
    enum dtype dtype;
    bool left_out;   /* of a column: it cannot be a tensor */
};

struct schema {
    struct field *field; /* owned */
    int n, cap, columns;
    bool read;
};

static void schema_finish(struct schema *s)
{
    for (int i = 0; i < s->n; i++)
        free(s->field[i].name);
    free(s->field);
    *s = (struct schema){0};
}

static void read_number(const struct flat_table *type, struct field *f)
{
    static const enum dtype floats[] = {DTYPE_F16, DTYPE_F32, DTYPE_F64};
    static const struct {
        int bits;
        enum dtype is_signed, not_signed;
    } ints[] = {{8, DTYPE_I8, DTYPE_U8}, {16, DTYPE_I16, DTYPE_U16},
                {32, DTYPE_I32, DTYPE_U32}, {64, DTYPE_I64, DTYPE_U64}};
    if (f->type == TYPE_FLOAT) {
        int64_t precision = flat_int(type, 0, 2, 0);
        f->numbers = precision >= 0 && precision < 3;
        f->dtype = f->numbers ? floats[precision] : DTYPE_F32;
    } else if (f->type == TYPE_INT) {
        int64_t bits = flat_int(type, 0, 4, 0);
        bool is_signed = flat_int(type, 1, 1, 0) != 0;
        for (int i = 0; i < 4; i++)
            if (ints[i].bits == bits) {
                f->numbers = true;
                f->dtype = is_signed ? ints[i].is_signed : ints[i].not_signed;
            }
    }
}

static char *name_of(const struct flat_table *t)
{
    struct flat_vector v;
    return flat_list(t, 0, 1, &v) ? xstrndup((const char *)v.in.p + v.at, v.n) : xstrdup("");
}

static bool read_field(struct schema *s, const struct flat_table *t, int depth, struct err *err)
{
    struct flat_table type = {0}, child;
    struct flat_vector children = {0};
    struct field f = {.type = (int)(unsigned char)flat_int(t, 2, 1, 0), .depth = depth};
    bool has_type = flat_child(t, 3, &type);
    if (flat_child(t, 4, &child)) { /* indices into a dictionary, whatever that holds */
        f.type = TYPE_INT;
        has_type = false;
    } else {
        flat_list(t, 5, 4, &children);
    }
    if (depth == MAX_DEPTH || s->n == MAX_COLUMNS)
        return err_set(err, ERR_UNSUPPORTED, "too many fields (found more, expected at most %d "
                       "within %d of each other)", MAX_COLUMNS, MAX_DEPTH);
    if (f.type >= TYPE_COUNT || (f.type != TYPE_NULL && !buffers_of[f.type]))
        return err_set(err, ERR_UNSUPPORTED, "a column of a type that is not read (found type "
                       "%d, expected numbers and lists)", f.type);
    if (has_type)
        read_number(&type, &f);
    if (f.type == TYPE_FIXED_LIST)
        f.list = has_type ? flat_int(&type, 0, 4, 0) : 0;
    if (depth == 0)
        f.name = name_of(t);
    array_grow(s->field, s->n, s->cap);
    s->field[s->n++] = f;
    for (uint32_t i = 0; i < children.n; i++)
        if (!flat_element(&children, i, &child) || !read_field(s, &child, depth + 1, err))
            return err && err->code ? false
                                    : err_set(err, ERR_FORMAT, "a damaged schema (found a bad "
                                              "offset, expected a field)");
    return true;
}

static bool read_schema(struct schema *s, const struct flat_table *header, struct err *err)
{
    struct flat_vector fields;
    struct flat_table t;
    if (s->read)
        return err_set(err, ERR_FORMAT, "a second schema (found two, expected one)");
    s->read = true;
    if (flat_int(header, 0, 2, 0) != 0)
        return err_set(err, ERR_UNSUPPORTED, "a big-endian stream (found big-endian, expected "
                                             "little-endian)");
    if (!flat_list(header, 1, 4, &fields))
        return err_set(err, ERR_FORMAT, "a damaged schema (found no fields, expected some)");
    for (uint32_t i = 0; i < fields.n; i++)
        if (!flat_element(&fields, i, &t) || !read_field(s, &t, 0, err))
            return err && err->code ? false
                                    : err_set(err, ERR_FORMAT, "a damaged schema (found a bad "
                                              "offset, expected a field)");
    return true;
}

/* ---- a batch */

/* A column's part in a batch. Where its values lie is known when all is unpacked. */
struct found {
    struct tensor t;
    int column; /* the field */
    struct arrow_place at;
};

struct stream {
    struct container *c;
    struct schema schema;
    struct arrow_unpack unpack;
    struct found *found; /* owned */
    size_t n_found, cap_found;
    const struct progress *progress;
};

struct batch {
    struct stream *stream;
    struct flat_vector nodes, buffers;
    uint32_t node, buffer;     /* the next */
    int64_t body, body_length; /* in the file */
    int codec;                 /* -1: as they are */
};

/* Buffer i, unpacked; it lies in the body. */
static bool buffer_at(const struct batch *b, uint32_t i, struct arrow_place *out,
                      struct err *err)
{
    struct stream *s = b->stream;
    int64_t offset = flat_i64(&b->buffers, (size_t)i * 16);
    int64_t length = flat_i64(&b->buffers, (size_t)i * 16 + 8);
    if (i >= b->buffers.n || offset < 0 || length < 0 || offset > b->body_length ||
        length > b->body_length - offset)
        return err_format(err, (uint64_t)b->body, "a damaged batch (found a buffer outside of it, "
                          "expected %lld bytes)", (long long)b->body_length);
    *out = (struct arrow_place){false, b->body + offset, length};
    return b->codec < 0 || length == 0 ||
           arrow_unpack(&s->unpack, container_source(s->c), b->codec, out, s->progress, err);
}

static bool read_place(const struct stream *s, const struct arrow_place *p, int64_t offset,
                       void *to, size_t n, struct err *err)
{
    const struct map *m = container_source(s->c);
    int fd = p->unpacked ? s->unpack.spool.fd : m->fd;
    return fs_pread(fd, container_path(s->c), to, n, p->at + offset, err);
}

/* What a column is, as far as it has been read. */
struct column {
    struct tensor t;
    int64_t first, count; /* of the elements at this depth */
    const char *why;      /* it is left out; NULL: it is not */
};

static const char DIFFERENT[] = "lists of different lengths";
static const char NULLS[] = "nulls";
static const char SHORT[] = "fewer values than its lists need";

/* The lists of a column, `width` bytes an offset: have they one length? Then its elements
 * are what the column goes on with. */
static bool read_lists(const struct batch *b, uint32_t buffer, int width, struct column *c,
                       int64_t *each, struct err *err)
{
    struct arrow_place p;
    int64_t block[OFFSETS], n = c->count, first = c->first, start = 0, previous = 0;
    if (!buffer_at(b, buffer, &p, err))
        return false;
    if (n < 1 || first < 0 || first > p.length / width || n + 1 > p.length / width - first) {
        c->why = SHORT;
        return true;
    }
    for (int64_t i = 0; i <= n && !c->why; i += OFFSETS) {
        int64_t k = n + 1 - i < OFFSETS ? n + 1 - i : OFFSETS;
        if (!read_place(b->stream, &p, (first + i) * width, block, (size_t)(k * width), err))
            return false;
        for (int64_t j = 0; j < k && !c->why; j++) {
            int32_t narrow;
            memcpy(&narrow, (const char *)block + j * width, 4);
            int64_t v = width == 4 ? narrow : block[j];
            int64_t here = 0;
            if (i + j == 0)
                start = v;
            else if (__builtin_sub_overflow(v, previous, &here) || (i + j > 1 && here != *each))
                c->why = DIFFERENT;
            *each = here;
            previous = v;
        }
    }
    if (!c->why && (start < 0 || *each < 0 || *each > INT32_MAX))
        c->why = SHORT;
    c->first = start;
    return true;
}

/* The numbers that a column is of. */
static bool read_values(const struct batch *b, uint32_t buffer, const struct field *f,
                        struct column *c, struct arrow_place *at, struct err *err)
{
    int64_t size = dtype_info[f->dtype].size;
    if (!buffer_at(b, buffer, at, err))
        return false;
    if (c->first > at->length / size || c->count > at->length / size - c->first)
        c->why = SHORT;
    else
        at->at += c->first * size;
    c->t.dtype = f->dtype;
    return true;
}

/* One field of a column, whose own buffers begin at `own`. */
static bool read_level(const struct batch *b, const struct field *f, uint32_t own,
                       struct column *c, struct arrow_place *at, struct err *err)
{
    bool listed = f->type == TYPE_LIST || f->type == TYPE_LARGE_LIST;
    int64_t each = f->list;
    if (f->numbers)
        return read_values(b, own + 1, f, c, at, err);
    if (listed && !read_lists(b, own + 1, f->type == TYPE_LIST ? 4 : 8, c, &each, err))
        return false;
    if (!listed && __builtin_mul_overflow(c->first, each, &c->first))
        c->why = SHORT;
    if (!c->why && (each < 1 || __builtin_mul_overflow(c->count, each, &c->count)))
        c->why = SHORT;
    c->t.shape[c->t.ndim++] = each;
    return true;
}

/* Are the fields [from, to) lists in lists of numbers? */
static bool is_array(const struct schema *s, int from, int to)
{
    for (int i = from; i < to; i++) {
        const struct field *f = &s->field[i];
        bool lists = f->type == TYPE_LIST || f->type == TYPE_LARGE_LIST ||
                     f->type == TYPE_FIXED_LIST;
        if (f->depth != i - from || (i == to - 1 ? !f->numbers : !lists))
            return false;
    }
    return to - from <= TENSOR_MAX_DIMS;
}

/* The column whose fields are [from, to). Its nodes and buffers are passed over in any
 * case. */
static bool read_column(struct batch *b, int from, int to, struct err *err)
{
    struct schema *s = &b->stream->schema;
    struct column c = {0};
    struct arrow_place at = {0};
    bool wanted = is_array(s, from, to) && !s->field[from].left_out;
    for (int i = from; i < to; i++) {
        const struct field *f = &s->field[i];
        uint32_t own = b->buffer;
        if (b->node >= b->nodes.n)
            return err_set(err, ERR_FORMAT, "a damaged batch (found %u nodes, expected one of "
                           "every field)", b->nodes.n);
        int64_t n = flat_i64(&b->nodes, (size_t)b->node * 16);
        int64_t nulls = flat_i64(&b->nodes, (size_t)b->node * 16 + 8);
        b->node++;
        b->buffer += (uint32_t)buffers_of[f->type];
        if (i == from) {
            c.count = c.t.shape[c.t.ndim++] = n;
            wanted = wanted && n != 0; /* a batch without rows */
        }
        if (!wanted || c.why)
            continue;
        c.why = nulls != 0 ? NULLS : n < 0 ? SHORT : NULL;
        if (!c.why && !read_level(b, f, own, &c, &at, err))
            return false;
    }
    if (wanted && c.why) {
        s->field[from].left_out = true;
        container_leave_out(b->stream->c, s->field[from].name, c.why);
    } else if (wanted) {
        struct stream *out = b->stream;
        array_grow(out->found, out->n_found, out->cap_found);
        out->found[out->n_found++] = (struct found){c.t, from, at};
    }
    return true;
}

static bool read_batch(struct stream *s, const struct flat_table *header, int64_t body,
                       int64_t body_length, struct err *err)
{
    struct batch b = {.stream = s, .body = body, .body_length = body_length, .codec = -1};
    struct flat_table compression;
    if (flat_child(header, 3, &compression))
        b.codec = (int)flat_int(&compression, 0, 1, 0);
    flat_list(header, 1, 16, &b.nodes);
    flat_list(header, 2, 16, &b.buffers);
    const struct schema *schema = &s->schema;
    for (int from = 0, to; from < schema->n; from = to) {
        for (to = from + 1; to < schema->n && schema->field[to].depth > 0;)
            to++;
        if (!read_column(&b, from, to, err))
            return false;
    }
    return true;
}

/* All that was found, where it lies now. */
static bool add_found(struct stream *s, struct err *err)
{
    const struct map *file = container_source(s->c), *unpacked = NULL;
    struct map m;
    if (s->unpack.size) {
        if (!spool_map(&s->unpack.spool, container_path(s->c), &m, err))
            return false;
        unpacked = container_push_map(s->c, &m);
    }
    for (size_t i = 0; i < s->n_found; i++) {
        struct found *f = &s->found[i];
        const struct field *column = &s->schema.field[f->column];
        if (column->left_out)
            continue;
        f->t.data = (f->at.unpacked ? unpacked : file)->data + f->at.at;
        tensor_set_strides(&f->t, false);
        container_add(s->c, &f->t, column->name);
    }
    return true;
}

static void stream_finish(struct stream *s)
{
    schema_finish(&s->schema);
    arrow_unpack_finish(&s->unpack);
    free(s->found);
}

/* ---- the stream */

#define FILE_MARK "ARROW1"

/* A file's footer has the schema too: i32 its length and the mark end it. Some writers
 * leave the message out. */
static bool read_footer(struct stream *s)
{
    const struct map *m = container_source(s->c);
    unsigned char end[10];
    struct flat_table footer, schema;
    int32_t length;
    if (m->size < (int64_t)sizeof end || !map_pread(m, end, sizeof end, m->size - 10, NULL))
        return false;
    memcpy(&length, end, 4);
    if (memcmp(end + 4, FILE_MARK, 6) != 0 || length <= 0 || length > MAX_METADATA ||
        length > m->size - 10)
        return false;
    unsigned char *p = xmalloc((size_t)length);
    bool ok = map_pread(m, p, (size_t)length, m->size - 10 - length, NULL) &&
              flat_root((struct flat){p, (size_t)length}, &footer) &&
              flat_child(&footer, 1, &schema) && read_schema(&s->schema, &schema, NULL);
    free(p);
    return ok;
}

static bool is_arrow(const unsigned char *head, size_t n, const struct map *m)
{
    static const unsigned char mark[4] = {0xff, 0xff, 0xff, 0xff};
    (void)m;
    return (n >= 8 && memcmp(head, FILE_MARK, 6) == 0) ||
           (n >= 12 && memcmp(head, mark, 4) == 0 && head[7] == 0 && head[4] + head[5] + head[6]);
}

static bool read_message(struct stream *s, struct flat metadata, int64_t at,
                         int64_t *body_length, struct err *err)
{
    struct flat_table message, header;
    const struct map *m = container_source(s->c);
    if (!flat_root(metadata, &message))
        return err_format(err, (uint64_t)at, "a damaged message (found a bad offset, expected a "
                          "table)");
    *body_length = flat_int(&message, 3, 8, 0);
    if (*body_length < 0 || *body_length > m->size - at)
        return err_format(err, (uint64_t)at, "cut off (found %lld bytes, expected a body of %lld)",
                          (long long)(m->size - at), (long long)*body_length);
    int64_t type = flat_int(&message, 1, 1, 0);
    if ((type != HEADER_SCHEMA && type != HEADER_BATCH) || !flat_child(&message, 2, &header))
        return type == HEADER_DICTIONARY || /* of text columns */
               err_format(err, (uint64_t)at, "a message that is not read (found type %lld, expected "
                          "a schema or a batch)", (long long)type);
    if (type == HEADER_SCHEMA)
        return read_schema(&s->schema, &header, err);
    if (!s->schema.read && !read_footer(s))
        return err_format(err, (uint64_t)at, "no schema (found a batch, expected a schema first)");
    return read_batch(s, &header, at, *body_length, err);
}

static bool open_arrow(struct container *c, const struct progress *progress, struct err *err)
{
    const struct map *m = container_source(c);
    struct stream s = {.c = c, .unpack = {.spool = {.fd = -1}}, .progress = progress};
    unsigned char head[8];
    bool ok = map_pread(m, head, sizeof head, 0, err);
    int64_t at = ok && memcmp(head, FILE_MARK, 6) == 0 ? 8 : 0;
    while (ok && m->size - at >= 8) {
        uint32_t mark, length;
        int64_t body_length = 0;
        if (!(ok = map_pread(m, head, sizeof head, at, err)))
            break;
        memcpy(&mark, head, 4);
        memcpy(&length, head + 4, 4);
        if (length == 0 || mark != UINT32_MAX)
            break; /* the end, or a file's footer */
        at += 8;
        if (length > MAX_METADATA || length > (uint64_t)(m->size - at)) {
            ok = err_format(err, (uint64_t)at - 4, "cut off (found metadata of %u bytes, expected "
                            "at most %lld)", length,
                            (long long)(m->size - at < MAX_METADATA ? m->size - at
                                                                    : MAX_METADATA));
            break;
        }
        unsigned char *metadata = xmalloc(length);
        ok = map_pread(m, metadata, length, at, err);
        at += length;
        ok = ok && read_message(&s, (struct flat){metadata, length}, at, &body_length, err);
        free(metadata);
        at += body_length;
        if (ok && !progress_step(progress, "reading", at, m->size))
            ok = err_set(err, ERR_CANCELLED, "cancelled");
    }
    if (ok && !s.schema.read)
        ok = err_set(err, ERR_FORMAT, "not an Arrow stream (found no schema, expected one)");
    ok = ok && add_found(&s, err);
    stream_finish(&s);
    return ok;
}

const struct reader arrow_reader = {.kind = "arrow", .recognise = is_arrow, .open = open_arrow};

static bool is_parquet(const unsigned char *head, size_t n, const struct map *m)
{
    (void)m;
    return n >= 4 && memcmp(head, "PAR1", 4) == 0;
}

const struct reader parquet_reader = {
    .kind = "parquet", .recognise = is_parquet,
    .refusal = "this is not read (found a Parquet file, expected npy, npz, safetensors, PyTorch or Arrow, as "
               "datasets' save_to_disk writes it)"};
