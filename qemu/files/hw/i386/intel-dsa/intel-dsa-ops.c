/*
 * Intel Data Streaming Accelerator: operations
 *
 * An operation is a check of its operands and a step that handles at most one
 * page of data.  What must survive between steps is in IntelDSAWork.
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/crc32c.h"
#include "qemu/host-utils.h"
#include "qemu/range.h"
#include "intel-dsa.h"

/* Delta record entries applied in one step */
#define APPLY_ENTRIES 64

static bool get(IntelDSAState *s, IntelDSAWork *w, uint64_t addr, void *buf,
                unsigned len)
{
    if (intel_dsa_dma(s, &w->ctx, addr, buf, len, false, &w->fault)) {
        return true;
    }
    w->status = w->fault.status;
    return false;
}

static bool put(IntelDSAState *s, IntelDSAWork *w, uint64_t addr, void *buf,
                unsigned len)
{
    if (intel_dsa_dma(s, &w->ctx, addr, buf, len, true, &w->fault)) {
        return true;
    }
    w->status = w->fault.status;
    return false;
}

static unsigned to_page_end(uint64_t addr)
{
    return INTEL_DSA_CHUNK - (addr & (INTEL_DSA_CHUNK - 1));
}

/* Bytes of the next step when working upwards from one or two addresses */
static unsigned chunk(const IntelDSAWork *w, uint64_t a, uint64_t b)
{
    unsigned n = MIN(to_page_end(a + w->done), to_page_end(b + w->done));

    return MIN(n, w->size - w->done);
}

static void advance(IntelDSAWork *w, unsigned n)
{
    w->done += n;
    if (w->done == w->size) {
        w->status = DSA_STATUS_SUCCESS;
    }
}

static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
    return a - b < b_len || b - a < a_len;
}

static uint64_t dst2(const IntelDSAWork *w)
{
    return ldq_le_p(w->raw + DSA_DESC_DST2);
}

static unsigned step_nothing(IntelDSAState *s, IntelDSAWork *w)
{
    /* Drain too: earlier descriptors of the WQ have completed before */
    w->status = DSA_STATUS_SUCCESS;
    return 0;
}

static uint8_t check_batch(IntelDSAWork *w)
{
    return w->src % DSA_DESC_SIZE ? DSA_STATUS_LIST_ALIGN : DSA_STATUS_NONE;
}

/* A destination that overlaps the end of the source is written downwards */
static unsigned step_memmove(IntelDSAState *s, IntelDSAWork *w)
{
    uint8_t buf[INTEL_DSA_CHUNK];
    unsigned n = chunk(w, w->src, w->dst);
    uint64_t at = w->done;

    if (w->dst != w->src && w->dst - w->src < w->size) {
        uint64_t left = w->size - w->done;

        n = MIN(((w->src + left - 1) & (INTEL_DSA_CHUNK - 1)) + 1,
                ((w->dst + left - 1) & (INTEL_DSA_CHUNK - 1)) + 1);
        n = MIN(n, left);
        at = left - n;
        w->result = 1;
    }
    if (get(s, w, w->src + at, buf, n) && put(s, w, w->dst + at, buf, n)) {
        advance(w, n);
    }
    return n;
}

static unsigned step_fill(IntelDSAState *s, IntelDSAWork *w)
{
    uint8_t buf[INTEL_DSA_CHUNK];
    unsigned n = chunk(w, w->dst, w->dst);

    for (unsigned i = 0; i < n; i++) {
        buf[i] = w->raw[DSA_DESC_SRC + (w->done + i) % 8];
    }
    if (put(s, w, w->dst + w->done, buf, n)) {
        advance(w, n);
    }
    return n;
}

/* The predicate of Check Result, when the operation itself has succeeded */
static void check_result(IntelDSAWork *w, bool as_expected)
{
    w->status = (w->flags & DSA_FLAG_CHECK_RESULT) && !as_expected ?
                DSA_STATUS_FALSE_PREDICATE : DSA_STATUS_SUCCESS;
}

static unsigned step_compare(IntelDSAState *s, IntelDSAWork *w)
{
    uint8_t a[INTEL_DSA_CHUNK], b[INTEL_DSA_CHUNK];
    bool two = w->opcode == DSA_OP_COMPARE;
    unsigned i, n = chunk(w, w->src, two ? w->dst : w->src);

    if (!get(s, w, w->src + w->done, a, n)) {
        return n;
    }
    if (two && !get(s, w, w->dst + w->done, b, n)) {
        return n;
    }
    for (i = 0; i < n && !w->result; i++) {
        uint8_t other = two ? b[i] : w->raw[DSA_DESC_DST + (w->done + i) % 8];

        w->result = a[i] != other;
    }
    /* With a difference, bytes completed is where it is */
    w->done += i - w->result;

    if (w->result || w->done == w->size) {
        uint8_t expected = w->raw[DSA_DESC_EXPECTED_RES] & 1;

        check_result(w, w->result == expected);
    }
    return n;
}

static uint8_t check_delta_operands(uint64_t a, uint64_t b, uint64_t c,
                                    uint32_t size)
{
    if ((a | b | c) % 8) {
        return DSA_STATUS_ADDR_ALIGN;
    }
    if (size % 8 || size > DSA_DELTA_MAX_XFER) {
        return DSA_STATUS_XFER_SIZE;
    }
    return DSA_STATUS_NONE;
}

static uint8_t check_create_delta(IntelDSAWork *w)
{
    uint64_t delta = ldq_le_p(w->raw + DSA_DESC_DELTA_ADDR);
    uint32_t max = ldl_le_p(w->raw + DSA_DESC_MAX_DELTA);
    uint8_t status = check_delta_operands(w->src, w->dst, delta, w->size);

    if (status) {
        return status;
    }
    if (max < DSA_DELTA_MIN_SIZE || max % DSA_DELTA_ENTRY) {
        return DSA_STATUS_DELTA_SIZE;
    }
    if (overlap(w->src, w->size, delta, max) ||
        overlap(w->dst, w->size, delta, max)) {
        return DSA_STATUS_OVERLAP;
    }
    return DSA_STATUS_NONE;
}

/* Results: 0 equal, 1 record complete, 2 it would not fit */
static unsigned step_create_delta(IntelDSAState *s, IntelDSAWork *w)
{
    uint8_t a[INTEL_DSA_CHUNK], b[INTEL_DSA_CHUNK];
    uint8_t out[INTEL_DSA_CHUNK / 8 * DSA_DELTA_ENTRY];
    uint64_t delta = ldq_le_p(w->raw + DSA_DESC_DELTA_ADDR);
    uint32_t max = ldl_le_p(w->raw + DSA_DESC_MAX_DELTA);
    unsigned i, len = 0, n = chunk(w, w->src, w->dst);
    bool full = false;

    if (!get(s, w, w->src + w->done, a, n) ||
        !get(s, w, w->dst + w->done, b, n)) {
        return n;
    }
    for (i = 0; i < n; i += 8) {
        if (!memcmp(a + i, b + i, 8)) {
            continue;
        }
        if (w->delta_size + len + DSA_DELTA_ENTRY > max) {
            full = true;
            break;
        }
        stw_le_p(out + len, (w->done + i) / 8);
        memcpy(out + len + 2, b + i, 8);
        len += DSA_DELTA_ENTRY;
    }
    if (len && !put(s, w, delta + w->delta_size, out, len)) {
        return n;
    }
    w->delta_size += len;
    w->done += i;

    if (full || w->done == w->size) {
        w->result = full ? 2 : w->delta_size != 0;
        check_result(w, w->raw[DSA_DESC_EXPECTED_MASK] & (1 << w->result));
    }
    return n;
}

static uint8_t check_apply_delta(IntelDSAWork *w)
{
    uint32_t len = ldl_le_p(w->raw + DSA_DESC_DELTA_SIZE);
    uint8_t status = check_delta_operands(w->src, w->dst, 0, w->size);

    if (status) {
        return status;
    }
    if (!len || len % DSA_DELTA_ENTRY ||
        len / DSA_DELTA_ENTRY > w->size / 8) {
        return DSA_STATUS_DELTA_SIZE;
    }
    return overlap(w->src, len, w->dst, w->size) ? DSA_STATUS_OVERLAP :
           DSA_STATUS_NONE;
}

/* Bytes completed counts the delta record, not the destination */
static unsigned step_apply_delta(IntelDSAState *s, IntelDSAWork *w)
{
    uint8_t buf[APPLY_ENTRIES * DSA_DELTA_ENTRY];
    uint32_t len = ldl_le_p(w->raw + DSA_DESC_DELTA_SIZE);
    unsigned n = MIN(len - w->done, sizeof(buf));

    if (!get(s, w, w->src + w->done, buf, n)) {
        return n;
    }
    for (unsigned i = 0; i < n; i += DSA_DELTA_ENTRY) {
        uint32_t offset = lduw_le_p(buf + i);

        if ((int32_t)offset <= w->delta_last) {
            w->status = DSA_STATUS_DELTA_ORDER;
        } else if (offset * 8 >= w->size) {
            w->status = DSA_STATUS_DELTA_RANGE;
        } else if (put(s, w, w->dst + offset * 8, buf + i + 2, 8)) {
            w->delta_last = offset;
            w->done += DSA_DELTA_ENTRY;
        }
        if (w->status) {
            return INTEL_DSA_CHUNK;
        }
    }
    if (w->done == len) {
        w->status = DSA_STATUS_SUCCESS;
    }
    return INTEL_DSA_CHUNK;
}

static uint8_t check_dualcast(IntelDSAWork *w)
{
    uint64_t d2 = dst2(w);

    if ((w->dst ^ d2) & (INTEL_DSA_CHUNK - 1)) {
        return DSA_STATUS_DUALCAST;
    }
    if (overlap(w->dst, w->size, d2, w->size) ||
        overlap(w->src, w->size, w->dst, w->size) ||
        overlap(w->src, w->size, d2, w->size)) {
        return DSA_STATUS_OVERLAP;
    }
    return DSA_STATUS_NONE;
}

static unsigned step_dualcast(IntelDSAState *s, IntelDSAWork *w)
{
    uint8_t buf[INTEL_DSA_CHUNK];
    unsigned n = chunk(w, w->src, w->dst);

    if (get(s, w, w->src + w->done, buf, n) &&
        put(s, w, w->dst + w->done, buf, n) &&
        put(s, w, dst2(w) + w->done, buf, n)) {
        advance(w, n);
    }
    return 2 * n;
}

static uint8_t check_crc(IntelDSAWork *w)
{
    if ((w->flags & DSA_FLAG_CRC_READ_SEED) &&
        ldq_le_p(w->raw + DSA_DESC_CRC_SEED_ADDR) % 4) {
        return DSA_STATUS_ADDR_ALIGN;
    }
    if (w->opcode == DSA_OP_COPY_CRC &&
        overlap(w->src, w->size, w->dst, w->size)) {
        return DSA_STATUS_OVERLAP;
    }
    return DSA_STATUS_NONE;
}

/*
 * CRC-32C.  By default bits are reflected and seed and value inverted, as
 * RFC 3720 has it.  w->crc is what the completion record shows, which is also
 * the seed that continues the computation.
 */
static unsigned step_crc(IntelDSAState *s, IntelDSAWork *w)
{
    uint8_t buf[INTEL_DSA_CHUNK];
    bool copy = w->opcode == DSA_OP_COPY_CRC;
    bool plain = w->flags & DSA_FLAG_CRC_BYPASS_INVERT;
    unsigned n = chunk(w, w->src, copy ? w->dst : w->src);
    uint32_t seed, reg;

    if (!w->done) {
        stl_le_p(&seed, ldl_le_p(w->raw + DSA_DESC_CRC_SEED));
        if ((w->flags & DSA_FLAG_CRC_READ_SEED) &&
            !get(s, w, ldq_le_p(w->raw + DSA_DESC_CRC_SEED_ADDR), &seed, 4)) {
            return 4;
        }
        w->crc = ldl_le_p(&seed);
    }
    if (!get(s, w, w->src + w->done, buf, n)) {
        return n;
    }
    if (copy && !put(s, w, w->dst + w->done, buf, n)) {
        return n;
    }
    if (w->flags & DSA_FLAG_CRC_BYPASS_DATA) {
        for (unsigned i = 0; i < n; i++) {
            buf[i] = revbit8(buf[i]);
        }
    }
    reg = plain ? revbit32(w->crc) : ~w->crc;
    reg = ~crc32c(reg, buf, n);
    w->crc = plain ? revbit32(reg) : ~reg;
    advance(w, n);
    return n;
}

/*
 * Caches are not modelled, memory always has the newest data.  What is left of
 * a flush is that each page must have a translation.
 */
static unsigned step_cflush(IntelDSAState *s, IntelDSAWork *w)
{
    unsigned n = chunk(w, w->dst, w->dst);
    uint8_t byte;

    if (get(s, w, w->dst + w->done, &byte, 1)) {
        advance(w, n);
    }
    return n;
}

/* Bits for the descriptor bytes @first .. @last */
#define BYTES(first, last) MAKE_64BIT_MASK(first, (last) - (first) + 1)

/*
 * Destination readback is reserved while GENCAP does not offer it.  Traffic
 * classes and cache hints have no effect.
 */
#define FLAGS_NOOP (DSA_FLAG_FENCE | DSA_FLAG_CRAV | DSA_FLAG_RCR | \
                    DSA_FLAG_RCI | DSA_FLAG_CR_TC)
#define FLAGS_DATA (FLAGS_NOOP | DSA_FLAG_BOF)
#define FLAGS_WRITE (DSA_FLAG_CACHE_CTRL | DSA_FLAG_STRICT_ORDER | \
                     DSA_FLAG_DEST_STEER)
#define FLAGS_CRC (DSA_FLAG_CRC_READ_SEED | DSA_FLAG_CRC_BYPASS_INVERT | \
                   DSA_FLAG_CRC_BYPASS_DATA)

static const IntelDSAOp ops[] = {
    [DSA_OP_NOOP] = {
        .name = "noop",
        .flags = FLAGS_NOOP,
        .reserved = BYTES(16, 35) | BYTES(38, 63),
        .step = step_nothing,
    },
    [DSA_OP_BATCH] = {
        .name = "batch",
        .flags = FLAGS_NOOP | DSA_FLAG_ADDR1_TC,
        .reserved = BYTES(24, 31) | BYTES(38, 63),
        .not_in_batch = true,
        .check = check_batch,
    },
    [DSA_OP_DRAIN] = {
        .name = "drain",
        .flags = FLAGS_NOOP | DSA_FLAG_DRAIN_NO_RB_TCA |
                 DSA_FLAG_DRAIN_NO_RB_TCB,
        .reserved = BYTES(16, 35) | BYTES(38, 63),
        .not_in_batch = true,
        .step = step_nothing,
    },
    [DSA_OP_MEMMOVE] = {
        .name = "memmove",
        .flags = FLAGS_DATA | FLAGS_WRITE | DSA_FLAG_ADDR1_TC |
                 DSA_FLAG_ADDR2_TC,
        .reserved = BYTES(38, 63),
        .sized = true,
        .step = step_memmove,
    },
    [DSA_OP_FILL] = {
        .name = "fill",
        .flags = FLAGS_DATA | FLAGS_WRITE | DSA_FLAG_ADDR2_TC,
        .reserved = BYTES(38, 63),
        .sized = true,
        .step = step_fill,
    },
    [DSA_OP_COMPARE] = {
        .name = "compare",
        .flags = FLAGS_DATA | DSA_FLAG_CHECK_RESULT | DSA_FLAG_ADDR1_TC |
                 DSA_FLAG_ADDR2_TC,
        .reserved = BYTES(38, 39) | BYTES(41, 63),
        .record_required = true,
        .sized = true,
        .step = step_compare,
    },
    [DSA_OP_COMPVAL] = {
        .name = "compval",
        .flags = FLAGS_DATA | DSA_FLAG_CHECK_RESULT | DSA_FLAG_ADDR1_TC,
        .reserved = BYTES(38, 39) | BYTES(41, 63),
        .record_required = true,
        .sized = true,
        .step = step_compare,
    },
    [DSA_OP_CREATE_DELTA] = {
        .name = "create-delta",
        .flags = FLAGS_DATA | FLAGS_WRITE | DSA_FLAG_CHECK_RESULT |
                 DSA_FLAG_ADDR1_TC | DSA_FLAG_ADDR2_TC | DSA_FLAG_ADDR3_TC,
        .reserved = BYTES(38, 39) | BYTES(52, 55) | BYTES(57, 63),
        .record_required = true,
        .sized = true,
        .check = check_create_delta,
        .step = step_create_delta,
    },
    [DSA_OP_APPLY_DELTA] = {
        .name = "apply-delta",
        .flags = FLAGS_DATA | FLAGS_WRITE | DSA_FLAG_ADDR1_TC |
                 DSA_FLAG_ADDR2_TC,
        .reserved = BYTES(38, 39) | BYTES(44, 63),
        .sized = true,
        .check = check_apply_delta,
        .step = step_apply_delta,
    },
    [DSA_OP_DUALCAST] = {
        .name = "dualcast",
        .flags = FLAGS_DATA | FLAGS_WRITE | DSA_FLAG_ADDR1_TC |
                 DSA_FLAG_ADDR2_TC | DSA_FLAG_ADDR3_TC |
                 DSA_FLAG_DUALCAST_STEER,
        .reserved = BYTES(38, 39) | BYTES(48, 63),
        .sized = true,
        .check = check_dualcast,
        .step = step_dualcast,
    },
    [DSA_OP_CRCGEN] = {
        .name = "crcgen",
        .flags = FLAGS_DATA | FLAGS_CRC | DSA_FLAG_ADDR1_TC |
                 DSA_FLAG_ADDR3_TC,
        .reserved = BYTES(24, 31) | BYTES(38, 39) | BYTES(44, 47) |
                    BYTES(56, 63),
        .record_required = true,
        .sized = true,
        .check = check_crc,
        .step = step_crc,
    },
    [DSA_OP_COPY_CRC] = {
        .name = "copy-crc",
        .flags = FLAGS_DATA | FLAGS_WRITE | FLAGS_CRC | DSA_FLAG_ADDR1_TC |
                 DSA_FLAG_ADDR2_TC | DSA_FLAG_ADDR3_TC,
        .reserved = BYTES(38, 39) | BYTES(44, 47) | BYTES(56, 63),
        .record_required = true,
        .sized = true,
        .check = check_crc,
        .step = step_crc,
    },
    [DSA_OP_CFLUSH] = {
        .name = "cflush",
        .flags = FLAGS_DATA | DSA_FLAG_CACHE_CTRL | DSA_FLAG_ADDR2_TC,
        .reserved = BYTES(16, 23) | BYTES(38, 63),
        .sized = true,
        .step = step_cflush,
    },
};

const IntelDSAOp *intel_dsa_op(uint8_t opcode)
{
    return opcode < ARRAY_SIZE(ops) && ops[opcode].name ? &ops[opcode] : NULL;
}

/* OPCAP: no operation code above 63 is known */
uint64_t intel_dsa_opcap(void)
{
    uint64_t cap = 0;

    QEMU_BUILD_BUG_ON(ARRAY_SIZE(ops) > 64);
    for (int i = 0; i < ARRAY_SIZE(ops); i++) {
        cap |= (uint64_t)!!intel_dsa_op(i) << i;
    }
    return cap;
}
