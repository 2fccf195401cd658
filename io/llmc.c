/*
 * llmc.c - token files of llm.c: 256 i32, of which the first three are a magic number, a version
 * and the number of ids; then the ids, u16 of GPT-2's tokenizer or u32 of Llama 3's.
 *
 * Source: karpathy/llm.c, dev/data/data_common.py, write_datafile.
 */
#include <string.h>

#include "io/reader.h"

#define HEADER 1024

static const struct {
    int32_t magic, version;
    enum dtype dtype;
} kinds[] = {{20240520, 1, DTYPE_U16}, {20240801, 7, DTYPE_U32}};

static int kind_of(const unsigned char *head, size_t n)
{
    int32_t start[2];
    if (n < sizeof start)
        return -1;
    memcpy(start, head, sizeof start);
    for (int i = 0; i < 2; i++)
        if (start[0] == kinds[i].magic && start[1] == kinds[i].version)
            return i;
    return -1;
}

static bool is_llmc(const unsigned char *head, size_t n, const struct map *m)
{
    (void)m;
    return kind_of(head, n) >= 0;
}

static bool open_llmc(struct container *c, const struct progress *progress, struct err *err)
{
    (void)progress;
    const struct map *m = container_source(c);
    unsigned char head[12];
    int32_t n;
    if (m->size < HEADER)
        return err_format(err, 0, "cut off (found %lld bytes, expected %d of llm.c's header)",
                          (long long)m->size, HEADER);
    if (!map_pread(m, head, sizeof head, 0, err))
        return false;
    memcpy(&n, head + 8, sizeof n);
    struct tensor t = {.dtype = kinds[kind_of(head, sizeof head)].dtype, .ndim = 1, .shape = {n},
                       .data = m->data + HEADER};
    if (n < 0 || m->size - HEADER != n * (int64_t)dtype_info[t.dtype].size)
        return err_format(err, 8, "not as many token ids as it says (found %lld bytes, expected %d "
                          "%s)", (long long)(m->size - HEADER), n, dtype_info[t.dtype].name);
    tensor_set_strides(&t, false);
    container_add(c, &t, "tokens");
    return true;
}

const struct reader llmc_reader = {.kind = "llm.c", .recognise = is_llmc, .open = open_llmc};
