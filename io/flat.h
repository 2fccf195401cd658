/*
 * flat.h - FlatBuffers read with every offset checked: tables of optional fields in a
 * little-endian block of bytes. For arrow.c.
 *
 *   a table begins with an i32, how far before it its vtable lies; the vtable is u16 its own
 *   size, u16 the table's, then for each field a u16, where in the table it is, 0: absent.
 *   Strings, vectors and tables in a field are u32 offsets from the field.
 *
 * Source: google.github.io/flatbuffers, "FlatBuffers internals". A wrong offset is an absent
 * field: what must be there is asked for by the caller.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flat {
    const unsigned char *p;
    size_t n;
};

struct flat_table {
    struct flat in;
    size_t at;            /* of the table */
    size_t vtable, slots; /* where its u16 of field 0 is, and how many there are */
};

struct flat_vector {
    struct flat in;
    size_t at; /* of element 0 */
    uint32_t n;
};

bool flat_root(struct flat in, struct flat_table *out);

/* A number of `size` bytes (1, 2, 4, 8), or `otherwise` where it is absent. */
int64_t flat_int(const struct flat_table *t, int field, int size, int64_t otherwise);

/* False: absent. Elements of a vector are `size` bytes. */
bool flat_child(const struct flat_table *t, int field, struct flat_table *out);
bool flat_list(const struct flat_table *t, int field, size_t size, struct flat_vector *out);

/* Element i of a vector of tables (size 4), and of numbers in structs: the i64 at byte
 * `offset` of it. i is checked. */
bool flat_element(const struct flat_vector *v, uint32_t i, struct flat_table *out);
int64_t flat_i64(const struct flat_vector *v, size_t offset);
