#include <zlib.h>

/* inflateInit2 is a macro. For gzip, with its header and checksum. */
static inline int tidewatch_inflate_gzip(z_stream *stream) { return inflateInit2(stream, 16 + MAX_WBITS); }
