/*
 * f16.h - the plain twins of the half precision conversions of tensor.h.
 *
 * They define what the conversions give; tensor.h's functions use the processor's own
 * instructions (F16C) where it has them, and tests hold the two together bit for bit.
 * IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits. NaNs keep sign and
 * the payload that fits and come out quiet, as F16C makes them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

void f32_from_f16_plain(const void *src, float *out, size_t n);
void f16_from_f32_plain(const float *src, uint16_t *out, size_t n);
