/* verbose.c - see verbose.h. */
#include "tui/verbose.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <jansson.h>

#include "io/str.h"
#include "model/session.h"
#include "tui/cmd.h"

/* "a, b, c", cut where it gets long. */
static void tell_ignored(const struct sae *sae)
{
    struct str keys = {0};
    size_t n = json_array_size(sae->ignored);

    for (size_t k = 0; k < n && keys.len < 400; k++)
        str_appendf(&keys, "%s%s", k ? ", " : "",
                    json_string_value(json_array_get(sae->ignored, k)));
    if (n)
        cmd_say("%s: note: %zu keys mean nothing here: %s", sae->path, n, str_text(&keys));
    str_finish(&keys);
}

static void tell_samples(const struct samples *s)
{
    char shape[128];

    for (int i = 0; i < s->n_shards; i++)
        cmd_say("%s: note: samples %s %s%s", container_path(s->shards[i].container),
                dtype_info[s->dtype].name,
                tensor_shape_text(s->shards[i].tensor, shape, sizeof shape),
                container_unpacked(s->shards[i].container) ? ", unpacked" : "");
    for (int i = 0; s->firings && i < s->firings->n_parts; i++) {
        const struct firings_part *part = &s->firings->parts[i];
        cmd_say("%s: note: %lld firings of features from %lld on, %s",
                container_path(part->container), (long long)part->n, (long long)part->first,
                dtype_info[part->activations->dtype].name);
    }
    if (s->tokens)
        cmd_say("%s: note: token ids %s %s", samples_tokens_path(s),
                dtype_info[s->tokens->dtype].name,
                tensor_shape_text(s->tokens, shape, sizeof shape));
    cmd_say("%s: note: %lld of %lld tokens are read, in sequences of %lld", s->path,
            (long long)s->n_tok, (long long)s->n_tok_stored, (long long)s->seq_len);
}

void verbose_inputs(const struct session *s, int i)
{
    const struct sae *sae = s->saes[i].sae;
    const char *hook = session_hook(s, i);

    if (s->bundle.path)
        cmd_say("%s: note: a bundle of %d SAEs", s->bundle.path, s->bundle.n_saes);
    cmd_say("%s: note: %s %s %lld -> %lld, format %s, by %s, hook %s", sae->path,
            sae->arch->name, dtype_info[sae->dtype].name, (long long)sae->d_in,
            (long long)sae->d_sae, sae->format, sae->rule, hook ? hook : "not known");
    tell_ignored(sae);
    if (s->samples)
        tell_samples(s->samples);
    if (s->tokenizer)
        cmd_say("%s: note: tokenizer", tokenizer_path(s->tokenizer));
}

static bool look(const char *path, long long mtime[2])
{
    struct stat st;

    if (!path || stat(path, &st) != 0)
        return false;
    mtime[0] = st.st_mtim.tv_sec;
    mtime[1] = st.st_mtim.tv_nsec;
    return true;
}

struct verbose_index verbose_index_before(const struct session *s, int i)
{
    struct verbose_index v = {.path = s->samples ? session_index_path(s, i, NULL) : NULL};

    v.was_there = look(v.path, v.mtime);
    return v;
}

void verbose_index_after(struct verbose_index *v, const struct session *s, int i)
{
    long long now[2] = {0};
    bool there = look(v->path, now);
    bool same = v->was_there && there && now[0] == v->mtime[0] && now[1] == v->mtime[1];

    if (v->path)
        cmd_say("%s: note: the index was %s", v->path,
                !s->saes[i].index ? "not used"
                : same            ? "read"
                : v->was_there    ? "made again"
                                  : "made");
    else if (s->samples)
        cmd_say("%s: note: no index is kept", s->saes[i].path);
    free(v->path);
    *v = (struct verbose_index){0};
}
