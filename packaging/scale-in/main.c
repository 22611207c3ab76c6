/* main: flags, the help, and the loop that takes one turn after the other until it is asked to stop. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "packaging/scale-in/turn.h"

#define CONFIG "/etc/drover-scale-in.conf" /* not in /etc/drover, where the agent reads every .conf */

static const char help_head[] =
    "NAME\n"
    "       drover-scale-in - lets a machine go when its drover node is empty\n\n"
    "SYNOPSIS\n"
    "       drover-scale-in [-config FILE] [-check]\n"
    "       drover-scale-in -sample | -help | -man | -version\n\n"
    "DESCRIPTION\n"
    "       Runs beside the drover agent of a machine that something else may take away: an AWS auto scaling group, the spot\n"
    "       market, or a fleet manager of your own. When the machine is wanted it drains the node through the agent's API, asks\n"
    "       for more time as long as work runs, and says that the machine may go when the drain is done: every process gone.\n"
    "       When the machine is to stay after all, the drain is taken back.\n\n"
    "       What it does is kept in a state file: after a restart it goes on where it was.\n\n"
    "       A drain that somebody else cancels stays cancelled: the machine is held by heartbeats until somebody drains the node\n"
    "       again. A drain that somebody else set is never taken back.\n\n"
    "OPTIONS\n"
    "       -config FILE   configuration; default " CONFIG "\n"
    "       -check         read the configuration, say whether it is right, and exit\n"
    "       -sample        print a configuration with every option\n"
    "       -help          print this\n"
    "       -man           print it as a man page\n"
    "       -version       print the version\n\n"
    "CONFIGURATION\n"
    "       Options of a block are written in it: aws.hook is aws { hook = \"...\" }.\n\n";
static const char help_tail[] =
    "\nSIGNALS\n"
    "       SIGTERM, SIGINT   stop after what is being asked has been answered. The drain goes on; heartbeats do not.\n\n"
    "EXIT STATUS\n"
    "       0   stopped by a signal, or -check found nothing\n"
    "       1   the configuration or the state file cannot be used\n"
    "       2   a flag is not known\n\n"
    "SEE ALSO\n"
    "       drover(1), drover.conf(5)\n";

static int put_sample(void)
{
	cleanup_buf struct buf b = BUF_INIT;

	settings_put_sample(&b);
	fputs(b.data, stdout);
	return 0;
}

static void put_help(struct buf *out)
{
	buf_puts(out, help_head);
	settings_put_manual(out);
	buf_puts(out, help_tail);
}

static int help(void)
{
	cleanup_buf struct buf b = BUF_INIT;

	put_help(&b);
	fputs(b.data, stdout);
	return 0;
}

/* The help as a man page: what is not indented is the title of a section, the rest is shown as it is. */
static int man(void)
{
	cleanup_buf struct buf b = BUF_INIT;

	put_help(&b);
	puts(".TH DROVER-SCALE-IN 8 \"\" \"drover " DROVER_VERSION "\"\n.nh\n.ad l\n.nf");
	for (char *line = b.data, *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = 0;
		if (*line && *line != ' ') {
			printf(".fi\n.SH %s\n.nf\n", line);
			continue;
		}
		fputs(str_starts(line, "       ") ? "\\&" : "", stdout);
		for (const char *p = line + (str_starts(line, "       ") ? 7 : 0); *p; p++)
			printf(*p == '\\' || *p == '-' ? "\\%c" : "%c", *p);
		putchar('\n');
	}
	return 0;
}

/* The two signals are blocked and taken while it waits, so that no turn is cut in half. */
static int run(const struct settings *s)
{
	cleanup_err struct err e = ERR_INIT;
	struct turns *t = NULL;
	sigset_t stop;
	int sig = -1;

	log_set_level(s->log_level);
	log_set_json(s->log_json);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	if (turns_new(s, &t, &e) < 0) {
		log_error("scale-in", "%s", err_str(&e));
		return 1;
	}
	while (sig < 0) {
		int64_t wait = turns_take(t);
		const struct timespec ts = {wait / SECOND, wait % SECOND};

		sig = sigtimedwait(&stop, NULL, &ts);
	}
	log_info("scale-in", "stopping on %s", sig == SIGTERM ? "SIGTERM" : "SIGINT");
	turns_free(t);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option flags[] = {{"config", required_argument, NULL, 'c'}, {"check", no_argument, NULL, 'k'},
	    {"sample", no_argument, NULL, 's'}, {"help", no_argument, NULL, 'h'},
	    {"man", no_argument, NULL, 'm'}, {"version", no_argument, NULL, 'v'}, {0}};
	cleanup_err struct err e = ERR_INIT;
	const char *config = CONFIG;
	bool check = false;
	int flag;

	while ((flag = getopt_long_only(argc, argv, "", flags, NULL)) != -1) {
		switch (flag) {
		case 'c':
			config = optarg;
			break;
		case 'k':
			check = true;
			break;
		case 's':
			return put_sample();
		case 'h':
			return help();
		case 'm':
			return man();
		case 'v':
			puts("drover-scale-in " DROVER_VERSION);
			return 0;
		default:
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "drover-scale-in: unexpected \"%s\"; see drover-scale-in -help\n", argv[optind]);
		return 2;
	}
	struct settings *s = settings_new();
	int rc = settings_read(s, config, &e);

	if (rc < 0)
		fprintf(stderr, "drover-scale-in: %s\n", err_str(&e));
	else if (check)
		printf("%s is right\n", config);
	rc = rc < 0 ? 1 : check ? 0 : run(s);
	settings_free(s);
	return rc;
}
