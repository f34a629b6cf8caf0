// SPDX-License-Identifier: GPL-2.0
/*
 * Which addresses of an I/O address space are mapped, and where there is room
 *
 * Mappings are disjoint, so that a tree by their first address is enough. Each node
 * also knows the widest gap below it: room for a new one is found without visiting
 * the mappings between which there is too little.
 */
#include <linux/align.h>
#include <linux/bits.h>
#include <linux/iommu.h>
#include <linux/limits.h>
#include <linux/lockdep.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/rbtree_augmented.h>
#include <linux/sizes.h>

#include "ioasid-ioas.h"

#define to_mapping(_node) rb_entry_safe(_node, struct ioasid_mapping, node)
#define ioasid_mapping_gap(_map) ((_map)->gap)

RB_DECLARE_CALLBACKS_MAX(static, ioasid_maps_widest, struct ioasid_mapping, node,
			 u64, widest, ioasid_mapping_gap)

/**
 * ioasid_maps_first - the first mapping that has an address, or a higher one
 * @ioas: the address space, its lock or map_mutex held
 * @iova: the address
 *
 * Return: it, or NULL.
 */
struct ioasid_mapping *ioasid_maps_first(struct ioasid_ioas *ioas, u64 iova)
{
	struct rb_node *node = ioas->maps.rb_node;
	struct ioasid_mapping *map, *found = NULL;

	while (node) {
		map = to_mapping(node);
		if (map->last < iova) {
			node = node->rb_right;
		} else {
			found = map;
			node = node->rb_left;
		}
	}
	return found;
}

/**
 * ioasid_maps_next - the mapping behind another one
 * @map: the other one
 *
 * Return: it, or NULL.
 */
struct ioasid_mapping *ioasid_maps_next(struct ioasid_mapping *map)
{
	return to_mapping(rb_next(&map->node));
}

/* @map, which may be NULL, comes behind @before now, or behind nothing */
static void ioasid_maps_set_gap(struct ioasid_mapping *map,
				struct ioasid_mapping *before)
{
	if (!map)
		return;
	map->gap = map->iova - (before ? before->last + 1 : 0);
	ioasid_maps_widest.propagate(&map->node, NULL);
}

/**
 * ioasid_maps_insert - add a mapping
 * @ioas: the address space, its lock held
 * @map: the mapping, which overlaps no other one
 */
void ioasid_maps_insert(struct ioasid_ioas *ioas, struct ioasid_mapping *map)
{
	struct rb_node **link = &ioas->maps.rb_node, *parent = NULL;

	lockdep_assert_held(&ioas->lock);
	while (*link) {
		parent = *link;
		link = map->iova < to_mapping(parent)->iova ?
		       &parent->rb_left : &parent->rb_right;
	}
	map->gap = 0;
	map->widest = 0;
	rb_link_node(&map->node, parent, link);
	rb_insert_augmented(&map->node, &ioas->maps, &ioasid_maps_widest);
	ioasid_maps_set_gap(map, to_mapping(rb_prev(&map->node)));
	ioasid_maps_set_gap(ioasid_maps_next(map), map);
	ioas->nr_maps++;
	ioas->mapped += map->last - map->iova + 1;
}

/**
 * ioasid_maps_remove - take a mapping out
 * @ioas: the address space, its lock held
 * @map: the mapping
 */
void ioasid_maps_remove(struct ioasid_ioas *ioas, struct ioasid_mapping *map)
{
	struct ioasid_mapping *before = to_mapping(rb_prev(&map->node));
	struct ioasid_mapping *next = ioasid_maps_next(map);

	lockdep_assert_held(&ioas->lock);
	rb_erase_augmented(&map->node, &ioas->maps, &ioasid_maps_widest);
	ioasid_maps_set_gap(next, before);
	ioas->nr_maps--;
	ioas->mapped -= map->last - map->iova + 1;
}

/* In the subtree of @node, the first mapping before which @length bytes are free */
static struct ioasid_mapping *ioasid_maps_first_gap(struct rb_node *node,
						    u64 length)
{
	struct ioasid_mapping *map = to_mapping(node), *left;

	if (!map || map->widest < length)
		return NULL;
	for (;;) {
		left = to_mapping(map->node.rb_left);
		if (left && left->widest >= length) {
			map = left;
			continue;
		}
		if (map->gap >= length)
			return map;
		map = to_mapping(map->node.rb_right);
	}
}

/* The next one behind @map */
static struct ioasid_mapping *ioasid_maps_next_gap(struct ioasid_mapping *map,
						   u64 length)
{
	struct ioasid_mapping *found;
	struct rb_node *node = &map->node, *parent;

	found = ioasid_maps_first_gap(node->rb_right, length);
	if (found)
		return found;
	for (; (parent = rb_parent(node)); node = parent) {
		if (node != parent->rb_left)
			continue;
		if (to_mapping(parent)->gap >= length)
			return to_mapping(parent);
		found = ioasid_maps_first_gap(parent->rb_right, length);
		if (found)
			return found;
	}
	return NULL;
}

/**
 * ioasid_reserved_in - a reserved range that overlaps another one
 * @ioas: the address space, its lock held
 * @iova: first address of the other one
 * @last: and the last one
 *
 * Return: any such range, or NULL.
 */
struct ioasid_reserved *ioasid_reserved_in(struct ioasid_ioas *ioas, u64 iova,
					   u64 last)
{
	struct ioasid_reserved *reserved;

	lockdep_assert_held(&ioas->lock);
	list_for_each_entry(reserved, &ioas->reserved, link)
		if (reserved->iova <= last && iova <= reserved->last)
			return reserved;
	return NULL;
}

/**
 * struct ioasid_room - what is looked for
 * @first: the lowest address
 * @length: bytes
 * @align: a power of two
 * @offset: from a multiple of @align
 */
struct ioasid_room {
	u64 first;
	u64 length;
	u64 align;
	u64 offset;
};

/* Whether there is such room from @iova up to @last */
static bool ioasid_room_in(struct ioasid_ioas *ioas,
			   const struct ioasid_room *room, u64 *iova, u64 last)
{
	struct ioasid_reserved *reserved;
	u64 start = *iova, end;

	do {
		start += (room->offset - start) & (room->align - 1);
		if (start < *iova || start > last ||
		    check_add_overflow(start, room->length - 1, &end) ||
		    end > last)
			return false;
		reserved = ioasid_reserved_in(ioas, start, end);
		if (!reserved)
			*iova = start;
		else
			start = reserved->last + 1;
	} while (reserved && start);
	return !reserved;
}

static bool ioasid_maps_find_room(struct ioasid_ioas *ioas,
				  const struct ioasid_room *room, u64 *iova)
{
	u64 last = ioas->domain->geometry.aperture_end;
	struct ioasid_mapping *map;

	for (map = ioasid_maps_first_gap(ioas->maps.rb_node, room->length); map;
	     map = ioasid_maps_next_gap(map, room->length)) {
		*iova = max(map->iova - map->gap, room->first);
		if (ioasid_room_in(ioas, room, iova, map->iova - 1))
			return true;
	}
	map = to_mapping(rb_last(&ioas->maps));
	if (map && map->last >= last)
		return false;
	*iova = map ? max(map->last + 1, room->first) : room->first;
	return ioasid_room_in(ioas, room, iova, last);
}

/**
 * ioasid_maps_find_gap - find room for a mapping
 * @ioas: the address space, its lock held
 * @va: first address of the memory
 * @length: number of bytes
 * @iova: set to the first address for devices
 *
 * A page of the table can be large only where both addresses are aligned to it: the
 * largest one that the mapping has room for decides, if there is room like that. What
 * devices have reserved is below 4 GiB, where interrupts go for one: a mapping there
 * may keep a device from being attached later. Programs take 0 for no address.
 *
 * Return: 0, or -ENOSPC.
 */
int ioasid_maps_find_gap(struct ioasid_ioas *ioas, unsigned long va, u64 length,
			 u64 *iova)
{
	unsigned long sizes = ioas->domain->pgsize_bitmap;
	struct ioasid_room room = { .length = length };

	lockdep_assert_held(&ioas->lock);
	sizes &= GENMASK(__fls(length), PAGE_SHIFT);
	for (; sizes; sizes &= ~room.align) {
		room.align = BIT(__fls(sizes));
		room.offset = va & (room.align - 1);
		room.first = SZ_4G;
		if (ioasid_maps_find_room(ioas, &room, iova))
			return 0;
		room.first = PAGE_SIZE;
		if (ioasid_maps_find_room(ioas, &room, iova))
			return 0;
	}
	return -ENOSPC;
}
