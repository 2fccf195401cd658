/*
 * lm_model.h - a language model of the family GPT-2 with random weights and heads of 64, as
 * a directory in Hugging Face's layout. Made once and kept for the next run.
 */
#pragma once

#include <string.h>
#include <sys/stat.h>

#include "io/mem.h"
#include "bench.h"

struct lm_size {
    int layers, d, vocab, context;
};

static const struct lm_size lm_gpt2_small = {12, 768, 50257, 1024};

enum { LM_VOCAB = -1, LM_CONTEXT = -2 };

struct lm_entry {
    const char *name; /* "%d": a tensor of every layer */
    int rows, cols;   /* times d, or one of the above; cols 0: a vector */
    float scale, base;
};

static const struct lm_entry lm_entries[] = {
    {"wte.weight", LM_VOCAB, 1, 0.02f, 0},
    {"wpe.weight", LM_CONTEXT, 1, 0.01f, 0},
    {"ln_f.weight", 1, 0, 0.1f, 1},
    {"ln_f.bias", 1, 0, 0.1f, 0},
    {"h.%d.ln_1.weight", 1, 0, 0.1f, 1},
    {"h.%d.ln_1.bias", 1, 0, 0.1f, 0},
    {"h.%d.attn.c_attn.weight", 1, 3, 0.02f, 0},
    {"h.%d.attn.c_attn.bias", 3, 0, 0.02f, 0},
    {"h.%d.attn.c_proj.weight", 1, 1, 0.02f, 0},
    {"h.%d.attn.c_proj.bias", 1, 0, 0.02f, 0},
    {"h.%d.ln_2.weight", 1, 0, 0.1f, 1},
    {"h.%d.ln_2.bias", 1, 0, 0.1f, 0},
    {"h.%d.mlp.c_fc.weight", 1, 4, 0.02f, 0},
    {"h.%d.mlp.c_fc.bias", 4, 0, 0.02f, 0},
    {"h.%d.mlp.c_proj.weight", 4, 1, 0.02f, 0},
    {"h.%d.mlp.c_proj.bias", 1, 0, 0.02f, 0},
};
#define LM_ENTRIES (sizeof lm_entries / sizeof *lm_entries)

static inline int64_t lm_length(const struct lm_size *m, int dim)
{
    return dim == LM_VOCAB ? m->vocab : dim == LM_CONTEXT ? m->context : (int64_t)dim * m->d;
}

static inline int64_t lm_entry_count(const struct lm_size *m, const struct lm_entry *e)
{
    return lm_length(m, e->rows) * (e->cols ? lm_length(m, e->cols) : 1);
}

/* fn for every tensor of the file, in its order. */
static inline void lm_each_tensor(const struct lm_size *m,
                                  void (*fn)(void *ctx, const struct lm_size *m,
                                             const char *name, const struct lm_entry *e),
                                  void *ctx)
{
    for (size_t i = 0; i < LM_ENTRIES; i++)
        for (int layer = 0; layer < (strchr(lm_entries[i].name, '%') ? m->layers : 1);
             layer++) {
            char name[64];
            snprintf(name, sizeof name, lm_entries[i].name, layer);
            fn(ctx, m, name, &lm_entries[i]);
        }
}

struct lm_header {
    char text[1 << 15];
    size_t n;
    int64_t at;
};

static inline void lm_header_add(void *ctx, const struct lm_size *m, const char *name,
                                 const struct lm_entry *e)
{
    struct lm_header *h = ctx;
    int64_t end = h->at + 4 * lm_entry_count(m, e);
    char shape[48];
    snprintf(shape, sizeof shape, e->cols ? "%lld,%lld" : "%lld",
             (long long)lm_length(m, e->rows), (long long)lm_length(m, e->cols));
    h->n += (size_t)snprintf(h->text + h->n, sizeof h->text - h->n,
                             "%c\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],"
                             "\"data_offsets\":[%lld,%lld]}", h->at ? ',' : '{', name, shape,
                             (long long)h->at, (long long)end);
    h->at = end;
}

struct lm_body {
    FILE *f;
    uint64_t seed;
};

static inline void lm_body_add(void *ctx, const struct lm_size *size, const char *name,
                               const struct lm_entry *e)
{
    struct lm_body *b = ctx;
    float block[768];
    (void)name;
    for (int64_t n = lm_entry_count(size, e); n > 0; n -= 768) {
        int64_t m = n < 768 ? n : 768;
        for (int64_t i = 0; i < m; i++) /* uniform is random enough, and fast */
            block[i] = e->base + e->scale * 1.73f * (float)(2 * bench_uniform(&b->seed) - 1);
        if (fwrite(block, sizeof *block, (size_t)m, b->f) != (size_t)m) {
            perror("benchmark data");
            exit(1);
        }
    }
}

/* The model in directory `dir`, unless it is there. */
static inline void lm_make(const char *dir, const struct lm_size *m)
{
    char path[1024];
    struct stat st;
    snprintf(path, sizeof path, "%s/config.json", dir);
    if (stat(path, &st) == 0)
        return;
    fprintf(stderr, "making a language model, %d layers of %d\n", m->layers, m->d);
    mkdir(dir, 0700);
    struct lm_header *h = xcalloc(1, sizeof *h);
    lm_each_tensor(m, lm_header_add, h);
    h->text[h->n++] = '}';
    while (h->n % 8)
        h->text[h->n++] = ' ';
    uint64_t length = h->n;
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    struct lm_body body = {fopen(path, "wb"), 5};
    if (!body.f || fwrite(&length, 8, 1, body.f) != 1 ||
        fwrite(h->text, 1, h->n, body.f) != h->n) {
        perror(path);
        exit(1);
    }
    lm_each_tensor(m, lm_body_add, &body);
    fclose(body.f);
    free(h);
    snprintf(path, sizeof path, "%s/config.json", dir);
    FILE *f = fopen(path, "w");
    if (!f) {
        perror(path);
        exit(1);
    }
    fprintf(f, "{\"model_type\": \"gpt2\", \"n_embd\": %d, \"n_layer\": %d, \"n_head\": %d, "
            "\"n_positions\": %d, \"vocab_size\": %d}\n", m->d, m->layers, m->d / 64,
            m->context, m->vocab);
    fclose(f);
}
