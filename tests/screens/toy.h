/*
 * toy.h - two small views for tests of the frame: a list of a thousand rows ("features"),
 * and the square of a row, computed by a job ("feature"). Row 13 fails; row 500 never
 * ends.
 */
#pragma once

#include "tui/view.h"

extern const struct view_ops *const toy_views[];
