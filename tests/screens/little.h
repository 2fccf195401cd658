/*
 * little.h - for screen tests: a small bundle whose every number can be told by eye.
 *
 * 16 words, 8 sequences of 16 tokens. The activation of a token is its word's own axis
 * times a strength of 1 to 4. Two SAEs of d_in = 16, d_sae = 48, "relu" and "other" (the
 * same with another bias):
 *
 *   feature 0 .. 15    fires on word j, strength - 0.5
 *   feature 16 .. 31   fires on words j - 16 and j - 15, strength - 1
 *   feature 32 .. 47   never fires (bias -10)
 */
#pragma once

#include <stdbool.h>

#include "model/session.h"
#include "../unit/arrays.h"

enum { LITTLE_WORDS = 16, LITTLE_SAE = 48, LITTLE_SEQ = 8, LITTLE_LEN = 16 };

static const char *const little_word[LITTLE_WORDS] = {
    " the", " LORD", " God", " king", " city", " sea", " earth", " water",
    " bread", " wine", " son", " day", " night", " light", " and", " of"};

static inline int little_id(int t)
{
    return (t * t + 3 * t + t / 16) % 17 % LITTLE_WORDS;
}

static inline float little_strength(int t)
{
    return 1 + (float)(t * 7 % 13) / 4;
}

static inline void little_put_sae(const char *name, float shift)
{
    enum { D = LITTLE_WORDS, F = LITTLE_SAE };
    static float W_enc[D * F], W_dec[F * D], b_enc[F], b_dec[D];
    char inner[200];
    for (int j = 0; j < F; j++) {
        int a = j % D, b = j / D == 1 ? (j + 1) % D : a;
        for (int i = 0; i < D; i++) {
            W_enc[i * F + j] = i == a || i == b;
            W_dec[j * D + i] = i == a ? 1 : i == b ? 0.5f : 0;
        }
        b_enc[j] = (j / D == 0 ? -0.5f : j / D == 1 ? -1 : -10) + shift;
    }
    struct array a[] = {{"W_enc", DTYPE_F32, 2, {D, F}, W_enc},
                        {"W_dec", DTYPE_F32, 2, {F, D}, W_dec},
                        {"b_enc", DTYPE_F32, 1, {F}, b_enc},
                        {"b_dec", DTYPE_F32, 1, {D}, b_dec}};
    make_dir(name);
    snprintf(inner, sizeof inner, "%s/sae_weights.safetensors", name);
    write_safetensors(inner, a, 4);
    snprintf(inner, sizeof inner, "%s/cfg.json", name);
    write_text(inner, "{\"hook_name\":\"blocks.0.hook_mlp_out\"}");
}

/* "run": three steps of a training. */
static inline void little_put_run(void)
{
    make_dir("run");
    little_put_sae("run/step_10", -1);
    little_put_sae("run/step_20", 0);
    little_put_sae("run/step_100", 1);
}

static inline void little_put_samples(void)
{
    enum { D = LITTLE_WORDS, N = LITTLE_SEQ * LITTLE_LEN };
    static float acts[N * D], ids[N];
    for (int t = 0; t < N; t++) {
        ids[t] = (float)little_id(t);
        acts[t * D + little_id(t)] = little_strength(t);
    }
    struct array a = {"", DTYPE_F32, 3, {LITTLE_SEQ, LITTLE_LEN, D}, acts};
    struct array tokens = {"", DTYPE_I32, 2, {LITTLE_SEQ, LITTLE_LEN}, ids};
    write_npy("little/acts.npy", &a);
    write_npy("little/tokens.npy", &tokens);
}

/* Writes the bundle, and lets caches and labels go to the test's directory. */
static inline void little_make(void)
{
    char vocabulary[1024], *p = vocabulary;
    setenv("XDG_CACHE_HOME", test_path("cache"), 1);
    setenv("XDG_STATE_HOME", test_path("state"), 1);
    make_dir("little");
    make_dir("little/saes");
    little_put_sae("little/saes/relu", 0);
    little_put_sae("little/saes/other", 0.25f);
    little_put_samples();
    for (int i = 0; i < LITTLE_WORDS; i++)
        p += sprintf(p, "%c\"%s\":%d", i ? ',' : '{', little_word[i], i);
    strcpy(p, "}");
    write_text("little/tokenizer.json", vocabulary);
    write_text("little/bundle.json",
               "{\"name\":\"little\",\"acts\":\"acts.npy\",\"tokens\":\"tokens.npy\","
               "\"tokenizer\":\"tokenizer.json\",\"saes\":{\"relu\":\"saes/relu\","
               "\"other\":\"saes/other\"}}");
}

/* A language model of the same width, with random weights and 61 words: hooks at layers 0
 * and 1. */
static inline const char *little_model(void)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/lm/gpt2", getenv("TEST_REF"));
    return path;
}

static inline struct session *little_open_at(const char *where, const char *model)
{
    static char path[256];
    static const char *paths[] = {path};
    struct session_options o = {.paths = paths, .n_paths = 1, .threads = 1, .model = model};
    struct err err = {0};
    snprintf(path, sizeof path, "%s", test_path(where));
    struct session *s = session_open(&o, NULL, &err);
    if (!s)
        fail_msg("%s", err.msg);
    return s;
}

/* The bundle with its first SAE chosen, or only the SAE's weights. */
static inline struct session *little_open(bool weights_only)
{
    return little_open_at(weights_only ? "little/saes/relu" : "little", NULL);
}

/* The bundle with the language model. */
static inline struct session *little_open_lm(void)
{
    return little_open_at("little", little_model());
}
