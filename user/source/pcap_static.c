/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two names that keep libdbus and libsystemd out of the static program.
 *
 * libpcap.a can also capture from D-Bus, and one object of it asks for these two.
 * Only files are read here, never a device, so neither is ever called; with them
 * here the linker leaves the archive's own (and all that it needs, which Debian has
 * in part as shared libraries only) where it is. Hidden: a shared libpcap keeps its
 * own.
 */
#include <pcap/pcap.h>

#pragma GCC visibility push(hidden)
pcap_t *dbus_create(const char *device, char *error, int *is_ours);
int dbus_findalldevs(void *list, char *error);
#pragma GCC visibility pop

pcap_t *dbus_create(const char *device, char *error, int *is_ours)
{
	*is_ours = 0;
	return NULL;
}

int dbus_findalldevs(void *list, char *error)
{
	return 0;
}
