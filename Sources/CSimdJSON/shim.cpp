#include "CSimdJSON.h"
extern "C" int tw_json_placeholder(void) { return 0; }
