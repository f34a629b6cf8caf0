/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _IOASID_XA_NODE_H
#define _IOASID_XA_NODE_H

/* Before the first xarray; @align: of nodes, 0 for any */
void xa_node_init(unsigned int align);

#endif
