/* The protocol between host and guest, mirrored from src/model/agent-protocol.ts; change both together. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROTOCOL_MIN = 1, PROTOCOL_MAX = 1 };
enum { SYNC_BYTES = 24, NONCE_BYTES = 16, HEADER_BYTES = 9, MAX_PAYLOAD = 1 << 20 };

enum frame_type {
  FRAME_WELCOME = 1, FRAME_PING = 2, FRAME_SETUP = 3, FRAME_CREATE = 4, FRAME_START = 5, FRAME_EXEC = 6, FRAME_STDIN = 7, FRAME_STDIN_END = 8,
  FRAME_WINDOW = 9, FRAME_RESIZE = 10, FRAME_SIGNAL = 11, FRAME_STATS = 12, FRAME_CLOSE = 13, FRAME_SHUTDOWN = 14, FRAME_CLOCK = 15, FRAME_UPDATE = 16, FRAME_PREPARE = 17,
  FRAME_HELLO = 64, FRAME_OK = 65, FRAME_ERROR = 66, FRAME_PONG = 67, FRAME_STDOUT = 68, FRAME_STDERR = 69, FRAME_EXIT = 70, FRAME_GRANT = 71,
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
