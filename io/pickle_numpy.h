/*
 * pickle_numpy.h - numbers and arrays of NumPy inside Python pickles, as io/pickle reads them.
 *
 *   scalar(dtype, bytes)                                 np.float32(4)
 *   _reconstruct(..) with state (1, shape, dtype, fortran, bytes)      an array
 *   _frombuffer(bytes, dtype, shape, 'C' or 'F')         an array since protocol 5
 *
 * Protocol 2, which torch.save writes, has no bytes: they are text, one character each,
 * that _codecs.encode would turn back. Of a number that is done here. An array in that form
 * does not lie in the file and is not read.
 *
 * Source: numpy/core/multiarray.py, numpy/core/numeric.py, array_reduce in methods.c.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "io/pickle.h"
#include "io/tensor.h"

/* Is v a number? *out (a new reference) is NULL for one that JSON has no word for. */
bool pickle_numpy_scalar(const struct pickle_value *v, json_t **out);

enum pickle_array {
    PICKLE_NO_ARRAY,   /* v is something else */
    PICKLE_ARRAY,      /* *t has it all but a name, the data borrowed from the pickle's bytes */
    PICKLE_ARRAY_TEXT, /* an array, but not as bytes */
    PICKLE_ARRAY_BAD,  /* of a type that is not read, or broken */
};
enum pickle_array pickle_numpy_array(const struct pickle_value *v, struct tensor *t);
