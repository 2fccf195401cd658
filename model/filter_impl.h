/*
 * filter_impl.h - what a filter is made of: filter.c parses it, filter_eval.c evaluates it.
 */
#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "io/str.h"
#include "model/filter.h"

enum op { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_SEARCH, OP_COUNT };

enum node_kind { NODE_OR, NODE_AND, NODE_NOT, NODE_NUMBER, NODE_TEXT };

struct node {
    enum node_kind kind;
    int child, next; /* first child; next child of the same parent; -1: none */
    enum op op;
    int column;
    int other;       /* NODE_NUMBER: the column on the right; -1: `number` */
    double number;
    struct str text; /* NODE_TEXT with = and != */
    pcre2_code *regex;
    pcre2_match_data *match;
};

struct filter {
    struct node *nodes;
    int n, cap, root;
    pcre2_match_context *limits;
    int64_t given_up;
};
