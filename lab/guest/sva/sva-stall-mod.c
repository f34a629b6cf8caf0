// SPDX-License-Identifier: GPL-2.0
/*
 * Memory whose page faults take as long as somebody wants, as those of a file whose server does not answer.
 * /sys/kernel/debug/sva-stall: mmap() it; read() says how many faults wait; write() lets them go on, all and for ever.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/wait.h>

static DECLARE_WAIT_QUEUE_HEAD(wait);
static atomic_t waiting;
static struct dentry *file;
static bool go;

static vm_fault_t stall_fault(struct vm_fault *vmf)
{
	atomic_inc(&waiting);
	wait_event(wait, READ_ONCE(go));
	atomic_dec(&waiting);
	vmf->page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	return vmf->page ? 0 : VM_FAULT_OOM;
}

static const struct vm_operations_struct stall_vm_ops = { .fault = stall_fault };

static int stall_mmap(struct file *filp, struct vm_area_struct *vma)
{
	vma->vm_ops = &stall_vm_ops;
	return 0;
}

static ssize_t stall_write(struct file *filp, const char __user *text, size_t size, loff_t *at)
{
	WRITE_ONCE(go, true);
	wake_up_all(&wait);
	return size;
}

static ssize_t stall_read(struct file *filp, char __user *to, size_t size, loff_t *at)
{
	char text[16];
	int length = scnprintf(text, sizeof(text), "%d\n", atomic_read(&waiting));

	return simple_read_from_buffer(to, size, at, text, length);
}

static const struct file_operations stall_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.mmap = stall_mmap,
	.read = stall_read,
	.write = stall_write,
};

static int __init stall_init(void)
{
	file = debugfs_create_file_unsafe("sva-stall", 0600, NULL, NULL, &stall_fops);
	return PTR_ERR_OR_ZERO(file);
}
module_init(stall_init);

static void __exit stall_exit(void)
{
	debugfs_remove(file);
}
module_exit(stall_exit);

MODULE_DESCRIPTION("Page faults that take long");
MODULE_LICENSE("GPL");
