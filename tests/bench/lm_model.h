/*
 * lm_model.h - a language model of the size of GPT-2 small (12 layers, 768, 12 heads,
 * vocabulary 50257) with random weights, as a directory in Hugging Face's layout. Made
 * once, 0.5 GB, and kept for the next run.
 */
#pragma once

#include <string.h>
#include <sys/stat.h>

#include "io/mem.h"
#include "bench.h"

enum { LM_LAYERS = 12, LM_D = 768, LM_VOCAB = 50257, LM_CONTEXT = 1024 };

struct lm_entry {
    const char *name; /* "%d": a tensor of every layer */
    int64_t rows, cols; /* cols 0: a vector */
    float scale, base;
};

static const struct lm_entry lm_entries[] = {
    {"wte.weight", LM_VOCAB, LM_D, 0.02f, 0},
    {"wpe.weight", LM_CONTEXT, LM_D, 0.01f, 0},
    {"ln_f.weight", LM_D, 0, 0.1f, 1},
    {"ln_f.bias", LM_D, 0, 0.1f, 0},
    {"h.%d.ln_1.weight", LM_D, 0, 0.1f, 1},
    {"h.%d.ln_1.bias", LM_D, 0, 0.1f, 0},
    {"h.%d.attn.c_attn.weight", LM_D, 3 * LM_D, 0.02f, 0},
    {"h.%d.attn.c_attn.bias", 3 * LM_D, 0, 0.02f, 0},
    {"h.%d.attn.c_proj.weight", LM_D, LM_D, 0.02f, 0},
    {"h.%d.attn.c_proj.bias", LM_D, 0, 0.02f, 0},
    {"h.%d.ln_2.weight", LM_D, 0, 0.1f, 1},
    {"h.%d.ln_2.bias", LM_D, 0, 0.1f, 0},
    {"h.%d.mlp.c_fc.weight", LM_D, 4 * LM_D, 0.02f, 0},
    {"h.%d.mlp.c_fc.bias", 4 * LM_D, 0, 0.02f, 0},
    {"h.%d.mlp.c_proj.weight", 4 * LM_D, LM_D, 0.02f, 0},
    {"h.%d.mlp.c_proj.bias", LM_D, 0, 0.02f, 0},
};
#define LM_ENTRIES (sizeof lm_entries / sizeof *lm_entries)

/* fn for every tensor of the file, in its order. */
static inline void lm_each_tensor(void (*fn)(void *ctx, const char *name,
                                             const struct lm_entry *e), void *ctx)
{
    for (size_t i = 0; i < LM_ENTRIES; i++)
        for (int layer = 0; layer < (strchr(lm_entries[i].name, '%') ? LM_LAYERS : 1);
             layer++) {
            char name[64];
            snprintf(name, sizeof name, lm_entries[i].name, layer);
            fn(ctx, name, &lm_entries[i]);
        }
}

static inline int64_t lm_entry_count(const struct lm_entry *e)
{
    return e->rows * (e->cols ? e->cols : 1);
}

struct lm_header {
    char text[1 << 15];
    size_t n;
    int64_t at;
};

static inline void lm_header_add(void *ctx, const char *name, const struct lm_entry *e)
{
    struct lm_header *h = ctx;
    int64_t end = h->at + 4 * lm_entry_count(e);
    char shape[48];
    snprintf(shape, sizeof shape, e->cols ? "%lld,%lld" : "%lld", (long long)e->rows,
             (long long)e->cols);
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

static inline void lm_body_add(void *ctx, const char *name, const struct lm_entry *e)
{
    struct lm_body *b = ctx;
    float block[768];
    (void)name;
    for (int64_t n = lm_entry_count(e); n > 0; n -= 768) {
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
static inline void lm_make(const char *dir)
{
    char path[1024];
    struct stat st;
    snprintf(path, sizeof path, "%s/config.json", dir);
    if (stat(path, &st) == 0)
        return;
    fprintf(stderr, "making a language model of 124 million weights\n");
    mkdir(dir, 0700);
    struct lm_header *h = xcalloc(1, sizeof *h);
    lm_each_tensor(lm_header_add, h);
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
    lm_each_tensor(lm_body_add, &body);
    fclose(body.f);
    free(h);
    snprintf(path, sizeof path, "%s/config.json", dir);
    FILE *f = fopen(path, "w");
    if (!f) {
        perror(path);
        exit(1);
    }
    fprintf(f, "{\"model_type\": \"gpt2\", \"n_embd\": %d, \"n_layer\": %d, \"n_head\": 12, "
            "\"n_positions\": %d, \"vocab_size\": %d}\n", LM_D, LM_LAYERS, LM_CONTEXT,
            LM_VOCAB);
    fclose(f);
}
