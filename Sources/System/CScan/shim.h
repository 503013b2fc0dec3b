// Sixteen bytes examined at once. Swift's own vectors cannot: their masks do not become machine words.
#ifndef MUSTER_CSCAN_H
#define MUSTER_CSCAN_H

#include <stdint.h>
#include <string.h>

typedef uint8_t muster_bytes __attribute__((ext_vector_type(16)));
typedef _Bool muster_bits __attribute__((ext_vector_type(16)));

static inline __attribute__((always_inline)) muster_bytes muster_load(const uint8_t *bytes) {
    muster_bytes loaded;
    memcpy(&loaded, bytes, sizeof loaded);
    return loaded;
}

// One bit for each byte of which it holds, the lowest for the first.
static inline __attribute__((always_inline)) uint32_t muster_mask(muster_bytes holds) {
    muster_bits bits = __builtin_convertvector(holds, muster_bits);
    uint16_t word;
    memcpy(&word, &bits, sizeof word);
    return word;
}

// Controls but HTAB, and DEL.
static inline uint32_t muster_controls(const uint8_t *bytes) {
    muster_bytes b = muster_load(bytes);
    return muster_mask((muster_bytes)(((b < 0x20) & (b != 0x09)) | (b == 0x7F)));
}

static inline uint32_t muster_equal(const uint8_t *bytes, uint8_t byte) {
    return muster_mask((muster_bytes)(muster_load(bytes) == byte));
}

// What ends a request target or may not stand in one: SP, controls, `#`, and all above 0x7E.
static inline uint32_t muster_outside_target(const uint8_t *bytes) {
    muster_bytes b = muster_load(bytes);
    return muster_mask((muster_bytes)((b < 0x21) | (b == '#') | (b > 0x7E)));
}

// No letter, digit or hyphen.
static inline uint32_t muster_outside_word(const uint8_t *bytes) {
    muster_bytes b = muster_load(bytes);
    muster_bytes letter = (b | 0x20) - 'a', digit = b - '0';
    return muster_mask((muster_bytes)((letter > 25) & (digit > 9) & (b != '-')));
}
#endif
