/* sentencepiece.c - see sentencepiece.h. Wire format: protobuf's encoding guide. */
#include "io/sentencepiece.h"

#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/str.h"
#include "io/tokenizer.h"

enum wire { WIRE_VARINT, WIRE_64, WIRE_BYTES, WIRE_32 = 5 };

struct field {
    uint32_t number;
    enum wire wire;
    uint64_t value;  /* of a varint; the bits of a 32-bit one */
    const char *bytes; /* [len] */
    size_t len;
};

struct cursor {
    const char *start, *p, *end;
};

static bool fail(const struct cursor *c, struct err *err, const char *problem)
{
    return err_format(err, (uint64_t)(c->p - c->start), "not a sentencepiece model (found %s, "
                      "expected a ModelProto)", problem);
}

static bool varint(struct cursor *c, uint64_t *out, struct err *err)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64 && c->p < c->end; shift += 7) {
        unsigned char byte = (unsigned char)*c->p++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *out = v;
            return true;
        }
    }
    return fail(c, err, "a number that does not end");
}

static bool take(struct cursor *c, size_t n, const char **out, struct err *err)
{
    if ((size_t)(c->end - c->p) < n)
        return fail(c, err, "a field longer than its message");
    *out = c->p;
    c->p += n;
    return true;
}

static bool next_field(struct cursor *c, struct field *f, struct err *err)
{
    uint64_t tag = 0, len = 0;
    if (!varint(c, &tag, err))
        return false;
    *f = (struct field){.number = (uint32_t)(tag >> 3), .wire = (enum wire)(tag & 7)};
    if (tag >> 3 == 0 || tag >> 32)
        return fail(c, err, "a field without a number");
    switch (tag & 7) {
    case WIRE_VARINT:
        return varint(c, &f->value, err);
    case WIRE_64:
        return take(c, 8, &f->bytes, err);
    case WIRE_32: {
        uint32_t bits;
        if (!take(c, 4, &f->bytes, err))
            return false;
        memcpy(&bits, f->bytes, 4);
        f->value = bits;
        return true;
    }
    case WIRE_BYTES:
        if (!varint(c, &len, err))
            return false;
        f->len = (size_t)len;
        return take(c, f->len, &f->bytes, err);
    default:
        return fail(c, err, "a field of unknown kind");
    }
}

static struct cursor inside(const struct cursor *c, const struct field *f)
{
    return (struct cursor){c->start, f->bytes, f->bytes + f->len};
}

static float float_of(uint64_t bits)
{
    uint32_t b = (uint32_t)bits;
    float v;
    memcpy(&v, &b, sizeof v);
    return v;
}

static bool read_piece(struct sentencepiece *sp, struct cursor c, struct err *err)
{
    struct sp_piece piece = {.text = "", .type = SP_NORMAL};
    struct field f;
    while (c.p < c.end) {
        if (!next_field(&c, &f, err))
            return false;
        if (f.number == 1 && f.wire == WIRE_BYTES) {
            piece.text = f.bytes;
            piece.len = f.len;
        } else if (f.number == 2 && f.wire == WIRE_32) {
            piece.score = float_of(f.value);
        } else if (f.number == 3 && f.wire == WIRE_VARINT) {
            if (f.value < SP_NORMAL || f.value > SP_BYTE)
                return fail(&c, err, "a piece of unknown type");
            piece.type = (enum sp_type)f.value;
        }
    }
    if (piece.score != piece.score)
        return fail(&c, err, "a piece whose score is NaN");
    if ((int64_t)sp->n >= TOKENIZER_MAX_ID)
        return fail(&c, err, "too many pieces");
    array_grow(sp->pieces, sp->n, sp->cap);
    sp->pieces[sp->n++] = piece;
    return true;
}

static bool read_trainer(struct sentencepiece *sp, struct cursor c, struct err *err)
{
    struct field f;
    while (c.p < c.end) {
        if (!next_field(&c, &f, err))
            return false;
        if (f.wire != WIRE_VARINT)
            continue;
        if (f.number == 3)
            sp->model = (enum sp_model)(f.value <= SP_CHAR ? f.value : 0);
        else if (f.number == 24)
            sp->space_is_suffix = f.value;
        else if (f.number == 35)
            sp->byte_fallback = f.value;
        else if (f.number == 40)
            sp->unk_id = (int32_t)f.value;
        else if (f.number == 41)
            sp->bos_id = (int32_t)f.value;
    }
    return true;
}

static bool read_normalizer(struct sentencepiece *sp, struct cursor c, struct err *err)
{
    struct field f;
    while (c.p < c.end) {
        if (!next_field(&c, &f, err))
            return false;
        if (f.number == 2 && f.wire == WIRE_BYTES)
            sp->has_charsmap = f.len > 0;
        else if (f.number == 3 && f.wire == WIRE_VARINT)
            sp->add_dummy_prefix = f.value;
        else if (f.number == 4 && f.wire == WIRE_VARINT)
            sp->remove_extra_whitespaces = f.value;
        else if (f.number == 5 && f.wire == WIRE_VARINT)
            sp->escape_whitespaces = f.value;
    }
    return true;
}

bool sentencepiece_recognise(const char *bytes, size_t n)
{
    size_t i = 0;
    while (i < n && strchr(" \n\r\t", bytes[i]) && bytes[i])
        i++;
    bool json = i == n || bytes[i] == '{' || bytes[i] == '[';
    return n && bytes[0] == '\n' && !json; /* the tag of a piece */
}

bool sentencepiece_read(struct sentencepiece *sp, const char *bytes, size_t n,
                        struct err *err)
{
    struct sentencepiece out = {.model = SP_UNIGRAM, .bos_id = 1,
                                .add_dummy_prefix = true, .remove_extra_whitespaces = true,
                                .escape_whitespaces = true};
    struct cursor c = {bytes, bytes, bytes + n};
    struct field f;
    bool ok = true;
    while (ok && c.p < c.end) {
        ok = next_field(&c, &f, err);
        if (!ok || f.wire != WIRE_BYTES)
            continue;
        if (f.number == 1)
            ok = read_piece(&out, inside(&c, &f), err);
        else if (f.number == 2)
            ok = read_trainer(&out, inside(&c, &f), err);
        else if (f.number == 3)
            ok = read_normalizer(&out, inside(&c, &f), err);
    }
    if (ok && !out.n)
        ok = fail(&c, err, "no pieces");
    if (!ok) {
        sentencepiece_finish(&out);
        return false;
    }
    *sp = out;
    return true;
}

void sentencepiece_finish(struct sentencepiece *sp)
{
    free(sp->pieces);
    *sp = (struct sentencepiece){0};
}
