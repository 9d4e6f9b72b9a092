#include "CAllocator.h"

// jemalloc looks for this name when it starts, before `main`. The environment variable MALLOC_CONF goes before it.
//
// background_thread: what a burst has needed and nobody needs any more goes back to the system after 10 seconds, also when
// the threads that let it go sleep. Otherwise an idle daemon would keep the memory of its busiest hour.
const char *malloc_conf = "background_thread:true";
