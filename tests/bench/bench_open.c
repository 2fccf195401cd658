/*
 * bench_open.c - what it costs to open checkpoints of 300 MB.
 *
 *   bench_open SAESCOPE DIR
 *
 * Two checkpoints in the explorer, from exec to the first frame on a terminal, less the
 * time of `saescope --version`; and one as torch.save writes it against the same tensors as
 * safetensors. Opening reads headers, never the weights.
 */
#include <libdeflate.h>
#include <sys/stat.h>

#include "io/mem.h"
#include "model/sae.h"
#include "process.h"
#include "workload.h"

enum { D_IN = 768, D_SAE = 49152 };

static const struct part {
    const char *key; /* as dictionary_learning names it */
    int64_t rows, cols; /* cols 0: a vector */
} parts[] = {
    {"encoder.weight", D_SAE, D_IN},
    {"decoder.weight", D_IN, D_SAE},
    {"encoder.bias", D_SAE, 0},
    {"bias", D_IN, 0},
};
enum { PARTS = sizeof parts / sizeof *parts };

static int64_t part_bytes(int i)
{
    return 4 * parts[i].rows * (parts[i].cols ? parts[i].cols : 1);
}

static FILE *create(const char *dir, const char *name)
{
    mkdir(dir, 0700);
    return bench_create(dir, name);
}

static void put(FILE *f, const void *p, size_t n)
{
    if (fwrite(p, 1, n, f) != n) {
        perror("benchmark data");
        exit(1);
    }
}

/* The values of part i; returns their checksum. */
static uint32_t put_part(FILE *f, int i)
{
    float block[D_IN];
    uint64_t seed = (uint64_t)i + 1;
    uint32_t crc = 0;
    for (int64_t left = part_bytes(i); left > 0; left -= (int64_t)sizeof block) {
        for (int k = 0; k < D_IN; k++)
            block[k] = 0.1f * (float)(bench_uniform(&seed) - 0.5);
        put(f, block, sizeof block);
        crc = libdeflate_crc32(crc, block, sizeof block);
    }
    return crc;
}

/* ---- safetensors, in SAELens' layout */

static void make_safetensors(const char *dir)
{
    static const char *const names[PARTS] = {"W_dec", "W_enc", "b_enc", "b_dec"};
    char header[1024];
    size_t n = 0;
    int64_t at = 0;
    FILE *f = create(dir, "sae_weights.safetensors");
    for (int i = 0; i < PARTS; i++) {
        char shape[48];
        snprintf(shape, sizeof shape, parts[i].cols ? "%lld,%lld" : "%lld",
                 (long long)parts[i].rows, (long long)parts[i].cols);
        n += (size_t)snprintf(header + n, sizeof header - n,
                              "%c\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],"
                              "\"data_offsets\":[%lld,%lld]}%s", i ? ',' : '{', names[i],
                              shape, (long long)at, (long long)(at + part_bytes(i)),
                              i == PARTS - 1 ? "}" : "");
        at += part_bytes(i);
    }
    while (n % 8)
        header[n++] = ' ';
    uint64_t length = n;
    put(f, &length, 8);
    put(f, header, n);
    for (int i = 0; i < PARTS; i++)
        put_part(f, i);
    fclose(f);
    f = create(dir, "cfg.json");
    fprintf(f, "{\"architecture\": \"standard\", \"d_in\": %d, \"d_sae\": %d, "
            "\"dtype\": \"float32\"}\n", D_IN, D_SAE);
    fclose(f);
}

/* ---- as torch.save: a zip with a pickle that names its members */

struct text {
    unsigned char p[4096];
    size_t n;
};

static void add(struct text *t, const char *s)
{
    memcpy(t->p + t->n, s, strlen(s));
    t->n += strlen(s);
}

static void add_le(struct text *t, uint64_t v, int n)
{
    for (int i = 0; i < n; i++)
        t->p[t->n++] = (unsigned char)(v >> (8 * i));
}

static void add_word(struct text *t, const char *s)
{
    add(t, "X");
    add_le(t, strlen(s), 4);
    add(t, s);
}

static void add_int(struct text *t, int64_t v)
{
    add(t, "J");
    add_le(t, (uint64_t)v, 4);
}

static void add_tensor(struct text *t, int i)
{
    char key[16];
    snprintf(key, sizeof key, "%d", i);
    add_word(t, parts[i].key);
    add(t, "ctorch._utils\n_rebuild_tensor_v2\n((");
    add_word(t, "storage");
    add(t, "ctorch\nFloatStorage\n");
    add_word(t, key);
    add_word(t, "cpu");
    add_int(t, part_bytes(i) / 4);
    add(t, "tQK");
    add_le(t, 0, 1);
    add(t, "(");
    add_int(t, parts[i].rows);
    if (parts[i].cols)
        add_int(t, parts[i].cols);
    add(t, "t(");
    if (parts[i].cols)
        add_int(t, parts[i].cols);
    add_int(t, 1);
    add(t, "t\x89" "ccollections\nOrderedDict\n)RtR");
}

static void add_member(struct text *t, bool central, const char *name, uint32_t crc,
                       int64_t size, long at)
{
    add(t, central ? "PK\1\2" : "PK\3\4");
    add_le(t, 20, central ? 4 : 2), add_le(t, 0, 8);
    add_le(t, crc, 4), add_le(t, (uint64_t)size, 4), add_le(t, (uint64_t)size, 4);
    add_le(t, strlen(name), 2), add_le(t, 0, 2);
    if (central)
        add_le(t, 0, 8), add_le(t, 0, 2), add_le(t, (uint64_t)at, 4);
    add(t, name);
}

/* Member i of the file (-1: the pickle), its bytes put by fn or taken from data. */
static void put_member(FILE *f, struct text *directory, int i, const struct text *data)
{
    char name[32];
    struct text head = {.n = 0};
    long at = ftell(f);
    uint32_t crc = data ? libdeflate_crc32(0, data->p, data->n) : 0;
    int64_t size = data ? (int64_t)data->n : part_bytes(i);
    snprintf(name, sizeof name, data ? "ae/data.pkl" : "ae/data/%d", i);
    add_member(&head, false, name, crc, size, 0);
    put(f, head.p, head.n);
    if (data)
        put(f, data->p, data->n);
    else
        crc = put_part(f, i);
    if (!data) { /* now that its checksum is known */
        long end = ftell(f);
        head.n = 0;
        add_member(&head, false, name, crc, size, 0);
        fseek(f, at, SEEK_SET);
        put(f, head.p, head.n);
        fseek(f, end, SEEK_SET);
    }
    add_member(directory, true, name, crc, size, at);
}

static void make_pt(const char *dir)
{
    struct text pickle = {.n = 0}, directory = {.n = 0};
    FILE *f = create(dir, "ae.pt");
    add(&pickle, "\x80\2}(");
    for (int i = 0; i < PARTS; i++)
        add_tensor(&pickle, i);
    add(&pickle, "u.");
    put_member(f, &directory, -1, &pickle);
    for (int i = 0; i < PARTS; i++)
        put_member(f, &directory, i, NULL);
    long at = ftell(f);
    size_t n = directory.n;
    add(&directory, "PK\5\6");
    add_le(&directory, 0, 4), add_le(&directory, PARTS + 1, 2);
    add_le(&directory, PARTS + 1, 2), add_le(&directory, n, 4);
    add_le(&directory, (uint64_t)at, 4), add_le(&directory, 0, 2);
    put(f, directory.p, directory.n);
    fclose(f);
}

static void make(const char *dir, const char *a, const char *b, const char *pt)
{
    char done[1024];
    struct stat st;
    snprintf(done, sizeof done, "%s/done", dir);
    if (stat(done, &st) == 0)
        return;
    fputs("making three checkpoints of 302 MB\n", stderr);
    mkdir(dir, 0700);
    make_safetensors(a);
    make_safetensors(b);
    make_pt(pt);
    fclose(create(dir, "done"));
}

/* ---- the benchmark */

static void open_and_close(void *path)
{
    struct err err = {0};
    struct sae *sae = sae_open(path, NULL, NULL, &err);
    bench_need(sae, &err);
    sae_close(sae);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: bench_open SAESCOPE DIR\n", stderr);
        return 2;
    }
    char a[1024], b[1024], pt[1024];
    snprintf(a, sizeof a, "%s/a", argv[2]);
    snprintf(b, sizeof b, "%s/b", argv[2]);
    snprintf(pt, sizeof pt, "%s/pt", argv[2]);
    make(argv[2], a, b, pt);

    const char *version[] = {argv[1], "--version", NULL};
    const char *one[] = {argv[1], a, NULL}, *two[] = {argv[1], a, b, NULL};
    const char *torch[] = {argv[1], pt, NULL};
    double base = run_median(version);
    double ms = first_screen_median(one) - base;
    printf("first screen, one checkpoint of 302 MB: %.1f ms (must 20)\n", ms);
    ms = first_screen_median(two) - base;
    printf("first screen, two of them: %.1f ms (must 30): ratio %.2f\n", ms, ms / 30);
    ms = first_screen_median(torch) - base;
    printf("first screen, one as .pt: %.1f ms (must 20)\n", ms);
    double safetensors = bench_least(open_and_close, a, 50);
    double zip = bench_least(open_and_close, pt, 50);
    printf("opening: safetensors %.2f ms, .pt %.2f ms: ratio %.2f (must 2)\n", safetensors,
           zip, zip / safetensors);
    return 0;
}
