// SPDX-License-Identifier: GPL-2.0
/*
 * What the core needs of the kernel and tools/testing/radix-tree does not have,
 * for the tests. All of it looks for misuse: sleeping where one may not, locks
 * that are not held, interrupts switched on too early.
 */
#include <sched.h>
#include <stdarg.h>
#include <unistd.h>

#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "shim.h"
#include "xa-node.h"

__thread struct task_struct shim_task = { .comm = "ioasid-test" };

int shim_warnings;
bool shim_warnings_expected;

void shim_warn(const char *file, int line, const char *format, ...)
{
	va_list args;

	__atomic_add_fetch(&shim_warnings, 1, __ATOMIC_RELAXED);
	if (shim_warnings_expected)
		return;
	fprintf(stderr, "# WARNING: %s:%d: ", file, line);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
}

/* Locks */

/* How many spinlocks this thread holds; its address names the thread. */
static __thread int spin_depth;
static __thread bool irqs_off;

void shim_might_sleep(const char *file, int line)
{
	if (spin_depth || irqs_off || rcu_read_ongoing())
		shim_warn(file, line,
			  "may sleep with %d spinlocks, interrupts %s, %sRCU\n",
			  spin_depth, irqs_off ? "off" : "on",
			  rcu_read_ongoing() ? "" : "no ");
}

int lockdep_is_held(const void *lock)
{
	const spinlock_t *l = lock;

	return __atomic_load_n(&l->owner, __ATOMIC_RELAXED) == &spin_depth;
}

bool shim_jitter;

static void jitter(void)
{
	static __thread unsigned int n;

	if (!shim_jitter)
		return;
	if (!n)
		n = (unsigned long)&n;
	n = n * 1664525 + 1013904223;
	if (!(n >> 26))
		sched_yield();
}

static void lock_mutex(spinlock_t *l)
{
	jitter();
	WARN(lockdep_is_held(l), "lock taken twice\n");
	pthread_mutex_lock(&l->mutex);
	__atomic_store_n(&l->owner, &spin_depth, __ATOMIC_RELAXED);
}

static void unlock_mutex(spinlock_t *l)
{
	lockdep_assert_held(l);
	__atomic_store_n(&l->owner, NULL, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&l->mutex);
	jitter();
}

void spin_lock_init(spinlock_t *l)
{
	pthread_mutex_init(&l->mutex, NULL);
	l->owner = NULL;
}

void spin_lock(spinlock_t *l)
{
	spin_depth++;
	lock_mutex(l);
}

void spin_unlock(spinlock_t *l)
{
	unlock_mutex(l);
	spin_depth--;
}

void spin_lock_irq(spinlock_t *l)
{
	WARN(irqs_off, "unlocking will switch interrupts on too early\n");
	irqs_off = true;
	spin_lock(l);
}

void spin_unlock_irq(spinlock_t *l)
{
	spin_unlock(l);
	irqs_off = false;
}

unsigned long shim_irq_save(void)
{
	unsigned long flags = irqs_off;

	irqs_off = true;
	return flags;
}

void shim_irq_restore(unsigned long flags)
{
	irqs_off = flags;
}

static __thread int mutexes_held;

bool shim_holds_mutex(void)
{
	return mutexes_held;
}

void mutex_lock(struct mutex *m)
{
	might_sleep();
	lock_mutex(&m->lock);
	mutexes_held++;
}

int mutex_lock_killable(struct mutex *m)
{
	might_sleep();
	while (pthread_mutex_trylock(&m->lock.mutex)) {
		if (current->killed)
			return -EINTR;
		usleep(100);
	}
	__atomic_store_n(&m->lock.owner, &spin_depth, __ATOMIC_RELAXED);
	mutexes_held++;
	return 0;
}

void mutex_unlock(struct mutex *m)
{
	mutexes_held--;
	unlock_mutex(&m->lock);
}

bool shim_may_sleep(void)
{
	return !spin_depth && !irqs_off;
}

void schedule_timeout_killable(long jiffies)
{
	might_sleep();
	usleep(100 * jiffies);
}

__thread unsigned int shim_grace_periods;

void shim_count_grace_period(void)
{
	shim_grace_periods++;
	WARN(mutexes_held, "waits for a grace period with a mutex held\n");
}

/* Memory: tools/lib/slab.c and the radix-tree harness, with failures */

static __thread unsigned int fail_countdown;
static __thread bool fail_hit;
static __thread void (*during_fn)(void);

void fail_allocation(unsigned int nth)
{
	fail_countdown = nth;
	fail_hit = false;
}

void during_allocation(unsigned int nth, void (*fn)(void))
{
	fail_allocation(nth);
	during_fn = fn;
}

bool fail_done(void)
{
	bool hit = fail_hit;

	fail_countdown = 0;
	fail_hit = false;
	during_fn = NULL;
	return hit;
}

__thread unsigned int shim_unaccounted;

static bool should_fail(int gfp)
{
	/* A try that may not sleep is followed by one that is told in the end. */
	if (!(gfp & __GFP_ACCOUNT))
		shim_unaccounted++;
	/* Tries that are expected to fail, as those under a lock, do not count. */
	if (!(gfp & __GFP_DIRECT_RECLAIM))
		return false;
	might_sleep();
	if (!fail_countdown || --fail_countdown)
		return false;
	fail_hit = true;
	if (during_fn) {
		void (*fn)(void) = during_fn;

		during_fn = NULL;
		fn();
		return false;
	}
	return true;
}

/* The linker sends calls to these and ours to the real ones: --wrap */
void *__real_kmalloc(size_t size, gfp_t gfp);
void *__wrap_kmalloc(size_t size, gfp_t gfp);
void *__real_kmem_cache_alloc_lru(struct kmem_cache *cache,
				  struct list_lru *lru, int gfp);
void *__wrap_kmem_cache_alloc_lru(struct kmem_cache *cache,
				  struct list_lru *lru, int gfp);

void *__wrap_kmalloc(size_t size, gfp_t gfp)
{
	return should_fail(gfp) ? NULL : __real_kmalloc(size, gfp);
}

void *__wrap_kmem_cache_alloc_lru(struct kmem_cache *cache,
				  struct list_lru *lru, int gfp)
{
	return should_fail(gfp) ? NULL :
	       __real_kmem_cache_alloc_lru(cache, lru, gfp);
}

/* mm */

int shim_mm_refs;

void mmgrab(struct mm_struct *mm)
{
	__atomic_add_fetch(&mm->mm_count, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&shim_mm_refs, 1, __ATOMIC_RELAXED);
}

void mmdrop(struct mm_struct *mm)
{
	/* __mmdrop() sleeps on some architectures, and frees the mm's PASID. */
	might_sleep();
	WARN(mutexes_held, "handlers run with a mutex held\n");
	WARN_ON(__atomic_sub_fetch(&mm->mm_count, 1, __ATOMIC_RELAXED) < 0);
	__atomic_sub_fetch(&shim_mm_refs, 1, __ATOMIC_RELAXED);
}

/* Workqueues */

struct workqueue_struct {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct list_head works;
	bool running;
};

/* The core's own one, and the one of the kernel that it uses */
static struct workqueue_struct *the_wq;
struct workqueue_struct *system_unbound_wq;

static void *worker(void *arg)
{
	struct workqueue_struct *wq = arg;
	struct work_struct *work;

	rcu_register_thread();
	pthread_mutex_lock(&wq->lock);
	for (;;) {
		wq->running = false;
		pthread_cond_broadcast(&wq->cond);
		while (list_empty(&wq->works))
			pthread_cond_wait(&wq->cond, &wq->lock);
		work = list_first_entry(&wq->works, struct work_struct, entry);
		list_del(&work->entry);
		work->pending = false;
		wq->running = true;
		pthread_mutex_unlock(&wq->lock);
		work->func(work);
		pthread_mutex_lock(&wq->lock);
	}
	return NULL;
}

struct workqueue_struct *alloc_ordered_workqueue(const char *name, int flags)
{
	struct workqueue_struct *wq = calloc(1, sizeof(*wq));

	pthread_mutex_init(&wq->lock, NULL);
	pthread_cond_init(&wq->cond, NULL);
	INIT_LIST_HEAD(&wq->works);
	if (system_unbound_wq)
		the_wq = wq;
	if (pthread_create(&wq->thread, NULL, worker, wq))
		abort();
	return wq;
}

bool queue_work(struct workqueue_struct *wq, struct work_struct *work)
{
	bool queued;

	pthread_mutex_lock(&wq->lock);
	queued = !work->pending;
	if (queued) {
		work->pending = true;
		list_add_tail(&work->entry, &wq->works);
		pthread_cond_broadcast(&wq->cond);
	}
	pthread_mutex_unlock(&wq->lock);
	return queued;
}

static void rcu_work_queue(struct rcu_head *rcu)
{
	struct rcu_work *rwork = container_of(rcu, struct rcu_work, rcu);

	queue_work(rwork->wq, &rwork->work);
}

bool queue_rcu_work(struct workqueue_struct *wq, struct rcu_work *rwork)
{
	rwork->wq = wq;
	call_rcu(&rwork->rcu, rcu_work_queue);
	return true;
}

static void flush_workqueue(struct workqueue_struct *wq)
{
	pthread_mutex_lock(&wq->lock);
	while (wq->running || !list_empty(&wq->works))
		pthread_cond_wait(&wq->cond, &wq->lock);
	pthread_mutex_unlock(&wq->lock);
}

/* A set goes by RCU, work, RCU (its SPIDs' nodes). */
void shim_settle(void)
{
	rcu_barrier();
	flush_workqueue(the_wq);
	flush_workqueue(system_unbound_wq);
	rcu_barrier();
}

void shim_init(void)
{
	xa_node_init(64);
	system_unbound_wq = alloc_ordered_workqueue("events_unbound", 0);
}
