/* bound.c - see bound.h. */
#include "io/bound.h"

#include <inttypes.h>
#include <string.h>

#include "io/npy.h"
#include "io/safetensors.h"

#define LENGTH 8 /* of a safetensors header's length */

size_t bound_needs(const unsigned char *head, size_t n)
{
    size_t length = 0;
    if (npy_is(head, n))
        return NPY_MAX_PREFIX;
    if (safetensors_is(head, n) && safetensors_header_size(head, INT64_MAX, &length, NULL))
        return LENGTH + length;
    return n;
}

static bool promised_npy(const unsigned char *head, size_t n, int64_t *promised,
                         struct err *err)
{
    struct npy npy;
    if (!npy_parse(head, n, INT64_MAX, &npy, err))
        return false;
    if (__builtin_add_overflow(npy.data_offset, npy.data_size, promised))
        *promised = INT64_MAX;
    return true;
}

static bool promised_safetensors(const unsigned char *head, size_t n, int64_t *promised,
                                 struct err *err)
{
    struct safetensors st;
    size_t length = 0;
    if (!safetensors_header_size(head, (int64_t)n, &length, err) ||
        !safetensors_parse((const char *)head + LENGTH, length, INT64_MAX, &st, err))
        return false;
    int64_t data = st.n > 0 ? st.entry[st.n - 1].end : 0;
    if (__builtin_add_overflow(data, (int64_t)(LENGTH + length), promised))
        *promised = INT64_MAX;
    safetensors_free(&st);
    return true;
}

bool bound_set(struct bound *b, const unsigned char *head, size_t n, int64_t packed,
               struct err *err)
{
    bool npy = npy_is(head, n), safetensors = !npy && safetensors_is(head, n);
    *b = (struct bound){.header = npy ? "npy" : safetensors ? "safetensors" : NULL,
                        .ratio = npy || safetensors ? BOUND_ARRAY_RATIO : BOUND_RATIO};
    if ((npy && !promised_npy(head, n, &b->promised, err)) ||
        (safetensors && !promised_safetensors(head, n, &b->promised, err)))
        return false;
    int64_t room = b->header ? BOUND_ARRAY_ROOM : BOUND_ROOM;
    int64_t slack = npy ? BOUND_NPY_SLACK : 0;
    if (__builtin_mul_overflow(packed, b->ratio, &b->limit) ||
        __builtin_add_overflow(b->limit, room, &b->limit))
        b->limit = INT64_MAX;
    if (b->header && b->promised <= INT64_MAX - slack && b->promised + slack < b->limit) {
        b->limit = b->promised + slack;
        b->ratio = 0;
    }
    return true;
}

bool bound_kept(const struct bound *b, int64_t size, bool exact, int64_t packed,
                struct err *err)
{
    if (b->promised <= size)
        return true;
    return err_format(err, (uint64_t)packed, "%s data ends early (found %s%" PRId64
                      " bytes with the header, expected %" PRId64 ")", b->header,
                      exact ? "" : "at most ", size, b->promised);
}

bool bound_exceeded(const struct bound *b, struct err *err)
{
    if (!b->ratio)
        return err_set(err, ERR_FORMAT, "decompresses to more than its %s header promises "
                       "(found more, expected at most %" PRId64 " bytes)", b->header, b->limit);
    return err_set(err, ERR_FORMAT, "decompresses to more than %d times its size (found more, "
                   "expected at most %" PRId64 " bytes)", b->ratio, b->limit);
}
