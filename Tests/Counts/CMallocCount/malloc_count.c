// malloc and its kin, counted, on top of glibc's own.

#include "CMallocCount.h"

#include <errno.h>
#include <stddef.h>

// glibc exports them for this purpose; free stays its own.
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static __thread struct tw_malloc_count counted;

static void count(size_t size) {
  counted.blocks += 1;
  counted.bytes += size;
}

struct tw_malloc_count tw_malloc_counted(void) { return counted; }

__attribute__((noinline)) void tw_measured(void (*body)(void *), void *context) {
  body(context);
  // Not a tail call: the function must still be there when `body` returns.
  __asm__ volatile("" ::: "memory");
}

void *malloc(size_t size) {
  count(size);
  return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
  count(number * size);
  return __libc_calloc(number, size);
}

void *realloc(void *block, size_t size) {
  count(size);
  return __libc_realloc(block, size);
}

void *memalign(size_t alignment, size_t size) {
  count(size);
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  count(size);
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
  if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0) return EINVAL;
  count(size);
  void *memory = __libc_memalign(alignment, size);
  if (memory == NULL) return ENOMEM;
  *block = memory;
  return 0;
}
