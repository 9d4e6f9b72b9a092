#ifndef CSIMDJSON_H
#define CSIMDJSON_H
#ifdef __cplusplus
extern "C" {
#endif
int tw_json_placeholder(void);
#ifdef __cplusplus
}
#endif
#endif
