/*
 * Count the instructions between two markers in the guest's code
 *
 * The guest marks the begin and the end of region N with a seven-byte NOP,
 * nopl disp32(%rax), whose displacement is 0x51af0000 + 2 * N for the begin
 * and one more for the end (N < 32768).  It costs nothing elsewhere and works
 * in user and kernel code alike.
 *
 * Usage: -plugin libmarkcount.so[,out=PATH]
 *
 * For each end one line "region N cpu C instructions I" is written to PATH, or
 * to the plugin log (-d plugin).  The markers are not counted; interrupts that
 * arrive in between are.  Begin and end must be executed by the same vCPU and
 * regions must not overlap themselves; what is not so is written as
 * "region N cpu C error no-begin".
 *
 * Copyright (c) 2026 Seed f4c10a89 maintainers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <qemu-plugin.h>

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

#define MARK_LEN 7

typedef struct {
    uint64_t insns;
    /* Region number to count at its begin; created at the vCPU's first begin */
    GHashTable *begin;
} CPUCount;

static struct qemu_plugin_scoreboard *counts;
static qemu_plugin_u64 insns;
static GMutex out_lock; /* one line at a time */
static FILE *out;

static bool mark_of(struct qemu_plugin_insn *insn, uint32_t *mark)
{
    static const uint8_t nopl_disp32[] = { 0x0f, 0x1f, 0x80 };
    uint8_t b[MARK_LEN];

    if (qemu_plugin_insn_size(insn) != MARK_LEN ||
        qemu_plugin_insn_data(insn, b, MARK_LEN) != MARK_LEN ||
        memcmp(b, nopl_disp32, sizeof(nopl_disp32)) ||
        b[5] != 0xaf || b[6] != 0x51) {
        return false;
    }
    *mark = b[3] | b[4] << 8;
    return true;
}

static void write_line(const char *line)
{
    g_mutex_lock(&out_lock);
    if (out) {
        fputs(line, out);
        fflush(out);
    } else {
        qemu_plugin_outs(line);
    }
    g_mutex_unlock(&out_lock);
}

static void at_mark(unsigned int cpu, void *udata)
{
    CPUCount *c = qemu_plugin_scoreboard_find(counts, cpu);
    uint32_t mark = GPOINTER_TO_UINT(udata);
    gpointer region = GUINT_TO_POINTER(mark >> 1);
    g_autofree char *line = NULL;
    uint64_t *begin;

    if (!c->begin) {
        c->begin = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    }

    if (!(mark & 1)) {
        begin = g_new(uint64_t, 1);
        *begin = c->insns;
        g_hash_table_replace(c->begin, region, begin);
        return;
    }

    begin = g_hash_table_lookup(c->begin, region);
    if (begin) {
        line = g_strdup_printf("region %u cpu %u instructions %" PRIu64 "\n",
                               mark >> 1, cpu, c->insns - *begin);
        g_hash_table_remove(c->begin, region);
    } else {
        line = g_strdup_printf("region %u cpu %u error no-begin\n",
                               mark >> 1, cpu);
    }
    write_line(line);
}

static void tb_trans(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    uint32_t mark;

    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

        if (mark_of(insn, &mark)) {
            qemu_plugin_register_vcpu_insn_exec_cb(
                insn, at_mark, QEMU_PLUGIN_CB_NO_REGS, GUINT_TO_POINTER(mark));
        } else {
            qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
                insn, QEMU_PLUGIN_INLINE_ADD_U64, insns, 1);
        }
    }
}

static void at_exit(qemu_plugin_id_t id, void *udata)
{
    if (out) {
        fclose(out);
        out = NULL;
    }
    /* The hash tables of the vCPUs go with the process */
    qemu_plugin_scoreboard_free(counts);
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id,
                                           const qemu_info_t *info,
                                           int argc, char **argv)
{
    if (strcmp(info->target_name, "x86_64") &&
        strcmp(info->target_name, "i386")) {
        fprintf(stderr, "markcount: the marker is an x86 instruction\n");
        return -1;
    }

    for (int i = 0; i < argc; i++) {
        if (!g_str_has_prefix(argv[i], "out=")) {
            fprintf(stderr, "markcount: unknown option: %s\n", argv[i]);
            return -1;
        }
        out = fopen(argv[i] + strlen("out="), "w");
        if (!out) {
            perror(argv[i]);
            return -1;
        }
    }

    counts = qemu_plugin_scoreboard_new(sizeof(CPUCount));
    insns = qemu_plugin_scoreboard_u64_in_struct(counts, CPUCount, insns);
    qemu_plugin_register_vcpu_tb_trans_cb(id, tb_trans);
    qemu_plugin_register_atexit_cb(id, at_exit, NULL);
    return 0;
}
