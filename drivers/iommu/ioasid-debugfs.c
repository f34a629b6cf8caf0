// SPDX-License-Identifier: GPL-2.0
/*
 * IOASID core: /sys/kernel/debug/ioasid
 *
 * Shows the pool, every set and every id, for people. No ABI. Sets that were
 * freed are shown until their last id is released: that is how a user that does
 * not drop its reference is found.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/string_helpers.h>

#include "ioasid-private.h"

/* Positions in the file: 0 the pool, then the sets, from here on the ids */
#define IOASID_POS_IDS	((loff_t)IOASID_MAX + 1)

static const char * const ioasid_state_names[] = {
	[IOASID_STATE_NEW] = "new",
	[IOASID_STATE_IDLE] = "idle",
	[IOASID_STATE_ACTIVE] = "active",
	[IOASID_STATE_FREE_PENDING] = "free-pending",
	[IOASID_STATE_RELEASED] = "released",
};

/**
 * struct ioasid_seq - an open file
 * @set: where the last read() stopped, a reference is held, or NULL
 * @pos: the position of that
 *
 * A reader gets a page at a time, and there may be very many sets: the next read()
 * goes on from @set instead of counting them again.
 */
struct ioasid_seq {
	struct ioasid_set *set;
	loff_t pos;
};

static void *ioasid_seq_id(loff_t *pos)
{
	unsigned long index = *pos - IOASID_POS_IDS;
	void *p = xa_find(&ioasid_xa, &index, IOASID_MAX, XA_PRESENT);

	*pos = IOASID_POS_IDS + index;
	return p;
}

/* At a set, or behind the last one at the first id */
static void *ioasid_seq_set(struct list_head *at, loff_t *pos)
{
	/* More sets than there are positions are not shown. */
	if (at != &ioasid_sets && *pos < IOASID_POS_IDS)
		return at;
	*pos = IOASID_POS_IDS;
	return ioasid_seq_id(pos);
}

static void *ioasid_seq_start(struct seq_file *m, loff_t *pos)
	__acquires(RCU)
{
	struct ioasid_seq *seq = m->private;
	struct list_head *at;
	loff_t left;

	mutex_lock(&ioasid_sets_lock);
	rcu_read_lock();
	if (!*pos)
		return SEQ_START_TOKEN;
	if (*pos >= IOASID_POS_IDS)
		return ioasid_seq_id(pos);

	/* A set with a reference is in the list. */
	if (seq->set && seq->pos == *pos)
		return &seq->set->sets;
	left = *pos - 1;
	for (at = ioasid_sets.next; at != &ioasid_sets && left; at = at->next)
		left--;
	return ioasid_seq_set(at, pos);
}

static void *ioasid_seq_next(struct seq_file *m, void *v, loff_t *pos)
{
	++*pos;
	if (v == SEQ_START_TOKEN)
		return ioasid_seq_set(ioasid_sets.next, pos);
	if (*pos <= IOASID_POS_IDS)
		return ioasid_seq_set(((struct list_head *)v)->next, pos);
	return ioasid_seq_id(pos);
}

static void ioasid_seq_stop(struct seq_file *m, void *v)
	__releases(RCU)
{
	struct ioasid_seq *seq = m->private;
	struct ioasid_set *old = seq->set;

	seq->set = NULL;
	if (v && v != SEQ_START_TOKEN && m->index < IOASID_POS_IDS) {
		struct ioasid_set *set = list_entry(v, struct ioasid_set, sets);

		/* One that goes is not waited for: its place is counted. */
		if (ioasid_set_tryget(set)) {
			seq->set = set;
			seq->pos = m->index;
		}
	}
	rcu_read_unlock();
	mutex_unlock(&ioasid_sets_lock);
	if (old)
		ioasid_set_put(old);
}

static void ioasid_show_pool(struct seq_file *m)
{
	struct ioasid_pool pool;

	ioasid_pool_read(&ioasid_pool, &pool);
	seq_printf(m, "capacity %u left %u quotas %u shared %u\n",
		   pool.capacity, pool.left, pool.taken[IOASID_POOL_QUOTA],
		   pool.taken[IOASID_POOL_SHARED] +
		   pool.taken[IOASID_POOL_TENANTS]);
}

static void ioasid_show_set(struct seq_file *m, struct ioasid_set *set)
{
	seq_printf(m, "set %u type %s quota %u used %u pending %d owner ",
		   set->serial, set->type == IOASID_SET_TYPE_MM ? "mm" : "null",
		   READ_ONCE(set->quota), READ_ONCE(set->nr),
		   max(atomic_read(&set->pending), 0));
	/* A task chooses its name: no lines, no control characters. */
	seq_escape_mem(m, set->comm, strlen(set->comm),
		       ESCAPE_OCTAL | ESCAPE_NAP | ESCAPE_APPEND, "\\");
	seq_putc(m, '\n');
}

static void ioasid_show_id(struct seq_file *m, struct ioasid_entry *e)
{
	ioasid_t spid;
	unsigned long flags;
	unsigned int refs;
	u8 state;

	spin_lock_irqsave(&e->lock, flags);
	state = e->state;
	refs = refcount_read(&e->refs);
	spid = ioasid_spid_current(e);
	spin_unlock_irqrestore(&e->lock, flags);

	seq_printf(m, "id %u set %u state %s refs %u", e->id, e->set->serial,
		   ioasid_state_names[state], refs);
	if (spid != INVALID_IOASID)
		seq_printf(m, " spid %u", spid);
	seq_putc(m, '\n');
}

static int ioasid_seq_show(struct seq_file *m, void *v)
{
	if (v == SEQ_START_TOKEN)
		ioasid_show_pool(m);
	else if (m->index < IOASID_POS_IDS)
		ioasid_show_set(m, list_entry(v, struct ioasid_set, sets));
	else
		ioasid_show_id(m, v);
	return 0;
}

static const struct seq_operations ioasid_sops = {
	.start = ioasid_seq_start,
	.next = ioasid_seq_next,
	.stop = ioasid_seq_stop,
	.show = ioasid_seq_show,
};

static int ioasid_seq_open(struct inode *inode, struct file *file)
{
	return seq_open_private(file, &ioasid_sops, sizeof(struct ioasid_seq));
}

static int ioasid_seq_release(struct inode *inode, struct file *file)
{
	struct seq_file *m = file->private_data;
	struct ioasid_seq *seq = m->private;

	if (seq->set)
		ioasid_set_put(seq->set);
	return seq_release_private(inode, file);
}

static const struct file_operations ioasid_fops = {
	.owner = THIS_MODULE,
	.open = ioasid_seq_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = ioasid_seq_release,
};

static int __init ioasid_debugfs_init(void)
{
	debugfs_create_file("ioasid", 0400, NULL, NULL, &ioasid_fops);
	return 0;
}
device_initcall(ioasid_debugfs_init);
