/* What a job says: JSON on a descriptor, one object a line, built in memory and bounded. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json { char *text; size_t length, capacity; };
void json_raw(struct json *json, const char *text);
/* A string of unknown origin: what is not UTF-8 becomes U+FFFD. */
void json_string(struct json *json, const char *text, size_t length);
void json_number(struct json *json, uint64_t number);
/* What was built so far, as a string. */
const char *json_text(struct json *json);
void json_send(struct json *json, int fd);

/* Where the report goes (standard output, unless the job's output is its product). */
extern int report_fd;
/* The entry that is being worked on, for error messages. */
extern const char *report_entry;
/* Says {"error":{code,rule,message,entry}} and ends the process with 1. */
_Noreturn void fail(const char *code, const char *rule, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same from errno; a full disk or an exhausted table is `exhausted`, anything else `internal`. */
_Noreturn void fail_errno(const char *doing);
void *must_alloc(void *memory);
