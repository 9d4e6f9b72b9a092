// The librdkafka C API, as installed by Debian's librdkafka-dev (2.0.2 or newer), and the one call that Swift
// cannot make itself: rd_kafka_producev is variadic.
#ifndef TIDEWATCH_CRDKAFKA_SHIM_H
#define TIDEWATCH_CRDKAFKA_SHIM_H

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

/// The value length that stands for "null" in an encoded header.
#define TIDEWATCH_NULL_HEADER_VALUE UINT32_MAX

/// Produces one message, copying key, value and headers.
///
/// A negative length means null. `headers` holds `header_count` entries, each of them two host-order uint32 (length of
/// the name, length of the value or TIDEWATCH_NULL_HEADER_VALUE) followed by the bytes of both, unpadded.
/// `timestamp_ms` 0 means now.
static inline rd_kafka_resp_err_t tidewatch_produce(rd_kafka_t *client, rd_kafka_topic_t *topic, int32_t partition,
                                                    const void *key, ssize_t key_length, const void *value,
                                                    ssize_t value_length, int64_t timestamp_ms, const uint8_t *headers,
                                                    size_t header_count) {
  static const char empty[1] = {0};
  rd_kafka_headers_t *list = NULL;
  rd_kafka_resp_err_t error;

  if (header_count > 0) {
    list = rd_kafka_headers_new(header_count);
    for (size_t i = 0; i < header_count; i++) {
      uint32_t lengths[2];
      memcpy(lengths, headers, sizeof(lengths));
      headers += sizeof(lengths);
      const int null_value = lengths[1] == TIDEWATCH_NULL_HEADER_VALUE;
      const size_t value_bytes = null_value ? 0 : lengths[1];
      error = rd_kafka_header_add(list, (const char *)headers, (ssize_t)lengths[0],
                                  null_value ? NULL : (const void *)(headers + lengths[0]), (ssize_t)value_bytes);
      if (error) {
        rd_kafka_headers_destroy(list);
        return error;
      }
      headers += lengths[0] + value_bytes;
    }
  }

  // An empty key or value is not a null one: it needs a pointer, whatever the caller's buffer says.
  const void *key_bytes = key_length < 0 ? NULL : key_length == 0 ? empty : key;
  const void *value_bytes = value_length < 0 ? NULL : value_length == 0 ? empty : value;
  const size_t key_size = key_length < 0 ? 0 : (size_t)key_length;
  const size_t value_size = value_length < 0 ? 0 : (size_t)value_length;

  if (list == NULL)
    return rd_kafka_producev(client, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(partition),
                             RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key_bytes, key_size),
                             RD_KAFKA_V_VALUE((void *)value_bytes, value_size), RD_KAFKA_V_TIMESTAMP(timestamp_ms),
                             RD_KAFKA_V_END);
  error = rd_kafka_producev(client, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(partition),
                            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key_bytes, key_size),
                            RD_KAFKA_V_VALUE((void *)value_bytes, value_size), RD_KAFKA_V_TIMESTAMP(timestamp_ms),
                            RD_KAFKA_V_HEADERS(list), RD_KAFKA_V_END);
  // On success librdkafka owns the list; on failure it is still ours.
  if (error) rd_kafka_headers_destroy(list);
  return error;
}

/// Asks for a line of memory that will be read soon.
static inline void tidewatch_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }

#endif
