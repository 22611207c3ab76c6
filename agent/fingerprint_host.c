#include "agent/fingerprint.h"

#include <ctype.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#include "agent/signals.h"

/* The version of the reference whose behaviour this client has: constraints on ${attr.nomad.version} look at it. */
#define NOMAD_VERSION "1.1.2"

static void read_os_release(struct fingerprint *f)
{
	struct buf text cleanup_buf = BUF_INIT, debian cleanup_buf = BUF_INIT;
	const char *id = NULL, *version = NULL;

	if (fingerprint_read(f, "/etc/os-release", &text) && fingerprint_read(f, "/usr/lib/os-release", &text))
		return;
	id = fingerprint_line(f->arena, text.data, "ID", '=');
	version = fingerprint_line(f->arena, text.data, "VERSION_ID", '=');
	/* Debian's VERSION_ID has no point release. */
	if (str_eq(id, "debian") && !fingerprint_read(f, "/etc/debian_version", &debian) &&
	    isdigit((unsigned char)debian.data[0]))
		version = arena_strndup(f->arena, debian.data, strcspn(debian.data, "\n"));
	fingerprint_set(f, "os.name", "%s", id ? id : "linux");
	fingerprint_set(f, "os.version", "%s", version ? version : "");
}

void fingerprint_host(struct fingerprint *f)
{
	struct utsname un;

	if (uname(&un) == 0) {
		fingerprint_set(f, "kernel.name", "linux");
		fingerprint_set(f, "kernel.version", "%s", un.release);
		fingerprint_set(f, "kernel.arch", "%s", un.machine);
		fingerprint_set(f, "unique.hostname", "%s", un.nodename);
	}
	read_os_release(f);
	fingerprint_set(f, "os.signals", "%s", signal_names());
	fingerprint_set(f, "nomad.version", "%s", NOMAD_VERSION);
	fingerprint_set(f, "drover.version", "%s", DROVER_VERSION);
	fingerprint_set(f, "nomad.advertise.address", "%s", f->config->http_addr ? f->config->http_addr : "");
}

static bool exists(const struct fingerprint *f, const char *path)
{
	cleanup_free char *full = xasprintf("%s%s", f->root, path);
	struct stat st;

	return stat(full, &st) == 0;
}

void fingerprint_cgroup(struct fingerprint *f)
{
	if (exists(f, "/sys/fs/cgroup/cgroup.controllers")) {
		fingerprint_set(f, "os.cgroups.version", "2");
		fingerprint_set(f, "unique.cgroup.mountpoint", "/sys/fs/cgroup");
		fingerprint_set(f, "unique.cgroup.version", "v2");
	} else if (exists(f, "/sys/fs/cgroup/cpu")) {
		fingerprint_set(f, "os.cgroups.version", "1");
		fingerprint_set(f, "unique.cgroup.mountpoint", "/sys/fs/cgroup/cpu");
		fingerprint_set(f, "unique.cgroup.version", "v1");
	}
}

/* The device whose mount point is the longest prefix of path. */
static void find_volume(const struct fingerprint *f, const char *path, char *out, size_t size)
{
	struct buf text cleanup_buf = BUF_INIT;
	size_t best = 0;

	if (fingerprint_read(f, "/proc/mounts", &text))
		return;
	for (const char *p = text.data; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		char device[256], point[512];

		if (sscanf(p, "%255s %511s", device, point) != 2)
			continue;
		size_t n = strlen(point);
		bool root = str_eq(point, "/");

		if (n >= best && (root || (!strncmp(path, point, n) && (path[n] == '/' || !path[n])))) {
			best = n;
			snprintf(out, size, "%s", device);
		}
	}
}

void fingerprint_storage(struct fingerprint *f)
{
	const char *path = f->config->alloc_dir;
	struct statvfs st;
	char volume[256] = "";
	int64_t free_mb = 0;

	if (statvfs(path, &st) == 0) {
		uint64_t free_bytes = (uint64_t)st.f_bavail * st.f_frsize;

		find_volume(f, path, volume, sizeof(volume));
		fingerprint_set(f, "unique.storage.volume", "%s", volume);
		fingerprint_set(f, "unique.storage.bytestotal", "%llu", (unsigned long long)st.f_blocks * st.f_frsize);
		fingerprint_set(f, "unique.storage.bytesfree", "%llu", (unsigned long long)free_bytes);
		free_mb = (int64_t)(free_bytes >> 20);
	}
	if (f->config->total.disk_mb > 0)
		free_mb = f->config->total.disk_mb;
	MODEL_SET(node_disk, f->node->node_resources->disk, disk_mb, free_mb);
}
