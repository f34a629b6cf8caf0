// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel for the benchmark: memory and RCU at about the price that they have
 * in the kernel.
 *
 * Memory: a list of free objects for each size and thread, as the fast path of
 * SLUB. Sizes are rounded up as kmalloc() does.
 *
 * RCU: readers pay nothing (QSBR). Callbacks run in the thread that queued them,
 * a thousand at a time after one grace period, so their time is measured, too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/bug.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "bench-shim.h"
#include "xa-node.h"

#define BATCH		1024
#define CHUNK		(2UL << 20)
#define CACHES		24

struct kmem_cache {
	unsigned int size;
	int index;
	void (*ctor)(void *);
};

/* At the start of each chunk, which is aligned to its size */
struct chunk {
	struct kmem_cache *cache;
};

static struct kmem_cache caches[CACHES];
static int nr_caches;

static __thread void *free_objects[CACHES];
static __thread long bytes;

__thread struct task_struct shim_task;

void shim_warn(const char *file, int line, const char *format, ...)
{
	fprintf(stderr, "%s:%d: warning\n", file, line);
	abort();
}

struct kmem_cache *kmem_cache_create(const char *name, unsigned int size,
				     unsigned int align, unsigned int flags,
				     void (*ctor)(void *))
{
	struct kmem_cache *cache = &caches[nr_caches];

	if (nr_caches == CACHES)
		abort();
	if (!align)
		align = 8;
	cache->size = (size + align - 1) & ~(align - 1);
	cache->index = nr_caches++;
	cache->ctor = ctor;
	return cache;
}

static void *refill(struct kmem_cache *cache)
{
	char *p, *end, *object;
	struct chunk *chunk;

	p = mmap(NULL, 2 * CHUNK, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		abort();
	chunk = (void *)(((unsigned long)p + CHUNK - 1) & ~(CHUNK - 1));
	chunk->cache = cache;
	end = (char *)chunk + CHUNK;
	for (object = (char *)chunk + 64; object + cache->size <= end;
	     object += cache->size) {
		if (cache->ctor)
			cache->ctor(object);
		/* The last word, as what a constructor made begins an object. */
		*(void **)(object + cache->size - 8) =
			free_objects[cache->index];
		free_objects[cache->index] = object;
	}
	return free_objects[cache->index];
}

void *kmem_cache_alloc_lru(struct kmem_cache *cache, struct list_lru *lru,
			   int gfp)
{
	void **head = &free_objects[cache->index];
	char *object = *head;

	if (unlikely(!object))
		object = refill(cache);
	*head = *(void **)(object + cache->size - 8);
	/* The tags of an xa_node end here. */
	*(void **)(object + cache->size - 8) = NULL;
	bytes += cache->size;
	if (gfp & __GFP_ZERO)
		memset(object, 0, cache->size);
	return object;
}

void kmem_cache_free(struct kmem_cache *cache, void *p)
{
	*(void **)((char *)p + cache->size - 8) = free_objects[cache->index];
	free_objects[cache->index] = p;
	bytes -= cache->size;
}

/* kmalloc-8 and so on; index 0 is not used */
static const unsigned int sizes[] = {
	8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048,
};
static struct kmem_cache *by_size[ARRAY_SIZE(sizes)];

void *kmalloc(size_t size, gfp_t gfp)
{
	unsigned int i = 0;

	while (sizes[i] < size)
		i++;
	return kmem_cache_alloc_lru(by_size[i], NULL, gfp);
}

void kfree(void *p)
{
	struct chunk *chunk = (void *)((unsigned long)p & ~(CHUNK - 1));

	if (p)
		kmem_cache_free(chunk->cache, p);
}

long bench_bytes(void)
{
	return bytes;
}

/* RCU */

static __thread struct rcu_head *callbacks;
static __thread unsigned int nr_callbacks;

void bench_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	head->func = func;
	head->next.next = (void *)callbacks;
	callbacks = head;
	nr_callbacks++;
}

static void run_callbacks(void)
{
	struct rcu_head *head = callbacks, *next;

	callbacks = NULL;
	nr_callbacks = 0;
	synchronize_rcu();
	for (; head; head = next) {
		unsigned long offset = (unsigned long)head->func;

		next = (void *)head->next.next;
		if (offset < 4096)
			kfree((char *)head - offset);
		else
			head->func(head);
	}
}

void bench_quiesce(void)
{
	rcu_quiescent_state();
	if (nr_callbacks >= BATCH)
		run_callbacks();
}

void bench_drain(void)
{
	while (nr_callbacks)
		run_callbacks();
}

/* Works run at once, there is nothing to wait for. */
struct workqueue_struct *system_unbound_wq;

struct workqueue_struct *alloc_ordered_workqueue(const char *name, int flags)
{
	return (void *)1;
}

static void rcu_work_run(struct rcu_head *rcu)
{
	struct rcu_work *rwork = container_of(rcu, struct rcu_work, rcu);

	rwork->work.func(&rwork->work);
}

bool queue_rcu_work(struct workqueue_struct *wq, struct rcu_work *rwork)
{
	call_rcu(&rwork->rcu, rcu_work_run);
	return true;
}

/* Nobody waits here. */
void schedule_timeout_killable(long jiffies)
{
	abort();
}

void mmdrop(struct mm_struct *mm)
{
	mm->mm_count--;
}

void mmgrab(struct mm_struct *mm)
{
	mm->mm_count++;
}

void bench_shim_init(void)
{
	unsigned int i;

	xa_node_init(0);
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		by_size[i] = kmem_cache_create("kmalloc", sizes[i], 0,
					       SLAB_PANIC, NULL);
}
