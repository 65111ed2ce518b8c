/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names that a Kubernetes node's own log files have of its containers: no API asked.
 */
#ifndef TCPTRAIL_PODNAME_H
#define TCPTRAIL_PODNAME_H

#include <stdbool.h>

enum { PODNAME_ID_LEN = 64, PODNAME_UID_LEN = 36, PODNAME_LEN = 128 };

/* A file of /var/log/containers, "POD_NAMESPACE_CONTAINER-<64 hex digits>.log" (the kubelet's
 * legacy symlinks): the container's id and "NAMESPACE/POD/CONTAINER", cut to what has room.
 * False, both untouched: any other name. */
bool podname_of_log(const char *file, char id[PODNAME_ID_LEN + 1], char out[PODNAME_LEN]);

/* A directory of /var/log/pods, "NAMESPACE_POD_UID": the pod's uid and "NAMESPACE/POD". */
bool podname_of_dir(const char *dir, char uid[PODNAME_UID_LEN + 1], char out[PODNAME_LEN]);

#endif
