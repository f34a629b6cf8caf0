// SPDX-License-Identifier: GPL-2.0
/*
 * IOASID core: /sys/kernel/debug/ioasid
 *
 * Shows the pool, every set and every id, for people.  No ABI.  Sets that were
 * freed are shown until their last id is gone: that is how a user that does not
 * let go is found.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>

#include "ioasid-private.h"

/* Positions in the file: 0 the pool, then the sets, from here on the ids */
#define IOASID_POS_IDS	((loff_t)IOASID_MAX + 1)

static const char * const ioasid_state_names[] = {
	[IOASID_STATE_NEW] = "new",
	[IOASID_STATE_IDLE] = "idle",
	[IOASID_STATE_ACTIVE] = "active",
	[IOASID_STATE_FREE_PENDING] = "free-pending",
	[IOASID_STATE_GONE] = "gone",
};

static void *ioasid_seq_find(loff_t *pos)
{
	unsigned long index;
	void *p;

	if (!*pos)
		return SEQ_START_TOKEN;
	if (*pos < IOASID_POS_IDS) {
		p = seq_list_start(&ioasid_sets, *pos - 1);
		if (p)
			return p;
		*pos = IOASID_POS_IDS;
	}
	index = *pos - IOASID_POS_IDS;
	p = xa_find(&ioasid_xa, &index, IOASID_MAX, XA_PRESENT);
	*pos = IOASID_POS_IDS + index;
	return p;
}

static void *ioasid_seq_start(struct seq_file *m, loff_t *pos)
	__acquires(RCU)
{
	mutex_lock(&ioasid_sets_lock);
	rcu_read_lock();
	return ioasid_seq_find(pos);
}

static void *ioasid_seq_next(struct seq_file *m, void *v, loff_t *pos)
{
	++*pos;
	return ioasid_seq_find(pos);
}

static void ioasid_seq_stop(struct seq_file *m, void *v)
	__releases(RCU)
{
	rcu_read_unlock();
	mutex_unlock(&ioasid_sets_lock);
}

static void ioasid_show_pool(struct seq_file *m)
{
	struct ioasid_pool_state pool;

	ioasid_pool_read(&pool);
	seq_printf(m, "capacity %u left %u reserved %u quotas %u shared %u\n",
		   pool.capacity, pool.left, pool.taken[IOASID_POOL_RESERVED],
		   pool.taken[IOASID_POOL_QUOTA],
		   pool.taken[IOASID_POOL_SHARED]);
}

static void ioasid_show_set(struct seq_file *m, struct ioasid_set *set)
{
	seq_printf(m, "set %u type %s quota %u used %u pending %d owner %s\n",
		   set->serial, set->type == IOASID_SET_TYPE_MM ? "mm" : "null",
		   READ_ONCE(set->quota), READ_ONCE(set->nr),
		   max(atomic_read(&set->pending), 0), set->comm);
}

static void ioasid_show_id(struct seq_file *m, struct ioasid_entry *e)
{
	ioasid_t spid = INVALID_IOASID;
	struct ioasid_spid *s;
	unsigned long flags;
	unsigned int refs;
	u8 state;

	spin_lock_irqsave(&e->lock, flags);
	state = e->state;
	refs = refcount_read(&e->refs);
	s = ioasid_spid_current(e);
	if (s)
		spid = s->spid;
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
DEFINE_SEQ_ATTRIBUTE(ioasid);

void ioasid_debugfs_init(void)
{
	debugfs_create_file("ioasid", 0400, NULL, NULL, &ioasid_fops);
}
