// The librdkafka C API, as installed by Debian's librdkafka-dev (2.0.2 or newer).
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
