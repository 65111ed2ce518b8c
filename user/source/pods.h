/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this node's log directories call its containers: "namespace/pod/container".
 */
#ifndef TCPTRAIL_SOURCE_PODS_H
#define TCPTRAIL_SOURCE_PODS_H

#include <stdint.h>

struct pods;

/* logs: "/var/log"; read when first asked. NULL: out of memory. */
struct pods *pods_new(const char *logs);
void pods_free(struct pods *p);

/* Of a container's id, else (without the container's name) of its pod's uid; either may be "".
 * "": the node does not say. Reads the directories again when something is not known, at most
 * every ten seconds. Valid until the next call. */
const char *pods_name(struct pods *p, const char *container, const char *pod_uid, uint64_t now_ns);

#endif
