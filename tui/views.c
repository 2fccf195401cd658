/* views.c - the views there are, in the order of their digits. One row a view. */
#include "tui/view.h"

extern const struct view_ops view_biases_ops;
extern const struct view_ops view_compare_ops;
extern const struct view_ops view_cosine_ops;
extern const struct view_ops view_feature_ops;
extern const struct view_ops view_features_ops;
extern const struct view_ops view_overview_ops;
extern const struct view_ops view_score_ops;
extern const struct view_ops view_text_ops;
extern const struct view_ops view_token_ops;

const struct view_ops *const view_table[] = {
    &view_overview_ops,
    &view_features_ops,
    &view_feature_ops,
    &view_biases_ops,
    &view_compare_ops,
    &view_cosine_ops,
    &view_score_ops,
    &view_text_ops,
    &view_token_ops,
    NULL,
};
