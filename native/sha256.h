/* SHA-256 (FIPS 180-4), with the CPU's own instructions where it has them. */
#pragma once
#include <stddef.h>
#include <stdint.h>
struct sha256 { uint32_t state[8]; uint64_t bytes; uint8_t block[64]; void (*compress)(uint32_t *, const uint8_t *, size_t); };
void sha256_start(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const uint8_t *data, size_t length);
/* 64 hexadecimal digits and a NUL. */
void sha256_end(struct sha256 *hash, char hex[65]);
