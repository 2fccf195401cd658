/* test_series.c - which checkpoints stand on one axis, and where. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "model/series.h"

enum { MOST = 100 };
static char paths[MOST][40];
static struct session_sae saes[MOST];

static struct session session_of(int n)
{
    for (int i = 0; i < n; i++)
        saes[i].name = saes[i].path = paths[i];
    return (struct session){.saes = saes, .n_saes = n};
}

static void add(int i, const char *dir, int64_t step)
{
    saes[i] = (struct session_sae){.step = step};
    snprintf(paths[i], sizeof paths[i], "%s/%d", dir, i);
}

static void steps_beside_one_another_are_a_run(void **state)
{
    (void)state;
    struct series s;
    add(0, "saes", -1);
    add(1, "saes/a", 400);
    add(2, "saes/b", 7);
    add(3, "saes/a", 20);
    add(4, "saes/a", 3000);
    add(5, "saes/b", 5);
    struct session session = session_of(6);
    series_around(&session, 4, &s);
    assert_int_equal(s.n, 3);
    assert_int_equal(s.by, SERIES_BY_STEP);
    assert_int_equal(s.members[0].sae, 3);
    assert_int_equal(s.members[1].sae, 1);
    assert_int_equal(s.members[2].sae, 4);
    assert_true(s.members[2].x == 3000);
    series_around(&session, 5, &s);
    assert_int_equal(s.n, 2);
    assert_int_equal(s.members[0].sae, 5);
    series_around(&session, 0, &s); /* of none: the first run there is */
    assert_int_equal(s.n, 3);
    session = session_of(1);
    series_around(&session, 0, &s);
    assert_int_equal(s.n, 0);
}

static void those_asked_for_are_a_series(void **state)
{
    (void)state;
    struct series s;
    int chosen[] = {2, 0, 1};
    add(0, "saes", -1);
    add(1, "saes", -1);
    add(2, "saes", -1);
    struct session session = session_of(3);
    session.chosen = chosen;
    session.n_chosen = 3;
    series_around(&session, 0, &s);
    assert_int_equal(s.by, SERIES_BY_ORDER);
    for (int k = 0; k < 3; k++) {
        assert_int_equal(s.members[k].sae, chosen[k]);
        assert_true(s.members[k].x == k);
    }
    static const double l1[] = {3, .25, 1};
    for (int k = 0; k < 3; k++) /* found out later, sae 2 first */
        s.members[k].l1 = l1[s.members[k].sae];
    series_place(&s);
    assert_int_equal(s.by, SERIES_BY_L1);
    assert_int_equal(s.members[0].sae, 1);
    assert_int_equal(s.members[2].sae, 0);
    s.members[0].l1 = 3; /* two of the same cannot stand on an axis of it */
    series_place(&s);
    assert_int_equal(s.by, SERIES_BY_ORDER);
}

static void of_very_many_some_are_shown(void **state)
{
    (void)state;
    struct series s;
    for (int i = 0; i < MOST; i++)
        add(i, "run", 10 * i);
    struct session session = session_of(MOST);
    series_around(&session, 0, &s);
    assert_int_equal(s.n, SERIES_MAX);
    assert_int_equal(s.left_out, MOST - SERIES_MAX);
    assert_int_equal(s.members[0].step, 0);
    assert_int_equal(s.members[SERIES_MAX - 1].step, 10 * (MOST - 1));
    for (int k = 1; k < s.n; k++)
        assert_true(s.members[k].x > s.members[k - 1].x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_beside_one_another_are_a_run),
        cmocka_unit_test(those_asked_for_are_a_series),
        cmocka_unit_test(of_very_many_some_are_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
