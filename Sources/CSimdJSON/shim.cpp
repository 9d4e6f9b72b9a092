// Walks simdjson's structural index. The on-demand front end would do, but it skips over values nobody reads and its
// position is hidden; the index gives every token's start, and a token's end is the next start, less white space.
#define XXH_INLINE_ALL
#include "CSimdJSON.h"

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <simdjson.h>
#include <xxhash.h>

namespace tw_json {
namespace {

constexpr int kMaxDepth = 64;

// Of a document that is no object. Rare, so simdjson's own parser may read all of it.
__attribute__((noinline)) int what_else(const char *document, size_t length) {
  simdjson::dom::parser parser;
  auto error = parser.parse(document, length).error();
  // Nested too deeply for it: what it has read is JSON.
  return error && error != simdjson::DEPTH_ERROR ? TW_JSON_MALFORMED : TW_JSON_NOT_AN_OBJECT;
}

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The number grammar of RFC 8259, over the whole token.
bool is_number(const char *p, const char *end) {
  if (p < end && *p == '-') p++;
  if (p == end) return false;
  if (*p == '0') {
    p++;
  } else {
    if (!is_digit(*p)) return false;
    while (p < end && is_digit(*p)) p++;
  }
  if (p < end && *p == '.') {
    p++;
    if (p == end || !is_digit(*p)) return false;
    while (p < end && is_digit(*p)) p++;
  }
  if (p < end && (*p == 'e' || *p == 'E')) {
    p++;
    if (p < end && (*p == '+' || *p == '-')) p++;
    if (p == end || !is_digit(*p)) return false;
    while (p < end && is_digit(*p)) p++;
  }
  return p == end;
}

int hex4(const char *p) {
  int value = 0;
  for (int i = 0; i < 4; i++) {
    char c = p[i];
    int digit = is_digit(c) ? c - '0' : (c >= 'a' && c <= 'f') ? c - 'a' + 10 : (c >= 'A' && c <= 'F') ? c - 'A' + 10 : -1;
    if (digit < 0) return -1;
    value = value << 4 | digit;
  }
  return value;
}

// Unescapes [p, end) in place; the result is never longer. Returns its length, or -1. Lone surrogates are refused:
// they have no UTF-8 form.
long unescape(char *p, char *end) {
  char *out = p;
  char *start = p;
  while (p < end) {
    if (*p != '\\') {
      *out++ = *p++;
      continue;
    }
    if (end - p < 2) return -1;
    char c = p[1];
    p += 2;
    switch (c) {
    case '"': case '\\': case '/': *out++ = c; break;
    case 'b': *out++ = '\b'; break;
    case 'f': *out++ = '\f'; break;
    case 'n': *out++ = '\n'; break;
    case 'r': *out++ = '\r'; break;
    case 't': *out++ = '\t'; break;
    case 'u': {
      if (end - p < 4) return -1;
      int code = hex4(p);
      if (code < 0) return -1;
      p += 4;
      if (code >= 0xDC00 && code <= 0xDFFF) return -1;
      if (code >= 0xD800 && code <= 0xDBFF) {
        if (end - p < 6 || p[0] != '\\' || p[1] != 'u') return -1;
        int low = hex4(p + 2);
        if (low < 0xDC00 || low > 0xDFFF) return -1;
        p += 6;
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      }
      if (code < 0x80) {
        *out++ = char(code);
      } else if (code < 0x800) {
        *out++ = char(0xC0 | code >> 6);
        *out++ = char(0x80 | (code & 0x3F));
      } else if (code < 0x10000) {
        *out++ = char(0xE0 | code >> 12);
        *out++ = char(0x80 | (code >> 6 & 0x3F));
        *out++ = char(0x80 | (code & 0x3F));
      } else {
        *out++ = char(0xF0 | code >> 18);
        *out++ = char(0x80 | (code >> 12 & 0x3F));
        *out++ = char(0x80 | (code >> 6 & 0x3F));
        *out++ = char(0x80 | (code & 0x3F));
      }
      break;
    }
    default: return -1;
    }
  }
  return out - start;
}

// Kept out of the walk, whose values shall stay in registers, also over such a call: what is rare, and what is long.
#define TW_APART __attribute__((noinline, preserve_most))
#define TW_LIKELY(condition) __builtin_expect(condition, true)

struct Scalar {
  uint32_t length;
  uint8_t kind;
};

// A token that is neither a string nor a bracket, up to the start of the next one; of kind 0 when it is nothing.
TW_APART Scalar read_scalar(const char *start, const char *end) {
  while (is_space(end[-1])) end--;
  const uint32_t size = uint32_t(end - start);
  if (is_number(start, end)) return {size, TW_JSON_NUMBER};
  if (size == 4 && memcmp(start, "true", 4) == 0) return {size, TW_JSON_TRUE};
  if (size == 5 && memcmp(start, "false", 5) == 0) return {size, TW_JSON_FALSE};
  if (size == 4 && memcmp(start, "null", 4) == 0) return {size, TW_JSON_NULL};
  return {size, 0};
}

// A string's size, given the position of its quote and of the next token; -1 when an escape is wrong.
TW_APART int64_t any_string_size(char *document, uint32_t quote, uint32_t next, bool escapes) {
  uint32_t end = next;
  while (document[end - 1] != '"' && is_space(document[end - 1])) end--;
  if (end < quote + 2 || document[end - 1] != '"') return -1;
  const uint32_t size = end - quote - 2;
  if (escapes && memchr(document + quote + 1, '\\', size))
    return unescape(document + quote + 1, document + end - 1);
  return size;
}

template <bool escapes>
inline __attribute__((always_inline)) int64_t string_size(char *document, uint32_t quote, uint32_t next) {
  // Mostly its other quote is just before the next token.
  const uint32_t size = next - quote - 2;
  if (TW_LIKELY(!escapes && document[next - 1] == '"' && int32_t(size) >= 0)) return size;
  return any_string_size(document, quote, next, escapes);
}

// Of a key: its first and its last eight bytes as numbers, which overlap or leave some out; of a shorter key all its bytes in
// `head`. With the length they are the whole of a key of at most 16 bytes. Reads beyond a short key, into the padding at most.
struct KeyWords {
  uint64_t head, tail;
};

inline __attribute__((always_inline)) KeyWords key_words(const char *key, uint32_t length) {
  KeyWords words;
  static const uint64_t masks[8] = {0,          0xff,         0xffff,         0xffffff,
                                    0xffffffff, 0xffffffffff, 0xffffffffffff, 0xffffffffffffff};
  memcpy(&words.head, key, 8);
  if (length >= 8) {
    memcpy(&words.tail, key + length - 8, 8);
  } else {
    words.head &= masks[length];
    words.tail = 0;
  }
  return words;
}

// One that is wanted, in the parser's table.
struct Field {
  uint64_t head, tail;
  uint64_t tag;  // length << 8 | scope; 0: nothing here
  const char *name;
  uint16_t slot;
  uint8_t opens;
};

inline uint64_t field_tag(uint32_t length, uint8_t scope) { return uint64_t(length) << 8 | scope; }

// Who sends keys cannot make this slow: there are no more in the table than the format wants.
inline __attribute__((always_inline)) uint64_t field_hash(KeyWords words, uint64_t tag) {
  return (words.head + 2 * words.tail + tag) * 0x9E3779B97F4A7C15ull;
}

struct Open {
  uint32_t node;
  uint8_t scope;
  bool is_object;
};

}  // namespace
}  // namespace tw_json

using namespace tw_json;

struct tw_json_parser {
  std::unique_ptr<simdjson::internal::dom_parser_implementation> simd;
  Field *fields;
  uint32_t fields_mask;
  int fields_shift;
  size_t slot_count;
  // Keys that are not wanted, by open addressing over (object, key): an entry is generation << 32 | node, so a new document
  // needs no clearing.
  uint64_t *seen;
  uint32_t seen_mask;
  uint32_t generation;
  size_t max_bytes;
  int max_depth;
  uint32_t max_nodes;
};

namespace tw_json {
namespace {

// The field from its place in the table on.
TW_APART const Field *find_from(const tw_json_parser *parser, uint32_t at, const char *key, uint32_t length, uint8_t scope) {
  const KeyWords words = key_words(key, length);
  const uint64_t tag = field_tag(length, scope);
  for (;; at = (at + 1) & parser->fields_mask) {
    const Field *field = &parser->fields[at];
    if (field->tag == 0) return nullptr;
    if (field->tag == tag && field->head == words.head && field->tail == words.tail &&
        (length <= 16 || memcmp(field->name, key, length) == 0))
      return field;
  }
}

inline __attribute__((always_inline)) const Field *find_field(const tw_json_parser *parser, const char *key, uint32_t length,
                                                              uint8_t scope) {
  const KeyWords words = key_words(key, length);
  const uint64_t tag = field_tag(length, scope);
  const uint32_t at = uint32_t(field_hash(words, tag) >> parser->fields_shift);
  const Field *field = &parser->fields[at];
  // Mostly it stands there.
  if (TW_LIKELY(field->tag == tag && field->head == words.head && field->tail == words.tail && length <= 16)) return field;
  return field->tag == 0 ? nullptr : find_from(parser, at, key, length, scope);
}

// Whether its object has the key of this node, which is not wanted, for the first time. XXH3, for senders choose these keys: it
// takes more to make them meet in one place.
TW_APART bool is_first(tw_json_parser *parser, const char *document, const tw_json_node *nodes, uint32_t count) {
  const tw_json_node *node = &nodes[count];
  const char *key = document + node->key_at;
  const uint64_t generation = uint64_t(parser->generation) << 32;
  uint64_t slot = (XXH3_64bits(key, node->key_length) + node->parent * 0x9E3779B97F4A7C15ull) & parser->seen_mask;
  while ((parser->seen[slot] & 0xFFFFFFFF00000000ull) == generation) {
    const tw_json_node *other = &nodes[uint32_t(parser->seen[slot])];
    if (other->parent == node->parent && other->key_length == node->key_length &&
        memcmp(document + other->key_at, key, node->key_length) == 0)
      return false;
    slot = (slot + 1) & parser->seen_mask;
  }
  parser->seen[slot] = generation | count;
  return true;
}

void add_field(tw_json_parser *parser, const tw_json_field &wanted) {
  char *name = static_cast<char *>(calloc(1, wanted.length + TW_JSON_PADDING));
  if (!name) abort();
  memcpy(name, wanted.name, wanted.length);
  const KeyWords words = key_words(name, wanted.length);
  const uint64_t tag = field_tag(wanted.length, wanted.scope);
  uint32_t at = uint32_t(field_hash(words, tag) >> parser->fields_shift);
  while (parser->fields[at].tag) at = (at + 1) & parser->fields_mask;
  parser->fields[at] = {words.head, words.tail, tag, name, wanted.slot, wanted.opens};
  if (wanted.slot >= parser->slot_count) parser->slot_count = size_t(wanted.slot) + 1;
}

}  // namespace
}  // namespace tw_json

extern "C" tw_json_parser *tw_json_parser_new(size_t max_bytes, int max_depth, int max_nodes, const tw_json_field *fields,
                                              int field_count) {
  tw_json_parser *parser = new (std::nothrow) tw_json_parser();
  if (!parser) abort();
  if (max_bytes < 64) max_bytes = 64;
  if (max_depth < 1) max_depth = 1;
  if (max_depth > kMaxDepth) max_depth = kMaxDepth;
  if (max_nodes < 1) max_nodes = 1;
  uint32_t slots = 64;
  while (slots < uint32_t(max_nodes) * 2) slots *= 2;
  parser->seen = static_cast<uint64_t *>(calloc(slots, sizeof(uint64_t)));
  parser->seen_mask = slots - 1;
  parser->max_bytes = max_bytes;
  parser->max_depth = max_depth;
  parser->max_nodes = uint32_t(max_nodes);
  auto error = simdjson::get_active_implementation()->create_dom_parser_implementation(max_bytes, size_t(max_depth),
                                                                                      parser->simd);
  int bits = 6;
  while (1 << bits < field_count * 4) bits++;
  parser->fields = static_cast<Field *>(calloc(size_t(1) << bits, sizeof(Field)));
  parser->fields_mask = (uint32_t(1) << bits) - 1;
  parser->fields_shift = 64 - bits;
  if (!parser->seen || !parser->fields || error) abort();
  for (int i = 0; i < field_count; i++) add_field(parser, fields[i]);
  return parser;
}

extern "C" void tw_json_parser_free(tw_json_parser *parser) {
  if (!parser) return;
  for (uint32_t i = 0; i <= parser->fields_mask; i++) free(const_cast<char *>(parser->fields[i].name));
  free(parser->fields);
  free(parser->seen);
  delete parser;
}

namespace tw_json {
namespace {

// Over the structural index, from the top-level object's bracket on.
template <bool escapes>
int walk(tw_json_parser *parser, char *document, const uint32_t *next, const uint32_t *end, tw_json_node *nodes,
         uint32_t *slots) {
  uint32_t count = 0;           // nodes written
  Open open[kMaxDepth + 1];     // containers, with one around all
  Open *inner = open;
  *inner = {0, 0, false};
  uint8_t opens = 1;            // the scope that begins if the next value is an object
  tw_json_node *node;

element: {
  if (next >= end) return TW_JSON_MALFORMED;
  if (count >= parser->max_nodes) return TW_JSON_TOO_MANY_NODES;
  node = &nodes[count];
  node->key_at = TW_JSON_NO_KEY;
  node->key_length = 0;
  node->parent = inner->node;
}

value: {
  const uint32_t start = *next++;
  const char c = document[start];
  node->next = ++count;
  if (TW_LIKELY(c == '"')) {
    node->kind = TW_JSON_STRING;
    node->at = start + 1;
    const int64_t size = string_size<escapes>(document, start, *next);
    if (size < 0) return TW_JSON_MALFORMED;
    node->length = uint32_t(size);
  } else if (c == '{' || c == '[') {
    if (inner - open >= parser->max_depth) return TW_JSON_TOO_DEEP;
    node->at = start;
    node->kind = c == '{' ? TW_JSON_OBJECT : TW_JSON_ARRAY;
    *++inner = {count - 1, c == '{' ? opens : uint8_t(0), c == '{'};
    if (next >= end) return TW_JSON_MALFORMED;
    if (document[*next] == (c == '{' ? '}' : ']')) { next++; goto close; }
    if (c == '{') goto key;
    opens = 0;
    goto element;
  } else {
    const Scalar scalar = read_scalar(document + start, document + *next);
    node->at = start;
    node->kind = scalar.kind;
    node->length = scalar.length;
    if (scalar.kind == 0) return TW_JSON_MALFORMED;
  }
}

after_value: {
  if (next >= end) return TW_JSON_MALFORMED;
  const char c = document[*next++];
  if (TW_LIKELY(c == ',')) {
    if (TW_LIKELY(inner->is_object)) goto key;
    opens = 0;
    goto element;
  }
  if (c == (inner->is_object ? '}' : ']')) goto close;
  return TW_JSON_MALFORMED;
}

key: {
  if (end - next < 3) return TW_JSON_MALFORMED;  // itself, the colon and a value
  const uint32_t quote = next[0];
  const uint32_t colon = next[1];
  if (document[quote] != '"' || document[colon] != ':') return TW_JSON_MALFORMED;
  const int64_t size = string_size<escapes>(document, quote, colon);
  if (size < 0) return TW_JSON_MALFORMED;
  if (count >= parser->max_nodes) return TW_JSON_TOO_MANY_NODES;
  next += 2;
  node = &nodes[count];
  node->key_at = quote + 1;
  node->key_length = uint32_t(size);
  node->parent = inner->node;
  // A scope begins once at most in a document, or its name would have been there twice. So a slot that is taken says that
  // this object had the field already.
  const Field *field = inner->scope ? find_field(parser, document + quote + 1, uint32_t(size), inner->scope) : nullptr;
  if (TW_LIKELY(field != nullptr)) {
    if (slots[field->slot]) return TW_JSON_DUPLICATE_KEY;
    slots[field->slot] = count;
    opens = field->opens;
  } else {
    if (!is_first(parser, document, nodes, count)) return TW_JSON_DUPLICATE_KEY;
    opens = 0;
  }
  goto value;
}

close: {
  tw_json_node *closed = &nodes[inner->node];
  closed->length = next[-1] + 1 - closed->at;
  closed->next = count;
  if (--inner > open) goto after_value;
  return next == end ? int(count) : TW_JSON_MALFORMED;
}
}

}  // namespace
}  // namespace tw_json

extern "C" int tw_json_scan(tw_json_parser *parser, char *document, size_t length, bool escapes, tw_json_node *nodes,
                            uint32_t *slots) {
  if (length == 0) return TW_JSON_EMPTY;
  if (length > parser->max_bytes || length >= UINT32_MAX) return TW_JSON_TOO_LARGE;
  auto error = parser->simd->stage1(reinterpret_cast<const uint8_t *>(document), length,
                                    simdjson::stage1_mode::regular);
  if (error == simdjson::UTF8_ERROR) return TW_JSON_INVALID_UTF8;
  if (error == simdjson::EMPTY) return TW_JSON_EMPTY;
  if (error) return TW_JSON_MALFORMED;

  uint32_t *index = parser->simd->structural_indexes.get();
  const uint32_t total = parser->simd->n_structural_indexes;
  index[total] = uint32_t(length);  // simdjson keeps room for three more; the last token ends here
  if (++parser->generation == 0) {
    memset(parser->seen, 0, (size_t(parser->seen_mask) + 1) * sizeof(uint64_t));
    parser->generation = 1;
  }
  memset(slots, 0, parser->slot_count * sizeof(uint32_t));

  if (document[index[0]] != '{') return what_else(document, length);

  return escapes ? walk<true>(parser, document, index, index + total, nodes, slots)
                 : walk<false>(parser, document, index, index + total, nodes, slots);
}

int tw_double_shortest(double value, char *target) {
  return int(std::to_chars(target, target + TW_DOUBLE_MAX_CHARS, value).ptr - target);
}
