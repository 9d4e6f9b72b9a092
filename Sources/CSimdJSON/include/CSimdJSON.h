int tw_json_placeholder(void);
