// A flat, complete scan of one JSON document: simdjson's vector pass finds the structure and checks UTF-8, a walk over it
// checks the whole grammar and writes one node per value. Nothing is skipped, no string is copied.
#ifndef CSIMDJSON_H
#define CSIMDJSON_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

// Bytes that must be readable after the document. Their content does not matter.
#define TW_JSON_PADDING 64
#define TW_JSON_NO_KEY UINT32_MAX

enum {
  TW_JSON_OBJECT = 1,
  TW_JSON_ARRAY = 2,
  TW_JSON_STRING = 3,
  TW_JSON_NUMBER = 4,
  TW_JSON_TRUE = 5,
  TW_JSON_FALSE = 6,
  TW_JSON_NULL = 7,
};

// What tw_json_scan returns when it does not return a count.
enum {
  TW_JSON_MALFORMED = -1,
  TW_JSON_NOT_AN_OBJECT = -2,
  TW_JSON_DUPLICATE_KEY = -3,
  TW_JSON_TOO_DEEP = -4,
  TW_JSON_TOO_MANY_NODES = -5,
  TW_JSON_INVALID_UTF8 = -6,
  TW_JSON_TOO_LARGE = -7,
  TW_JSON_EMPTY = -8,
};

// One value. Offsets are from the start of the document. Node 0 is the top-level object; children follow their parent.
typedef struct {
  uint64_t key_hash;  // XXH3 (seed 0) of the unescaped key
  uint32_t key_at;    // TW_JSON_NO_KEY for array elements and the top level
  uint32_t key_length;
  uint32_t at;        // first byte: for strings the one after the quote
  uint32_t length;    // strings: unescaped, without quotes; containers: to the closing bracket, inclusive
  uint32_t parent;    // index of the node that holds this one; 0 for the top level itself
  uint32_t next;      // index of the first node after this value and all it holds
  uint8_t kind;
  uint8_t depth;      // 0 for the top level
  uint16_t reserved;
} tw_json_node;

typedef struct tw_json_parser tw_json_parser;

// Aborts when memory is out. A parser serves one thread. max_depth is 1...64.
tw_json_parser *tw_json_parser_new(size_t max_bytes, int max_depth, int max_nodes);
void tw_json_parser_free(tw_json_parser *parser);

// Scans `document` (`length` bytes, then TW_JSON_PADDING readable ones). Strings with escapes are unescaped in place, so
// the document is changed, never beyond `length`. Returns the number of nodes written to `nodes` (which has room for
// max_nodes) or one of the negative codes, after which `nodes` and the document's content are undefined.
int tw_json_scan(tw_json_parser *parser, char *document, size_t length, tw_json_node *nodes);

// The most characters tw_double_shortest writes.
#define TW_DOUBLE_MAX_CHARS 32

// Writes the shortest decimal form that reads back as `value`, which is finite, as a JSON number; returns its length.
int tw_double_shortest(double value, char *target);

#ifdef __cplusplus
}
#endif
#endif
