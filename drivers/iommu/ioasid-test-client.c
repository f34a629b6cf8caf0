// SPDX-License-Identifier: GPL-2.0
/*
 * Test client of the IOASID core
 *
 * A kernel user of IOASIDs that is driven from user space: it makes sets,
 * allocates, holds references and subscribes, so that states, references and
 * the order of events can be seen, and tested, from outside.
 *
 * In /sys/kernel/debug/ioasid-test:
 *
 * command	One command a write(). The errno is that of the function called.
 *
 *	set NAME null|mm [QUOTA]	make a set; mm: that of the writer
 *	end NAME			free the set
 *	quota NAME QUOTA		adjust its quota
 *	alloc NAME [MIN MAX]		allocate; read the id from result
 *	free ID			free
 *	get ID, owned ID, put ID	a reference; of an id of the writer's mm
 *	use ID, unuse ID		a use
 *	hold ID				a use that ends by itself: FREE queues
 *					work that drops it, as a driver would
 *	spid ID SPID, nospid ID		attach, detach
 *	find NAME SPID			read the id from result
 *	sub NAME SET|all|mm|FD PRIO	subscribe, PRIO: cpu iommu device last; FD: to
 *					a file of /dev/ioasid that the writer has
 *	unsub NAME
 *
 * result	what the last alloc, find, free or put that succeeded returned
 * log		one line an event, oldest first; reading empties it
 *
 * Names have up to 15 characters and are not numbers. References are the
 * writer's business, as they are for a driver; all else is undone when the
 * module is removed.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/ioasid.h>
#include <linux/kfifo.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#define TC_NAME		16
#define TC_LOG		4096

struct tc_set {
	struct list_head list;
	char name[TC_NAME];
	struct ioasid_set *set;
};

/* @set and @mm say where it is registered; both NULL: all sets. @file: it was by a file */
struct tc_sub {
	struct list_head list;
	char name[TC_NAME];
	struct notifier_block nb;
	struct ioasid_set *set;
	struct mm_struct *mm;
	bool file;
};

struct tc_event {
	char who[TC_NAME];
	u8 event;
	ioasid_t id;
	ioasid_t spid;
};

struct tc_args {
	char a[TC_NAME];
	char b[TC_NAME];
	char c[TC_NAME];
	int nr;
};

/* Protects the lists, tc_result and the order of commands. */
static DEFINE_MUTEX(tc_lock);
static LIST_HEAD(tc_sets);
static LIST_HEAD(tc_subs);
static u64 tc_result;
static struct dentry *tc_dir;

/* Protects the log; taken in notifiers. */
static DEFINE_SPINLOCK(tc_log_lock);
static DEFINE_KFIFO(tc_log, struct tc_event, TC_LOG);
static unsigned int tc_lost;

/* Ids of "hold": the value is TC_HELD, then TC_FREED until the work has run */
#define TC_HELD		xa_mk_value(0)
#define TC_FREED	xa_mk_value(1)
static DEFINE_XARRAY_FLAGS(tc_held, XA_FLAGS_LOCK_IRQ);
/* Protects that what is in tc_held has a use; the work waits for "hold". */
static DEFINE_MUTEX(tc_held_lock);

/* One work item for all ids, so that others' work is not held up. */
static void tc_drop_held(struct work_struct *work)
{
	unsigned long id;
	void *state;

	mutex_lock(&tc_held_lock);
	xa_for_each(&tc_held, id, state) {
		if (state != TC_FREED)
			continue;
		xa_erase_irq(&tc_held, id);
		ioasid_unuse(NULL, id);
	}
	mutex_unlock(&tc_held_lock);
}

static DECLARE_WORK(tc_held_work, tc_drop_held);

static int tc_held_notify(struct notifier_block *nb, unsigned long event,
			  void *data)
{
	struct ioasid_nb_args *args = data;
	unsigned long flags;

	if (event != IOASID_NOTIFY_FREE)
		return NOTIFY_DONE;

	xa_lock_irqsave(&tc_held, flags);
	if (xa_load(&tc_held, args->id)) {
		/* Replaces, so it does not allocate. */
		__xa_store(&tc_held, args->id, TC_FREED, 0);
		ioasid_queue_work(&tc_held_work);
	}
	xa_unlock_irqrestore(&tc_held, flags);
	return NOTIFY_OK;
}

static struct notifier_block tc_held_nb = {
	.notifier_call = tc_held_notify,
	.priority = IOASID_PRIO_DEVICE,
};

static int tc_notify(struct notifier_block *nb, unsigned long event, void *data)
{
	struct tc_sub *sub = container_of(nb, struct tc_sub, nb);
	struct ioasid_nb_args *args = data;
	struct tc_event ev = {
		.event = event,
		.id = args->id,
		.spid = args->spid,
	};
	unsigned long flags;

	memcpy(ev.who, sub->name, sizeof(ev.who));
	spin_lock_irqsave(&tc_log_lock, flags);
	if (!kfifo_put(&tc_log, ev))
		tc_lost++;
	spin_unlock_irqrestore(&tc_log_lock, flags);
	return NOTIFY_OK;
}

static struct tc_set *tc_set_find(const char *name)
{
	struct tc_set *s;

	list_for_each_entry(s, &tc_sets, list)
		if (!strcmp(s->name, name))
			return s;
	return NULL;
}

static int tc_set_new(struct tc_args *args, u32 quota)
{
	bool mm = !strcmp(args->b, "mm");
	struct tc_set *s;

	if (!mm && strcmp(args->b, "null"))
		return -EINVAL;
	if (tc_set_find(args->a))
		return -EEXIST;
	s = kzalloc(sizeof(*s), GFP_KERNEL);
	if (!s)
		return -ENOMEM;
	strscpy(s->name, args->a, sizeof(s->name));
	s->set = ioasid_set_alloc(mm ? current->mm : NULL, quota,
				  mm ? IOASID_SET_TYPE_MM : IOASID_SET_TYPE_NULL);
	if (IS_ERR(s->set)) {
		int ret = PTR_ERR(s->set);

		kfree(s);
		return ret;
	}
	list_add_tail(&s->list, &tc_sets);
	return 0;
}

static void tc_sub_end(struct tc_sub *sub)
{
	if (sub->mm) {
		ioasid_unregister_notifier_mm(sub->mm, &sub->nb);
		mmdrop(sub->mm);
	} else if (sub->file) {
		ioasid_unregister_notifier_file(sub->set, &sub->nb);
	} else {
		ioasid_unregister_notifier(sub->set, &sub->nb);
	}
	if (sub->set)
		ioasid_set_put(sub->set);
	list_del(&sub->list);
	kfree(sub);
}

/* Subscribers are in the set's chain, so they go first. */
static void tc_set_end(struct tc_set *s)
{
	ioasid_set_free(s->set);
	list_del(&s->list);
	kfree(s);
}

static int tc_sub_file(struct tc_sub *sub, int fd)
{
	struct ioasid_set *set = ioasid_file_get(fd);
	int ret;

	if (IS_ERR(set))
		return PTR_ERR(set);
	ret = ioasid_register_notifier_file(set, &sub->nb);
	if (ret) {
		ioasid_set_put(set);
		return ret;
	}
	sub->set = set;
	sub->file = true;
	return 0;
}

static int tc_sub_new(struct tc_args *args)
{
	static const char * const prios[] = {
		[IOASID_PRIO_LAST] = "last",
		[IOASID_PRIO_DEVICE] = "device",
		[IOASID_PRIO_IOMMU] = "iommu",
		[IOASID_PRIO_CPU] = "cpu",
	};
	struct tc_sub *sub;
	struct tc_set *s;
	int prio, ret, fd;

	prio = match_string(prios, ARRAY_SIZE(prios), args->c);
	if (prio < 0)
		return -EINVAL;
	list_for_each_entry(sub, &tc_subs, list)
		if (!strcmp(sub->name, args->a))
			return -EEXIST;

	sub = kzalloc(sizeof(*sub), GFP_KERNEL);
	if (!sub)
		return -ENOMEM;
	strscpy(sub->name, args->a, sizeof(sub->name));
	sub->nb.notifier_call = tc_notify;
	sub->nb.priority = prio;

	if (!strcmp(args->b, "mm")) {
		ret = ioasid_register_notifier_mm(current->mm, &sub->nb);
		if (!ret) {
			sub->mm = current->mm;
			mmgrab(sub->mm);
		}
	} else if (!strcmp(args->b, "all")) {
		ret = ioasid_register_notifier(NULL, &sub->nb);
	} else if (!kstrtoint(args->b, 10, &fd)) {
		ret = tc_sub_file(sub, fd);
	} else {
		s = tc_set_find(args->b);
		ret = s ? ioasid_register_notifier(s->set, &sub->nb) : -ENOENT;
		if (!ret)
			sub->set = ioasid_set_get(s->set);
	}
	if (ret) {
		kfree(sub);
		return ret;
	}
	list_add_tail(&sub->list, &tc_subs);
	return 0;
}

static int tc_hold(ioasid_t id)
{
	int ret;

	/* First the entry: FREE that comes after ioasid_use() finds it. */
	mutex_lock(&tc_held_lock);
	ret = xa_insert_irq(&tc_held, id, TC_HELD, GFP_KERNEL);
	if (!ret) {
		ret = ioasid_use(NULL, id);
		if (ret)
			xa_erase_irq(&tc_held, id);
	}
	mutex_unlock(&tc_held_lock);
	return ret;
}

/* Commands that take an id, and a number */
static int tc_id_command(const char *verb, int nr, ioasid_t id, u32 arg)
{
	if (nr < 1)
		return -EINVAL;
	if (!strcmp(verb, "free"))
		tc_result = ioasid_free(NULL, id);
	else if (!strcmp(verb, "put"))
		tc_result = ioasid_put(NULL, id);
	else if (!strcmp(verb, "unuse"))
		tc_result = ioasid_unuse(NULL, id);
	else if (!strcmp(verb, "get"))
		return ioasid_get(NULL, id);
	else if (!strcmp(verb, "owned"))
		return ioasid_get_if_owned(id);
	else if (!strcmp(verb, "use"))
		return ioasid_use(NULL, id);
	else if (!strcmp(verb, "hold"))
		return tc_hold(id);
	else if (!strcmp(verb, "nospid"))
		return ioasid_detach_spid(id);
	else if (!strcmp(verb, "spid") && nr == 2)
		return ioasid_attach_spid(id, arg);
	else
		return -EINVAL;
	return 0;
}

/* Commands that take the name of a set, and numbers */
static int tc_set_command(const char *verb, struct tc_args *args, u32 x, u32 y)
{
	struct tc_set *s = tc_set_find(args->a);
	ioasid_t id;
	int ret;

	if (!s)
		return -ENOENT;
	if (!strcmp(verb, "end")) {
		tc_set_end(s);
	} else if (!strcmp(verb, "quota") && args->nr == 2) {
		return ioasid_set_adjust_quota(s->set, x);
	} else if (!strcmp(verb, "find") && args->nr == 2) {
		id = ioasid_find_by_spid(s->set, x, false);
		if (id == INVALID_IOASID)
			return -ENOENT;
		tc_result = id;
	} else if (!strcmp(verb, "alloc") && args->nr != 2) {
		ret = ioasid_alloc(s->set, args->nr == 3 ? x : 1,
				   args->nr == 3 ? y : IOASID_MAX, NULL, &id);
		if (ret)
			return ret;
		tc_result = id;
	} else {
		return -EINVAL;
	}
	return 0;
}

static int tc_command(char *line)
{
	struct tc_args args = { };
	char verb[TC_NAME];
	u32 x = 0, y = 0, id;
	struct tc_sub *sub;

	args.nr = sscanf(line, "%15s %15s %15s %15s", verb, args.a, args.b,
			 args.c) - 1;
	if (args.nr < 1)
		return -EINVAL;

	if (!strcmp(verb, "sub"))
		return args.nr == 3 ? tc_sub_new(&args) : -EINVAL;
	if (!strcmp(verb, "unsub")) {
		list_for_each_entry(sub, &tc_subs, list) {
			if (!strcmp(sub->name, args.a)) {
				tc_sub_end(sub);
				return 0;
			}
		}
		return -ENOENT;
	}
	if (!strcmp(verb, "set")) {
		if (args.nr < 2 || (args.nr == 3 && kstrtou32(args.c, 0, &x)))
			return -EINVAL;
		return tc_set_new(&args, x);
	}

	/* The rest have numbers behind the first word */
	if ((args.nr > 1 && kstrtou32(args.b, 0, &x)) ||
	    (args.nr > 2 && kstrtou32(args.c, 0, &y)))
		return -EINVAL;
	if (!kstrtou32(args.a, 0, &id))
		return tc_id_command(verb, args.nr, id, x);
	return tc_set_command(verb, &args, x, y);
}

static ssize_t tc_command_write(struct file *file, const char __user *buf,
				size_t count, loff_t *pos)
{
	char *line;
	int ret;

	if (count > 4 * TC_NAME)
		return -EINVAL;
	line = memdup_user_nul(buf, count);
	if (IS_ERR(line))
		return PTR_ERR(line);
	mutex_lock(&tc_lock);
	ret = tc_command(line);
	mutex_unlock(&tc_lock);
	kfree(line);
	return ret ?: count;
}

static const struct file_operations tc_command_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = tc_command_write,
	.llseek = no_llseek,
};

static ssize_t tc_log_read(struct file *file, char __user *buf, size_t count,
			   loff_t *pos)
{
	static const char * const names[] = {
		[IOASID_NOTIFY_ALLOC] = "ALLOC",
		[IOASID_NOTIFY_FREE] = "FREE",
		[IOASID_NOTIFY_BIND] = "BIND",
		[IOASID_NOTIFY_UNBIND] = "UNBIND",
	};
	struct tc_event ev;
	unsigned int lost;
	char line[80];
	bool got;
	int len;

	spin_lock_irq(&tc_log_lock);
	got = kfifo_get(&tc_log, &ev);
	lost = tc_lost;
	if (!got)
		tc_lost = 0;
	spin_unlock_irq(&tc_log_lock);

	if (!got && !lost)
		return 0;
	if (!got)
		len = scnprintf(line, sizeof(line), "lost %u events\n", lost);
	else if (ev.spid == INVALID_IOASID)
		len = scnprintf(line, sizeof(line), "%s %s id=%u\n", ev.who,
				names[ev.event], ev.id);
	else
		len = scnprintf(line, sizeof(line), "%s %s id=%u spid=%u\n",
				ev.who, names[ev.event], ev.id, ev.spid);
	if (len > count)
		return -EINVAL;
	return copy_to_user(buf, line, len) ? -EFAULT : len;
}

static const struct file_operations tc_log_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.read = tc_log_read,
	.llseek = no_llseek,
};

static int __init tc_init(void)
{
	int ret;

	ret = ioasid_register_notifier_in_use(&tc_held_nb);
	if (ret)
		return ret;
	tc_dir = debugfs_create_dir("ioasid-test", NULL);
	debugfs_create_file("command", 0200, tc_dir, NULL, &tc_command_fops);
	debugfs_create_file("log", 0400, tc_dir, NULL, &tc_log_fops);
	debugfs_create_u64("result", 0400, tc_dir, &tc_result);
	return 0;
}
module_init(tc_init);

static void __exit tc_exit(void)
{
	struct tc_sub *sub, *next_sub;
	struct tc_set *s, *next;
	unsigned long id;
	void *state;

	debugfs_remove(tc_dir);
	list_for_each_entry_safe(sub, next_sub, &tc_subs, list)
		tc_sub_end(sub);
	list_for_each_entry_safe(s, next, &tc_sets, list)
		tc_set_end(s);
	ioasid_unregister_notifier_in_use(&tc_held_nb);
	flush_work(&tc_held_work);
	xa_for_each(&tc_held, id, state)
		ioasid_unuse(NULL, id);
	xa_destroy(&tc_held);
}
module_exit(tc_exit);

MODULE_DESCRIPTION("Test client of the IOASID core");
MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING);
MODULE_LICENSE("GPL");
