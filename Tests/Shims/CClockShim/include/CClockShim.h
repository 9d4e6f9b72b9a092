// Nothing to call: the library is preloaded into a process whose clock a test sets.
