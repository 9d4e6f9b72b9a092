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

namespace {

constexpr int kMaxDepth = 64;

// Of a document that is no object. Rare, so simdjson's own parser may read all of it.
int what_else(const char *document, size_t length) {
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

// The end of a token, given the start of the next one (or the end of the document).
inline __attribute__((always_inline)) const char *token_end(const char *next) {
  while (is_space(next[-1])) next--;
  return next;
}

// A string's size, given the position of its quote and of the next token; -1 when an escape is wrong.
inline __attribute__((always_inline)) int64_t string_size(char *document, uint32_t quote, uint32_t next, bool escapes) {
  uint32_t end = next;
  while (document[end - 1] != '"' && is_space(document[end - 1])) end--;
  if (end < quote + 2 || document[end - 1] != '"') return -1;
  uint32_t size = end - quote - 2;
  if (__builtin_expect(escapes, false) && memchr(document + quote + 1, '\\', size))
    return unescape(document + quote + 1, document + end - 1);
  return size;
}

}  // namespace

struct tw_json_parser {
  std::unique_ptr<simdjson::internal::dom_parser_implementation> simd;
  // Open addressing over (object, key): an entry is generation << 32 | node, so a new document needs no clearing.
  uint64_t *seen;
  uint32_t seen_mask;
  uint32_t generation;
  size_t max_bytes;
  int max_depth;
  int max_nodes;
};

extern "C" tw_json_parser *tw_json_parser_new(size_t max_bytes, int max_depth, int max_nodes) {
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
  parser->max_nodes = max_nodes;
  auto error = simdjson::get_active_implementation()->create_dom_parser_implementation(max_bytes, size_t(max_depth),
                                                                                      parser->simd);
  if (!parser->seen || error) abort();
  return parser;
}

extern "C" void tw_json_parser_free(tw_json_parser *parser) {
  if (!parser) return;
  free(parser->seen);
  delete parser;
}

extern "C" int tw_json_scan(tw_json_parser *parser, char *document, size_t length, tw_json_node *nodes) {
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
  const bool escapes = memchr(document, '\\', length) != nullptr;
  if (++parser->generation == 0) {
    memset(parser->seen, 0, (size_t(parser->seen_mask) + 1) * sizeof(uint64_t));
    parser->generation = 1;
  }
  const uint64_t generation = uint64_t(parser->generation) << 32;

  uint32_t at = 0;     // next structural index
  int count = 0;       // nodes written
  int depth = 0;       // open containers
  uint32_t open[kMaxDepth];

  if (document[index[0]] != '{') return what_else(document, length);

  tw_json_node *node;
  uint32_t key_at = TW_JSON_NO_KEY, key_length = 0;
  uint64_t key_hash = 0;

value: {
  if (at >= total) return TW_JSON_MALFORMED;
  if (count >= parser->max_nodes) return TW_JSON_TOO_MANY_NODES;
  node = &nodes[count];
  node->key_hash = key_hash;
  node->key_at = key_at;
  node->key_length = key_length;
  node->parent = depth > 0 ? open[depth - 1] : 0;
  node->depth = uint8_t(depth);
  node->reserved = 0;
  node->next = uint32_t(count) + 1;
  if (key_at != TW_JSON_NO_KEY) {
    uint64_t slot = (key_hash + node->parent * 0x9E3779B97F4A7C15ull) & parser->seen_mask;
    while ((parser->seen[slot] & 0xFFFFFFFF00000000ull) == generation) {
      const tw_json_node *other = &nodes[uint32_t(parser->seen[slot])];
      if (other->parent == node->parent && other->key_hash == key_hash && other->key_length == key_length &&
          memcmp(document + other->key_at, document + key_at, key_length) == 0)
        return TW_JSON_DUPLICATE_KEY;
      slot = (slot + 1) & parser->seen_mask;
    }
    parser->seen[slot] = generation | uint32_t(count);
  }
  uint32_t start = index[at++];
  node->at = start;
  char c = document[start];
  switch (c) {
  case '{':
  case '[':
    if (depth >= parser->max_depth) return TW_JSON_TOO_DEEP;
    node->kind = c == '{' ? TW_JSON_OBJECT : TW_JSON_ARRAY;
    open[depth++] = uint32_t(count++);
    if (at >= total) return TW_JSON_MALFORMED;
    if (c == '{') {
      if (document[index[at]] == '}') { at++; goto close; }
      goto key;
    }
    if (document[index[at]] == ']') { at++; goto close; }
    key_at = TW_JSON_NO_KEY;
    key_length = 0;
    key_hash = 0;
    goto value;
  case '"':
    node->kind = TW_JSON_STRING;
    node->at = start + 1;
    {
      int64_t size = string_size(document, start, index[at], escapes);
      if (size < 0) return TW_JSON_MALFORMED;
      node->length = uint32_t(size);
    }
    break;
  default: {
    const char *end = token_end(document + index[at]);
    size_t size = size_t(end - (document + start));
    node->length = uint32_t(size);
    if (c == 't' && size == 4 && memcmp(document + start, "true", 4) == 0) {
      node->kind = TW_JSON_TRUE;
    } else if (c == 'f' && size == 5 && memcmp(document + start, "false", 5) == 0) {
      node->kind = TW_JSON_FALSE;
    } else if (c == 'n' && size == 4 && memcmp(document + start, "null", 4) == 0) {
      node->kind = TW_JSON_NULL;
    } else if (is_number(document + start, end)) {
      node->kind = TW_JSON_NUMBER;
    } else {
      return TW_JSON_MALFORMED;
    }
  }
  }
  count++;
}

after_value: {
  if (at >= total) return TW_JSON_MALFORMED;
  char c = document[index[at++]];
  bool in_object = nodes[open[depth - 1]].kind == TW_JSON_OBJECT;
  if (c == ',') {
    if (in_object) goto key;
    key_at = TW_JSON_NO_KEY;
    key_length = 0;
    key_hash = 0;
    goto value;
  }
  if (c == (in_object ? '}' : ']')) goto close;
  return TW_JSON_MALFORMED;
}

key: {
  if (at >= total || document[index[at]] != '"') return TW_JSON_MALFORMED;
  key_at = index[at] + 1;
  at++;
  int64_t size = string_size(document, key_at - 1, index[at], escapes);
  if (size < 0) return TW_JSON_MALFORMED;
  key_length = uint32_t(size);
  key_hash = XXH3_64bits(document + key_at, key_length);
  if (at >= total || document[index[at]] != ':') return TW_JSON_MALFORMED;
  at++;
  goto value;
}

close: {
  tw_json_node *closed = &nodes[open[--depth]];
  closed->length = index[at - 1] + 1 - closed->at;
  closed->next = uint32_t(count);
  if (depth > 0) goto after_value;
  return at == total ? count : TW_JSON_MALFORMED;
}
}

int tw_double_shortest(double value, char *target) {
  return int(std::to_chars(target, target + TW_DOUBLE_MAX_CHARS, value).ptr - target);
}
