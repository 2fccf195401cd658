/* view_features_cells.c - view 2: which columns there are and what stands in them; see
 * view_features.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/str.h"
#include "model/session_lm.h"
#include "tui/view_features.h"
#include "tui/wid_hist.h"

/* -- columns ----------------------------------------------------------------------- */

static const struct {
    const char *key, *title; /* NULL: feature_columns' */
    int width, grow, rank;   /* rank: struct table_column */
    enum align align;
} cells[CELL_COLUMNS] = {
    [FCOL_ID] = {.width = 9, .align = ALIGN_RIGHT},
    [CELL_NAME] = {"name", "name", 16, 4, 1, ALIGN_LEFT},
    [FCOL_DENSITY] = {.width = 13, .rank = 1, .align = ALIGN_LEFT},
    [CELL_HISTOGRAM] = {"histogram", "histogram", 10, 1, 4, ALIGN_LEFT},
    [FCOL_MEAN] = {.width = 7, .rank = 3, .align = ALIGN_RIGHT},
    [FCOL_MAX] = {.width = 7, .rank = 2, .align = ALIGN_RIGHT},
    [FCOL_BIAS] = {.width = 7, .rank = 2, .align = ALIGN_RIGHT},
    [FCOL_THRESHOLD] = {.width = 9, .rank = 4, .align = ALIGN_RIGHT},
    [FCOL_DELTA_FVU] = {.width = 9, .rank = 3, .align = ALIGN_RIGHT},
    [FCOL_ENCODER_DECODER_COSINE] = {.width = 7, .rank = 5, .align = ALIGN_RIGHT},
    [FCOL_DECODER_NORM] = {.width = 7, .rank = 6, .align = ALIGN_RIGHT},
    [FCOL_NEAREST_COSINE] = {.width = 7, .rank = 7, .align = ALIGN_RIGHT},
    [FCOL_RELATIVE_NORM] = {.width = 8, .rank = 2, .align = ALIGN_RIGHT},
    [FCOL_ACTIVE] = {.width = 9, .rank = 5, .align = ALIGN_RIGHT},
    [FCOL_DELTA_CE] = {.width = 9, .rank = 3, .align = ALIGN_RIGHT},
    [FCOL_ESTIMATE] = {.width = 9, .rank = 4, .align = ALIGN_RIGHT},
    [FCOL_DELTA_CE_KEPT] = {.width = 9, .rank = 5, .align = ALIGN_RIGHT},
    [FCOL_ESTIMATE_KEPT] = {.width = 9, .rank = 5, .align = ALIGN_RIGHT},
};

/* In the order in which they stand unless the user has another in mind. */
static const int usual[] = {
    FCOL_ID, CELL_NAME, FCOL_RELATIVE_NORM, FCOL_DENSITY, CELL_HISTOGRAM, FCOL_MEAN, FCOL_MAX,
    FCOL_BIAS, FCOL_THRESHOLD, FCOL_DELTA_FVU, FCOL_DELTA_CE, FCOL_ESTIMATE,
    FCOL_ENCODER_DECODER_COSINE, FCOL_DECODER_NORM,
    FCOL_NEAREST_COSINE, FCOL_ACTIVE,
};

const char *features_column_key(int column)
{
    return column < FCOL_COUNT ? feature_columns[column].key : cells[column].key;
}

const char *features_column_title(int column)
{
    return column < FCOL_COUNT ? feature_columns[column].heading : cells[column].title;
}

static int find_column(const char *key)
{
    for (int c = 0; c < CELL_COLUMNS; c++)
        if (strcmp(features_column_key(c), key) == 0 ||
            strcmp(features_column_title(c), key) == 0)
            return c;
    return -1;
}

static void set_columns(struct features *f, const int *columns, int n)
{
    int chosen = f->n_columns ? f->columns[f->table.column] : FCOL_ID;

    f->n_columns = n;
    f->table.sort = -1;
    f->table.first = 0;
    f->table.column = chosen == FCOL_ID ? 0 : n > 1;
    for (int i = 0; i < n; i++) {
        int c = columns[i];
        f->columns[i] = c;
        f->heads[i] = (struct table_column){
            .title = features_column_title(c), .width = cells[c].width, .grow = cells[c].grow,
            .align = cells[c].align, .rank = cells[c].rank, .is_sortable = c < FCOL_COUNT,
        };
        if (c == f->sort)
            f->table.sort = i;
        if (c == chosen)
            f->table.column = i;
    }
}

/* What only some checkpoints can fill: bit 0 thresholds, bit 1 relative norms. */
static int special_columns(const struct view *v)
{
    const struct sae *sae = v->session->saes[v->target.sae].sae;
    return sae ? (sae->threshold ? 1 : 0) | (sae->relative_norm ? 2 : 0) : 0;
}

static bool is_fillable(int column, int special)
{
    return column == FCOL_THRESHOLD       ? special & 1
           : column == FCOL_RELATIVE_NORM ? special & 2
                                          : true;
}

/* Without samples these would be a table of nothing. */
static bool needs_samples(int column)
{
    switch (column) {
    case FCOL_DENSITY:
    case CELL_HISTOGRAM:
    case FCOL_MEAN:
    case FCOL_MAX:
    case FCOL_DELTA_FVU:
    case FCOL_ACTIVE: return true;
    default: return false;
    }
}

static bool needs_model(int column)
{
    return column == FCOL_DELTA_CE || column == FCOL_ESTIMATE;
}

/* Those that this checkpoint, these samples and this model can fill. */
static void usual_columns(struct view *v)
{
    struct features *f = v->state;
    bool has_samples = samples_have_features(v->session->samples);
    bool has_model = session_lm_path(v->session) && v->session->samples &&
                     v->session->samples->tokens;
    int columns[CELL_COLUMNS], n = 0;

    f->special = special_columns(v);
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (is_fillable(usual[i], f->special) &&
            (has_samples || !needs_samples(usual[i])) &&
            (has_model || !needs_model(usual[i])))
            columns[n++] = usual[i];
    set_columns(f, columns, n);
}

/* Another checkpoint, or it has been loaded. */
void features_fit_columns(struct view *v)
{
    const struct features *f = v->state;

    if (!f->n_columns || (!f->has_chosen && f->special != special_columns(v)))
        usual_columns(v);
}

/* -- the option "columns" ---------------------------------------------------------- */

void features_option_get(const struct view *v, int i, char *buf, size_t size)
{
    const struct features *f = v->state;
    struct str s = {0};

    (void)i;
    for (int k = 1; k < f->n_columns; k++)
        str_appendf(&s, "%s%s", k > 1 ? "," : "", features_column_key(f->columns[k]));
    snprintf(buf, size, "%s", str_text(&s));
    str_finish(&s);
}

bool features_option_set(struct view *v, int i, const char *value, struct err *err)
{
    struct features *f = v->state;
    int columns[CELL_COLUMNS] = {FCOL_ID}, n = 1;
    char *words = xstrdup(value), *rest = words, *key;
    bool ok = true, seen[CELL_COLUMNS] = {[FCOL_ID] = true};

    (void)i;
    if (desk_count(v->desk) == 0)
        ok = err_set(err, ERR_USAGE, "no checkpoint is open");
    while (ok && (key = strsep(&rest, ", "))) {
        int c = find_column(key);
        if (!*key || strcmp(key, "usual") == 0)
            continue;
        if (c < 0)
            ok = err_set(err, ERR_USAGE, "columns: no column \"%s\" (expected name, "
                         "histogram, density, count, mean, max, bias, ...)", key);
        else if (!seen[c])
            columns[n++] = c;
        seen[c < 0 ? 0 : c] = true;
    }
    free(words);
    if (!ok)
        return false;
    f->has_chosen = n > 1;
    if (f->has_chosen)
        set_columns(f, columns, n);
    else
        usual_columns(v);
    return true;
}

/* -- cells ------------------------------------------------------------------------- */

static void paint_id(const struct view *v, int64_t id, struct canvas *c)
{
    const struct sae *sae = v->session->saes[v->target.sae].sae;
    int i = v->target.sae;
    bool selected = desk_selected(v->desk, i, id);
    char number[32];

    if (selected)
        canvas_text(c, 0, 0, INK_MARKER | STYLE_BOLD, "+");
    if (sae->broken && sae->broken[id])
        canvas_text(c, 0, 1, INK_WARNING, "!");
    else if (desk_favourite(v->desk, i, id))
        canvas_text(c, 0, 1, INK_NOTE, "*");
    snprintf(number, sizeof number, "%lld", (long long)id);
    canvas_fit(c, 0, 2, c->cols - 2, ALIGN_RIGHT, selected ? INK_MARKER : INK_LABEL, number);
}

static void paint_name(const struct view *v, int64_t id, struct canvas *c)
{
    bool is_label;
    const char *name = desk_name(v->desk, v->target.sae, id, &is_label);
    uint32_t ink = is_label ? INK_NOTE : INK_TEXT;

    if (features_is_found(v, id))
        ink = INK_MATCH;
    table_cell_text(c, ALIGN_LEFT, ink, name);
}

/* The bar is logarithmic: from one firing in all tokens to the densest feature. */
static void paint_density(const struct view *v, int64_t id, struct canvas *c)
{
    const struct features *f = v->state;
    double x = feature_table_at(&features_sae(v)->table, FCOL_DENSITY, id);
    struct canvas number = canvas_sub(c, 0, 0, 1, 7);
    double one = 1 / features_sae(v)->table.tokens;
    double fraction = log(x / (0.8 * one)) / log(f->densest / (0.8 * one));

    pane_number(&number, x, f->decimals[FCOL_DENSITY], x > 0 ? INK_VALUE : INK_DIM);
    if (x > 0)
        canvas_hbar(c, 0, 8, c->cols - 8, fraction, INK_BAR);
}

static void paint_spark(const struct view *v, int64_t id, struct canvas *c)
{
    const struct index *ix = v->session->saes[v->target.sae].index;
    int64_t counts[INDEX_BINS];

    if (!ix) {
        table_cell_text(c, ALIGN_LEFT, INK_DIM, "·");
        return;
    }
    for (int i = 0; i < INDEX_BINS; i++)
        counts[i] = index_record(ix, id)->histogram[i];
    spark_paint(c, counts, INDEX_BINS, false, INK_BAR);
}

void features_paint_cell(const void *ctx, int64_t row, int at, struct canvas *c)
{
    const struct view *v = ctx;
    const struct features *f = v->state;
    int64_t id = f->ids[row];

    switch (f->columns[at]) {
    case FCOL_ID: paint_id(v, id, c); break;
    case FCOL_DENSITY: paint_density(v, id, c); break;
    case CELL_NAME: paint_name(v, id, c); break;
    case CELL_HISTOGRAM: paint_spark(v, id, c); break;
    default: pane_value(&features_sae(v)->table, f->decimals, f->columns[at], id, c);
    }
}
