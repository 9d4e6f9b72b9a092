// Counts what the calling thread allocates. Linking this replaces malloc and its kin in the whole process: for a test
// program only.
#ifndef TIDEWATCH_CMALLOCCOUNT_H
#define TIDEWATCH_CMALLOCCOUNT_H

#include <stdint.h>

/// How many blocks the calling thread has asked for, and of how many bytes.
struct tw_malloc_count {
  uint64_t blocks;
  uint64_t bytes;
};

struct tw_malloc_count tw_malloc_counted(void);

/// Calls `body`. Never inlined, so that `valgrind --tool=callgrind --toggle-collect=tw_measured` counts it and nothing else.
void tw_measured(void (*body)(void *), void *context);

#endif
