/* memory.h - the greatest anonymous memory of this process between two points. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

static _Atomic bool memory_watching;
static double memory_most;
static pthread_t memory_watcher;

/* In MiB, as the kernel accounts it. */
static inline double memory_now(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    long kb = 0;
    while (f && fgets(line, sizeof line, f))
        sscanf(line, "RssAnon: %ld", &kb);
    if (f)
        fclose(f);
    return (double)kb / 1024;
}

static inline void *memory_thread(void *arg)
{
    (void)arg;
    do {
        double now = memory_now();
        memory_most = now > memory_most ? now : memory_most;
        usleep(5000);
    } while (memory_watching);
    return NULL;
}

static inline void memory_watch(void)
{
    memory_most = 0;
    memory_watching = true;
    pthread_create(&memory_watcher, NULL, memory_thread, NULL);
}

static inline double memory_greatest(void)
{
    memory_watching = false;
    pthread_join(memory_watcher, NULL);
    return memory_most;
}
