/* tokenizer_impl.h - what reading tokens and making them share. */
#pragma once

#include <jansson.h>

#include "io/jscan.h"

/*
 * The byte that a character stands for, -1: none. GPT-2's bytes_to_unicode: printable
 * Latin-1 stands for itself, the 68 other bytes in order are U+0100, U+0101, ...
 */
int token_byte_of(uint32_t cp);
uint32_t token_char_of_byte(unsigned char byte); /* the other way round */

/* A small value at js as a tree into *out, whose reference is let go. NULL for null. */
bool token_read_tree(struct jscan *js, json_t **out, struct err *err);

/* Is this text a vocab.json? Its first value is an id; a tokenizer.json's never a number. */
bool tokenizer_is_vocab(const char *text, size_t n);

/* `path`, or when it is a directory, the tokenizer in it (tokenizer.json, tokenizer.model,
 * vocab.json); owned. */
char *tokenizer_file(const char *path);
