#include "agent/stray.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "agent/keeper.h"
#include "base/file.h"
#include "base/log.h"

/* The record that a process names if it is a keeper of ours: owned, or NULL. */
static char *record_of(int pid)
{
	static const char name[] = "drover-keeper";
	cleanup_free char *folder = xasprintf("/proc/%d", pid), *path = path_join(folder, "cmdline");
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[4608];
	struct stat st;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n <= (ssize_t)sizeof(name) || memcmp(text, name, sizeof(name)) != 0)
		return NULL;
	text[n] = 0;
	return stat(folder, &st) == 0 && st.st_uid == geteuid() ? xstrdup(text + sizeof(name)) : NULL;
}

/* 0 when it is gone. */
static int parent_of(int pid)
{
	cleanup_free char *path = xasprintf("/proc/%d/stat", pid);
	cleanup_buf struct buf text = BUF_INIT;
	const char *p = file_read(path, 4096, &text, NULL) == 0 ? strrchr(text.data, ')') : NULL;
	int parent;

	return p && sscanf(p + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

/* A record's keeper, or its child that is just about to become the task and still looks like it. */
static bool is_known(const char *record, int pid)
{
	return keeper_is(record, pid) || keeper_is(record, parent_of(pid));
}

/* SIGKILL to the sessions of its children; it cleans up after them and ends by itself. One without a task ends now. */
static void end(int pid)
{
	cleanup_free char *path = xasprintf("/proc/%d/task/%d/children", pid, pid);
	cleanup_fclose FILE *f = fopen(path, "re");
	bool any = false;
	int child;

	while (f && fscanf(f, "%d", &child) == 1 && child > 1) {
		any = true;
		kill(-child, SIGKILL);
		kill(child, SIGKILL);
	}
	if (!any)
		kill(pid, SIGKILL);
}

static unsigned end_keepers(const char *records, const char *record)
{
	cleanup_free char *below = xasprintf("%s/", records ? records : "");
	unsigned n = 0;
	DIR *d = opendir("/proc");

	for (struct dirent *de = d ? readdir(d) : NULL; de; de = readdir(d)) {
		int pid = isdigit((unsigned char)de->d_name[0]) ? atoi(de->d_name) : 0;
		cleanup_free char *named = pid > 1 ? record_of(pid) : NULL;

		if (!named || (record ? !str_eq(named, record) : !str_starts(named, below)) || is_known(named, pid))
			continue;
		log_warn("client", "keeper %d holds a task that no record knows any more (%s): ending it", pid, named);
		end(pid);
		n++;
	}
	if (d)
		closedir(d);
	return n;
}

void stray_end(const char *record)
{
	end_keepers(NULL, record);
}

unsigned stray_end_all(const char *records)
{
	return end_keepers(records, NULL);
}
