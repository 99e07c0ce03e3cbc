/* Bytes of a layer as they are uncompressed: a thread of its own reads, decompresses and counts; the reader takes whole
 * chunks from a ring. Limits are checked where the bytes come out. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum compression { COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_ZSTD };

/* 'none', 'gzip' or 'zstd'; false for anything else. */
bool stream_compression(const char *name, enum compression *compression);

struct stream_limits { uint64_t max_bytes, max_ratio, ratio_from_bytes; };

/* Starts the thread; call before jail_seal(). */
void stream_open(int fd, enum compression compression, struct stream_limits limits);
/* The rest of the current chunk, or the next one; 0 at the end. `stream_take` moves on within it. */
size_t stream_peek(const uint8_t **bytes);
void stream_take(size_t length);
/* Exactly `length` bytes; false when the stream ends before the first of them, failure when it ends in the middle. */
bool stream_read(void *into, size_t length);
/* Bytes that came out so far, and at the end the digest of all of them. */
uint64_t stream_bytes(void);
void stream_digest(char hex[65]);
