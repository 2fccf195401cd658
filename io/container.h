/*
 * container.h - one door to every file that holds arrays.
 *
 * container_open looks at the content (not the name), picks the reader from a table and
 * gives a list of tensors that borrow from the container. Stored data is mapped, never
 * copied; compressed data (.zst, .gz, deflated npz members) is decompressed once, in parallel,
 * into an unlinked file in the cache directory which is then mapped, so it does not count
 * as memory. Opening costs the headers only, unless something is compressed.
 *
 *   npy          one tensor, named "" (the file's own)
 *   npz          one tensor a member, ".npy" taken off its name
 *   safetensors  all entries
 *   torch        every tensor in what torch.save or pickle wrote (.pt, .pth, .pkl), by its
 *                way there: "encoder.weight", "state_dict.W_enc"; "" if it is the whole.
 *                Nothing in the file is executed (io/pickle.h)
 *   arrow        of an Arrow IPC stream every column of numbers, or of lists of them of one
 *                length, a tensor for each batch: several have one name
 *   llm.c        token ids, one tensor "tokens"
 *   any of them with zstd around (".npy.zst", multi-frame and seekable frames in parallel),
 *   or gzip (".pkl.gz")
 *
 * Only regular files are opened (fifos, devices and directories give ERR_FORMAT at once).
 */
#pragma once

#include <jansson.h>

#include "io/err.h"
#include "io/progress.h"
#include "io/tensor.h"

struct container;

/* Messages start with "PATH: ". NULL on failure: ERR_OS, ERR_FORMAT (offset of the byte
 * where reading stopped making sense), ERR_UNSUPPORTED, ERR_NOMEM, ERR_CANCELLED. */
struct container *container_open(const char *path, const struct progress *progress,
                                 struct err *err);
void container_close(struct container *c); /* NULL is fine */

/* A file that is nothing but numbers of one dtype, little-endian: one tensor, flat, named ""
 * (but one of llm.c is read as such).
 * ERR_FORMAT when its size is no multiple of theirs. */
struct container *container_open_raw(const char *path, enum dtype dtype, struct err *err);

/* Checksums that the format has and that opening did not look at, because that would have
 * read all the data (stored members of an npz). True when there are none. ERR_FORMAT names
 * the member; ERR_CANCELLED. */
bool container_verify(const struct container *c, const struct progress *progress,
                      struct err *err);

/* Has the file the size and time that it had when it was opened? A job asks at its start
 * and its end. ERR_FORMAT "PATH: changed or truncated while open". */
bool container_unchanged(const struct container *c, struct err *err);

/* Was it decompressed? Then opening it again would cost as much again. */
bool container_unpacked(const struct container *c);

const char *container_path(const struct container *c);
const char *container_kind(const struct container *c); /* "npy", "npz", "safetensors",
                                                          * "torch", "arrow", "llm.c", "raw" */

/* Tensors in file order. Borrowed: they live until container_close. */
size_t container_count(const struct container *c);
const struct tensor *container_at(const struct container *c, size_t i);
const struct tensor *container_find(const struct container *c, const char *name);

/* Why the column *name of an Arrow stream is no tensor ("nulls"), NULL: it is one, or there
 * is none. *name NULL: of the first such column, whose name it gets. */
const char *container_left_out(const struct container *c, const char **name);

/* Where tensor `t` of this container lies in the file, so that it can be read with pread
 * instead of through the mapping: the descriptor (borrowed) and the offset of element 0. */
int container_fd(const struct container *c, const struct tensor *t, int64_t *offset);

/* A string of safetensors' "__metadata__", or NULL. */
const char *container_meta(const struct container *c, const char *key);

/* What a PyTorch file holds beside tensors: strings, numbers, dictionaries (and objects,
 * as dictionaries of their attributes) and lists of them. name as of tensors ("cfg.k"), ""
 * for all. NULL: there is no such thing, or it is another format. Borrowed. */
const json_t *container_value(const struct container *c, const char *name);
