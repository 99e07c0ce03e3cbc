#include "byte-stream.h"
#include "job-report.h"
#include "rules.h"
#include "sha256.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum { CHUNK_BYTES = 256 * 1024, CHUNKS = 8, ZSTD_WINDOW_LOG = 27 };

static struct {
  int fd;
  enum compression compression;
  struct stream_limits limits;
  uint64_t bytes_in, bytes_out;
  uint8_t *input;
  uint8_t *chunk[CHUNKS];
  size_t length[CHUNKS];
  unsigned filled, taken; /* counters, modulo CHUNKS */
  bool started, ended;
  pthread_mutex_t lock;
  pthread_cond_t moved;
} ring = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

static struct { const uint8_t *at; size_t left; uint64_t taken; bool ended; bool holds; struct sha256 hash; } reader;

bool stream_compression(const char *name, enum compression *compression) {
  static const char *const names[] = {"none", "gzip", "zstd"};
  for (int i = 0; i < 3; i++)
    if (strcmp(name, names[i]) == 0) return *compression = (enum compression)i, true;
  return false;
}

static size_t read_input(uint8_t *into) {
  for (;;) {
    ssize_t n = read(ring.fd, into, CHUNK_BYTES);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno("read the layer");
    ring.bytes_in += (uint64_t)n;
    return (size_t)n;
  }
}

/* Waits for a free chunk to write into. */
static uint8_t *free_chunk(void) {
  pthread_mutex_lock(&ring.lock);
  while (ring.filled - ring.taken == CHUNKS) pthread_cond_wait(&ring.moved, &ring.lock);
  pthread_mutex_unlock(&ring.lock);
  return ring.chunk[ring.filled % CHUNKS];
}

static void hand_over(size_t length) {
  if (length == 0) return;
  ring.bytes_out += length;
  if (RULE_MAX_BYTES && ring.bytes_out > ring.limits.max_bytes)
    fail("exhausted", "maxBytes", "The layer has more than %llu bytes.", (unsigned long long)ring.limits.max_bytes);
  if (RULE_MAX_RATIO && ring.bytes_out > ring.limits.ratio_from_bytes && ring.bytes_out / ring.limits.max_ratio > ring.bytes_in)
    fail("exhausted", "maxRatio", "The layer expands to more than %llu times its compressed size.", (unsigned long long)ring.limits.max_ratio);
  pthread_mutex_lock(&ring.lock);
  ring.length[ring.filled % CHUNKS] = length;
  ring.filled++;
  pthread_cond_signal(&ring.moved);
  pthread_mutex_unlock(&ring.lock);
}

static void pass_through(void) {
  for (;;) {
    uint8_t *chunk = free_chunk();
    size_t n = read_input(chunk);
    if (n == 0) return;
    hand_over(n);
  }
}

/* RFC 1952: any number of members, one after the other. */
static void inflate_gzip(void) {
  z_stream z = {0};
  bool in_member = false, any = false;
  if (inflateInit2(&z, 15 + 16) != Z_OK) must_alloc(NULL);
  uint8_t *chunk = free_chunk();
  size_t length = 0;
  for (;;) {
    if (z.avail_in == 0) {
      z.avail_in = (uInt)read_input(ring.input);
      z.next_in = ring.input;
      if (z.avail_in == 0) break;
    }
    if (!in_member) {
      if (any && inflateReset(&z) != Z_OK) fail("internal", "gzip", "zlib could not be reset.");
      in_member = any = true;
    }
    z.next_out = chunk + length;
    z.avail_out = (uInt)(CHUNK_BYTES - length);
    int result = inflate(&z, Z_NO_FLUSH);
    length = CHUNK_BYTES - z.avail_out;
    if (result == Z_STREAM_END) in_member = false;
    else if (result == Z_MEM_ERROR) must_alloc(NULL);
    else if (result != Z_OK && result != Z_BUF_ERROR) fail("invalid", "gzip", "The layer is not valid gzip: %s.", z.msg ? z.msg : "damaged data");
    if (length == CHUNK_BYTES) {
      hand_over(length);
      chunk = free_chunk();
      length = 0;
    }
  }
  if (in_member || !any) fail("invalid", "gzip", "The gzip data ends too early.");
  hand_over(length);
  inflateEnd(&z);
}

static void decompress_zstd(void) {
  ZSTD_DCtx *context = must_alloc(ZSTD_createDCtx());
  if (RULE_ZSTD_WINDOW) ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
  else ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 31);
  ZSTD_inBuffer in = {ring.input, 0, 0};
  uint8_t *chunk = free_chunk();
  size_t length = 0, expected = 1;
  bool any = false, holds_more = false;
  for (;;) {
    /* A full output may leave bytes inside the decoder: only then it is asked again without new input. */
    if (in.pos == in.size && !holds_more) {
      in.size = read_input(ring.input);
      in.pos = 0;
      if (in.size == 0) break;
      any = true;
    }
    ZSTD_outBuffer out = {chunk, CHUNK_BYTES, length};
    expected = ZSTD_decompressStream(context, &out, &in);
    if (ZSTD_isError(expected)) {
      if (ZSTD_getErrorCode(expected) == ZSTD_error_frameParameter_windowTooLarge)
        fail("exhausted", "zstdWindow", "The layer needs a zstd window of more than 128 MiB.");
      if (ZSTD_getErrorCode(expected) == ZSTD_error_memory_allocation) must_alloc(NULL);
      fail("invalid", "zstd", "The layer is not valid zstd: %s.", ZSTD_getErrorName(expected));
    }
    length = out.pos;
    holds_more = length == CHUNK_BYTES && expected != 0;
    if (length == CHUNK_BYTES) {
      hand_over(length);
      chunk = free_chunk();
      length = 0;
    }
  }
  if (expected != 0 || !any) fail("invalid", "zstd", "The zstd data ends too early.");
  hand_over(length);
  ZSTD_freeDCtx(context);
}

static void *produce(void *unused) {
  pthread_mutex_lock(&ring.lock);
  ring.started = true;
  pthread_cond_signal(&ring.moved);
  pthread_mutex_unlock(&ring.lock);
  if (ring.compression == COMPRESSION_GZIP) inflate_gzip();
  else if (ring.compression == COMPRESSION_ZSTD) decompress_zstd();
  else pass_through();
  pthread_mutex_lock(&ring.lock);
  ring.ended = true;
  pthread_cond_signal(&ring.moved);
  pthread_mutex_unlock(&ring.lock);
  return unused;
}

void stream_open(int fd, enum compression compression, struct stream_limits limits) {
  ring.fd = fd;
  ring.compression = compression;
  ring.limits = limits;
  ring.input = must_alloc(malloc(CHUNK_BYTES));
  for (int i = 0; i < CHUNKS; i++) ring.chunk[i] = must_alloc(malloc(CHUNK_BYTES));
  sha256_start(&reader.hash);
  pthread_t thread;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 256 * 1024);
  errno = pthread_create(&thread, &attributes, produce, NULL);
  if (errno != 0) fail_errno("start a thread");
  /* What the C library does when a thread begins is not on the list of allowed system calls. */
  pthread_mutex_lock(&ring.lock);
  while (!ring.started) pthread_cond_wait(&ring.moved, &ring.lock);
  pthread_mutex_unlock(&ring.lock);
}

size_t stream_peek(const uint8_t **bytes) {
  if (reader.left == 0 && !reader.ended) {
    pthread_mutex_lock(&ring.lock);
    if (reader.holds) {
      ring.taken++;
      pthread_cond_signal(&ring.moved);
    }
    while (ring.filled == ring.taken && !ring.ended) pthread_cond_wait(&ring.moved, &ring.lock);
    reader.ended = ring.filled == ring.taken;
    reader.holds = !reader.ended;
    if (reader.holds) {
      reader.at = ring.chunk[ring.taken % CHUNKS];
      reader.left = ring.length[ring.taken % CHUNKS];
    }
    pthread_mutex_unlock(&ring.lock);
    if (reader.holds) sha256_add(&reader.hash, reader.at, reader.left);
  }
  *bytes = reader.at;
  return reader.left;
}

void stream_take(size_t length) {
  reader.at += length;
  reader.left -= length;
  reader.taken += length;
}

bool stream_read(void *into, size_t length) {
  for (size_t done = 0; done < length;) {
    const uint8_t *bytes;
    size_t n = stream_peek(&bytes);
    if (n == 0) {
      if (done == 0) return false;
      fail("invalid", "truncated", "The layer ends in the middle of an entry.");
    }
    if (n > length - done) n = length - done;
    memcpy((uint8_t *)into + done, bytes, n);
    stream_take(n);
    done += n;
  }
  return true;
}

uint64_t stream_bytes(void) { return reader.taken; }

void stream_digest(char hex[65]) { sha256_end(&reader.hash, hex); }
