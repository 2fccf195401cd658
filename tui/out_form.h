/*
 * out_form.h - what the three forms of out.h are made of. For out*.c only.
 *
 * The front (out.c) turns every call of out.h into one of three events: something opens, a
 * plain value, the innermost thing closes. A form is a table of what it does on them.
 */
#pragma once

#include "tui/out.h"

enum out_nest { NEST_OBJECT, NEST_ROWS, NEST_LIST };

struct out_value {
    enum { VALUE_NULL, VALUE_INT, VALUE_NUM, VALUE_TEXT, VALUE_BOOL } kind;
    int64_t i; /* and bool */
    double d;
    const char *s;
    size_t n;
};

struct out_ops {
    void (*open)(struct out *o, const char *key, enum out_nest nest, const char *columns);
    void (*value)(struct out *o, const char *key, const struct out_value *v);
    void (*close)(struct out *o); /* the innermost is still on the stack */
};
extern const struct out_ops out_json_ops, out_tsv_ops, out_text_ops;

struct out_level {
    enum out_nest nest;
    const char *key;
    int64_t items; /* that have opened in it */
    int64_t id;    /* the value of its key "id"; -1: none so far */
};

/* One row of a table as it comes together. */
struct out_cells {
    char **name; /* dotted; all owned */
    struct str *cell;
    bool *right; /* numbers stand at the right */
    int n, next; /* where the next value is looked for first */
};

struct out {
    struct out_options options;
    const struct out_ops *ops;
    struct str text; /* all that will be printed */
    struct out_level *levels;
    int depth, cap;

    /* Tables in TSV and text. */
    struct out_cells cells;
    int row_depth;   /* depth of the row being taken; 0: none */
    int list_depth;  /* of a list whose values stand side by side; 0: none */
    int skip_depth;  /* TSV: of something that is left out; 0: none */
    int table_depth; /* text: of the rows that make a table; 0: none */
    bool headed;     /* the header line is out */

    /* Text: rows wait until the widths of their columns are known. */
    struct str waiting; /* cells, each with a 0 byte behind it */
    int n_waiting;      /* rows */
    int *width;         /* [cells.n] */
    bool summary_headed;
};

/* JSON of single things, also for lists in cells of the other forms. */
void out_put_json_value(struct str *s, const struct out_value *v);

/* columns: names separated by commas. */
void out_cells_init(struct out_cells *c, const char *columns);
void out_cells_reset(struct out_cells *c);
void out_cells_finish(struct out_cells *c);
/* The cell for `key` in the row that is open, or NULL; a new column when `grow`. */
struct str *out_cell(struct out *o, const char *key, bool right, bool grow);

/* The text form of a histogram (NULL or without bins: nothing) and of a summary. */
void out_chart(struct out *o, const struct hist *h);
void out_summary_line(struct out *o, const char *key, const struct summary *s);
