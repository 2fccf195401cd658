/* cmd_convert.c - `saescope convert`: a checkpoint written anew. See docs/commands.md. */
#include <stdlib.h>
#include <string.h>

#include "io/labels.h"
#include "io/mem.h"
#include "model/convert.h"
#include "tui/cmd.h"

static enum convert_to target(const char *name)
{
    return !name || strcmp(name, "saelens") == 0 ? CONVERT_SAELENS
           : strcmp(name, "npy") == 0            ? CONVERT_NPY
                                                 : CONVERT_JUMPRELU;
}

/* What the user calls the features goes with them where what was written is another
 * checkpoint; what he has said about that one stays. How many. */
static int64_t carry_labels(struct cmd *c, uint64_t to, struct err *err)
{
    uint64_t from = c->session->saes[c->i].id;
    struct labels *l = c->session->labels;
    int64_t carried = 0;
    bool ok = true;
    for (int64_t id = 0; ok && l && to != from && id < c->sae->d_sae; id++) {
        struct label label, there;
        if (!labels_get(l, from, id, &label) || labels_get(l, to, id, &there))
            continue;
        char *text = xstrdup(label.text), *note = xstrdup(label.note);
        ok = labels_put(l, to, id, &(struct label){text, note, label.favourite}, err);
        carried += ok;
        free(text);
        free(note);
    }
    return ok && (!carried || labels_save(l, err)) ? carried : -1;
}

static void put_result(struct cmd *c, const char *path, const struct converted *done,
                       int64_t labels)
{
    struct out *o = c->out;
    out_text(o, "from", c->sae->path);
    out_text(o, "format", c->sae->format);
    out_text(o, "to", c->opts.to ? c->opts.to : "saelens");
    out_text(o, "path", path);
    out_text(o, "architecture", done->architecture);
    out_int(o, "d_in", c->sae->d_in);
    out_int(o, "d_sae", c->sae->d_sae);
    out_text(o, "dtype", dtype_info[done->dtype].name);
    out_int(o, "labels", labels);
    out_rows(o, "files", "name,bytes");
    for (int i = 0; i < done->n_files; i++) {
        out_begin(o, NULL);
        out_text(o, "name", done->files[i].name);
        out_int(o, "bytes", done->files[i].bytes);
        out_end(o);
    }
    out_end(o);
}

bool cmd_convert(struct cmd *c, struct err *err)
{
    const char *path = c->opts.words[c->opts.n_words - 1];
    struct convert_options options = {target(c->opts.to), c->opts.zstd};
    struct converted done = {0};
    if (options.zstd && options.to != CONVERT_NPY)
        return err_set(err, ERR_USAGE, "--zstd: only together with --to npy");
    if (!convert_sae(c->sae, path, &options, &c->progress, &done, err))
        return false;
    for (int i = 0; i < done.n_notes; i++)
        session_warn(c->session, "%s: warning: %s", path, done.notes[i]);
    struct err cause = {0};
    int64_t labels = carry_labels(c, done.checkpoint, &cause);
    if (labels < 0)
        session_warn(c->session, "%s: warning: labels do not go with it: %s", path, cause.msg);
    put_result(c, path, &done, labels < 0 ? 0 : labels);
    converted_finish(&done);
    return true;
}
