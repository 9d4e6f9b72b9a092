// A flat, complete scan of one JSON document: simdjson's vector pass finds the structure and checks UTF-8, a walk over it
// checks the whole grammar and writes one node per value. Nothing is skipped, no string is copied.
#ifndef CSIMDJSON_H
#define CSIMDJSON_H
#include <stdbool.h>
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
  uint32_t key_at;    // TW_JSON_NO_KEY for array elements and the top level
  uint32_t key_length;
  uint32_t at;        // first byte: for strings the one after the quote
  uint32_t length;    // strings: unescaped, without quotes; containers: to the closing bracket, inclusive
  uint32_t parent;    // index of the node that holds this one; 0 for the top level itself
  uint32_t next;      // index of the first node after this value and all it holds
  uint32_t kind;
  uint32_t reserved;
} tw_json_node;

// A key that is looked for: by its name in the objects of one scope. Scope 1 is the top level; the value of a field that `opens`
// a scope is, if it is an object, that scope. Each field has a slot, and each scope is opened by one field.
typedef struct {
  const char *name;
  uint32_t length;
  uint16_t slot;
  uint8_t scope;  // not 0
  uint8_t opens;  // 0: none
} tw_json_field;

typedef struct tw_json_parser tw_json_parser;

// Aborts when memory is out. A parser serves one thread. max_depth is 1...64. The fields are copied.
tw_json_parser *tw_json_parser_new(size_t max_bytes, int max_depth, int max_nodes, const tw_json_field *fields,
                                   int field_count);
void tw_json_parser_free(tw_json_parser *parser);

// Scans `document` (`length` bytes, then TW_JSON_PADDING readable ones). `escapes` says whether there is a backslash in it:
// then strings are unescaped in place, so the document is changed, never beyond `length`; else it is only read. Returns the
// number of nodes written to `nodes` (which has room for max_nodes) or one of the negative codes, after which `nodes`, `slots`
// and the document's content are undefined. `slots`, one more than the highest slot of a field, get the index of each field's
// node, 0 of those that do not occur.
int tw_json_scan(tw_json_parser *parser, char *document, size_t length, bool escapes, tw_json_node *nodes, uint32_t *slots);

// The most characters tw_double_shortest writes.
#define TW_DOUBLE_MAX_CHARS 32

// Writes the shortest decimal form that reads back as `value`, which is finite, as a JSON number; returns its length.
int tw_double_shortest(double value, char *target);

#ifdef __cplusplus
}
#endif
#endif
