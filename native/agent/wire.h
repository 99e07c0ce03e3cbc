/* The protocol between host and guest, mirrored from src/model/agent-protocol.ts; change both together. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROTOCOL_MIN = 1, PROTOCOL_MAX = 1 };
enum { SYNC_BYTES = 24, NONCE_BYTES = 16, HEADER_BYTES = 9, MAX_PAYLOAD = 1 << 20 };

enum frame_type {
  F_WELCOME = 1, F_PING = 2, F_SETUP = 3, F_CREATE = 4, F_START = 5, F_EXEC = 6, F_STDIN = 7, F_STDIN_END = 8,
  F_WINDOW = 9, F_RESIZE = 10, F_SIGNAL = 11, F_STATS = 12, F_CLOSE = 13, F_SHUTDOWN = 14, F_CLOCK = 15, F_UPDATE = 16,
  F_HELLO = 64, F_OK = 65, F_ERROR = 66, F_PONG = 67, F_STDOUT = 68, F_STDERR = 69, F_EXIT = 70, F_GRANT = 71,
};

struct buffer { char *data; size_t start, end, room; };
size_t buffer_length(const struct buffer *);
void buffer_append(struct buffer *, const void *, size_t);
void buffer_take(struct buffer *, size_t);
void buffer_reset(struct buffer *);

/* Fields: a run of `name=value` texts, each ended by NUL; a repeated name is a list. */
struct fields { const char *data; size_t length; };
/* The first value, or `otherwise`. */
const char *field(struct fields, const char *name, const char *otherwise);
long long field_number(struct fields, const char *name, long long otherwise);
/* Walks all values of a name: start with *at = 0, NULL at the end. */
const char *field_next(struct fields, const char *name, size_t *at);
bool fields_valid(struct fields);
