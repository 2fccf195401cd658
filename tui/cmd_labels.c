/* cmd_labels.c - `saescope labels`: what is said about the features of a checkpoint. */
#include "io/labels.h"
#include "tui/cmd.h"

static void write_label(struct out *o, int64_t id, const struct label *l)
{
    out_begin(o, NULL);
    out_int(o, "id", id);
    out_text(o, "label", *l->text ? l->text : NULL);
    out_text(o, "note", *l->note ? l->note : NULL);
    out_bool(o, "favourite", l->favourite);
    out_end(o);
}

bool cmd_labels(struct cmd *c, struct err *err)
{
    struct session *s = c->session;
    uint64_t checkpoint = s->saes[c->i].id;
    int64_t imported = 0;
    if (!session_need_labels(s, err))
        return false;
    if (c->opts.import_from) {
        imported = labels_import(s->labels, checkpoint, c->opts.import_from, err);
        if (imported < 0)
            return false;
    }
    out_int(c->out, "imported", imported);
    out_rows(c->out, "labels", "id,label,note,favourite");
    for (int64_t id = 0; id < c->sae->d_sae; id++) {
        struct label l;
        if (labels_get(s->labels, checkpoint, id, &l) &&
            (*l.text || *l.note || l.favourite))
            write_label(c->out, id, &l);
    }
    out_end(c->out);
    return true;
}
