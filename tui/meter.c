/* meter.c - see meter.h. */
#include "tui/meter.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static struct {
    pthread_mutex_t lock;
    char what[64];
    double begun, drawn; /* seconds; when this stage and the last drawing were */
    bool draws, tells, shown;
} meter = {.lock = PTHREAD_MUTEX_INITIALIZER};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void rate_text(double rate, const char *what, char *buf, size_t size)
{
    bool many = rate >= 1e6;
    snprintf(buf, size, "%.*f %s%s/s", rate / (many ? 1e6 : 1e3) < 10 ? 1 : 0,
             rate / (many ? 1e6 : 1e3), many ? "M " : "k ", what);
}

static void draw(double t, int64_t done, int64_t of)
{
    char rate[80], left[32] = "";
    double spent = t - meter.begun, speed = spent > 0 ? (double)done / spent : 0;
    rate_text(speed, meter.what, rate, sizeof rate);
    if (speed > 0 && of > done) {
        long s = (long)((double)(of - done) / speed + 0.5);
        snprintf(left, sizeof left, "  %ld:%02ld left", s / 60, s % 60);
    }
    fprintf(stderr, "\r\033[K%3.0f %%  %s%s", of > 0 ? 100.0 * (double)done / (double)of : 0,
            rate, left);
    fflush(stderr);
    meter.shown = true;
    meter.drawn = t;
}

static void wipe(void)
{
    if (meter.shown)
        fputs("\r\033[K", stderr);
    meter.shown = false;
}

/* The stage that ends at t. */
static void tell(double t)
{
    if (!meter.tells || !meter.what[0])
        return;
    wipe();
    fprintf(stderr, "saescope: %s: note: %.3f s\n", meter.what, t - meter.begun);
}

void meter_start(bool draws, bool tells)
{
    meter.draws = draws;
    meter.tells = tells;
}

void meter_finish(void)
{
    pthread_mutex_lock(&meter.lock);
    tell(now());
    meter.what[0] = 0;
    pthread_mutex_unlock(&meter.lock);
}

void meter_step(const char *what, int64_t done, int64_t of)
{
    if (pthread_mutex_trylock(&meter.lock) != 0)
        return; /* somebody else is drawing */
    double t = now();
    if (strncmp(meter.what, what, sizeof meter.what - 1) != 0) {
        tell(t);
        snprintf(meter.what, sizeof meter.what, "%s", what);
        meter.begun = t;
        meter.drawn = t; /* short stages are never drawn */
    }
    if (meter.draws && t - meter.drawn >= 0.1)
        draw(t, done, of);
    pthread_mutex_unlock(&meter.lock);
}

void meter_clear(void)
{
    pthread_mutex_lock(&meter.lock);
    wipe();
    pthread_mutex_unlock(&meter.lock);
}
