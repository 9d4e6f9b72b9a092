// How jemalloc is set up in the programs that link this.
#ifndef TIDEWATCH_CALLOCATOR_H
#define TIDEWATCH_CALLOCATOR_H

extern const char *malloc_conf;

#endif
