#include "wire.h"
#include "agent.h"
#include <stdlib.h>
#include <string.h>

size_t buffer_length(const struct buffer *b) { return b->end - b->start; }

void buffer_append(struct buffer *b, const void *data, size_t length) {
  if (!length) return;
  if (b->end + length > b->room) {
    size_t used = buffer_length(b);
    if (b->start) memmove(b->data, b->data + b->start, used);
    b->start = 0; b->end = used;
    if (used + length > b->room) {
      b->room = (used + length) * 2;
      b->data = realloc(b->data, b->room);
      if (!b->data) die("out of memory");
    }
  }
  memcpy(b->data + b->end, data, length);
  b->end += length;
}

void buffer_take(struct buffer *b, size_t length) {
  b->start += length;
  if (b->start < b->end) return;
  b->start = b->end = 0;
  if (b->room > 256 * 1024) { free(b->data); b->data = NULL; b->room = 0; }
}

void buffer_reset(struct buffer *b) { buffer_take(b, buffer_length(b)); }

bool fields_valid(struct fields f) { return f.length == 0 || f.data[f.length - 1] == 0; }

const char *field_next(struct fields f, const char *name, size_t *at) {
  size_t length = strlen(name);
  while (*at < f.length) {
    const char *text = f.data + *at;
    *at += strlen(text) + 1;
    if (strncmp(text, name, length) == 0 && text[length] == '=') return text + length + 1;
  }
  return NULL;
}

const char *field(struct fields f, const char *name, const char *otherwise) {
  size_t at = 0;
  const char *value = field_next(f, name, &at);
  return value ? value : otherwise;
}

long long field_number(struct fields f, const char *name, long long otherwise) {
  const char *value = field(f, name, NULL);
  return value && *value ? strtoll(value, NULL, 10) : otherwise;
}
