// XXH3, inlined from Debian's libxxhash-dev (header only: nothing to link).
#ifndef CXXHASH_H
#define CXXHASH_H
#define XXH_INLINE_ALL
#include <xxhash.h>
#include <stddef.h>
#include <stdint.h>

static inline uint64_t tw_xxh3_64(const void *bytes, size_t count, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes, count, seed);
}

typedef struct { uint64_t low, high; } tw_hash128;

static inline tw_hash128 tw_xxh3_128(const void *bytes, size_t count) {
  XXH128_hash_t h = XXH3_128bits(bytes, count);
  return (tw_hash128){h.low64, h.high64};
}

// Asks for a cache line that will be needed soon.
static inline void tw_prefetch(const void *address) { __builtin_prefetch(address); }
#endif
