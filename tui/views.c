/* views.c - the views there are, in the order of their digits. One row a view. */
#include "tui/view.h"

const struct view_ops *const view_table[] = {
    NULL,
};
