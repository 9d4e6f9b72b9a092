// Nothing here: the function is in libFuzzer.
