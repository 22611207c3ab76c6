/* cli_follow: bytes out as they come, and a quiet end. */
#include "daemon/cli_follow.h"

#include <errno.h>
#include <signal.h>

#include "daemon/frames.h"

struct sink {
	int fd;
	struct frames frames;
	struct err *e;
};

static void on_interrupt(int sig)
{
	(void)sig;
	_exit(0);
}

/* Everything is written when it arrives, so there is nothing to lose. */
static void end_quietly(void)
{
	fflush(stdout);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, on_interrupt);
	signal(SIGTERM, on_interrupt);
}

static void on_data(void *arg, const void *data, size_t n)
{
	const struct sink *s = arg;
	const char *p = data;

	while (n) {
		ssize_t k = write(s->fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0 && errno == EPIPE)
			_exit(0);
		if (k < 0) {
			fprintf(stderr, "Error writing the output: %s\n", strerror(errno));
			_exit(1);
		}
		p += k;
		n -= (size_t)k;
	}
}

static void on_event(void *arg UNUSED, const char *event)
{
	fprintf(stderr, "[%s]\n", event);
}

static int on_piece(void *arg, const void *p, size_t n)
{
	struct sink *s = arg;

	return frames_feed(&s->frames, p, n, s->e);
}

int cli_follow(struct cli *c, const struct cli_followed *f, size_t n, struct err *e)
{
	struct cli_stream streams[2];
	struct sink sinks[2];
	int rc;

	end_quietly();
	for (size_t i = 0; i < n; i++) {
		sinks[i] = (struct sink){.fd = f[i].fd, .e = e,
		    .frames = {.on_data = on_data, .on_event = on_event, .arg = &sinks[i]}};
		streams[i] = (struct cli_stream){.path = f[i].path, .fn = on_piece, .arg = &sinks[i], .beats = f[i].beats};
	}
	rc = cli_streams(c, streams, n, e);
	for (size_t i = 0; i < n; i++)
		frames_clear(&sinks[i].frames);
	return rc;
}
