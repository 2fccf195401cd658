/*
 * fuzz.h - what the targets share: files to let a reader loose on, and what every refusal
 * owes its user.
 *
 * A target is fuzz_NAME.c with LLVMFuzzerTestOneInput, a row in meson.build, and seeds in
 * corpus/NAME. Built with -Dfuzz=true (clang) it is a libFuzzer program; in every other build
 * it is linked with replay.c and reads its corpus once, as a test.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "io/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Make `name` in a directory of this process's own hold data [size]; its path, which stays
 * good until the process ends. What readers unpack goes there too. */
const char *fuzz_file(const char *name, const void *data, size_t size);

/* A reader has refused: the message must be there, on one line, and the code set. */
void fuzz_refused(const struct err *err);

/* Read every byte, so that a sanitizer sees one that is not there. */
void fuzz_touch(const void *data, size_t size);
