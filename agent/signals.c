#include "agent/signals.h"

#include <errno.h>
#include <signal.h>
#include <strings.h>

#define SIGNALS(S)                                                                                                     \
	S(ABRT) S(ALRM) S(BUS) S(CHLD) S(CONT) S(FPE) S(HUP) S(ILL) S(INT) S(IO) S(IOT) S(KILL) S(PIPE) S(PROF) S(QUIT)  \
	S(SEGV) S(STOP) S(SYS) S(TERM) S(TRAP) S(TSTP) S(TTIN) S(TTOU) S(URG) S(USR1) S(USR2) S(WINCH) S(XCPU) S(XFSZ)

#define NAME(s)   ",SIG" #s
#define NUMBER(s) { "SIG" #s, SIG##s },
static const char names[] = SIGNALS(NAME);
static const struct {
	const char *name;
	int number;
} signals[] = { SIGNALS(NUMBER) };

const char *signal_names(void)
{
	return names + 1;
}

const char *signal_name(int signal)
{
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		if (signals[i].number == signal)
			return signals[i].name;
	return NULL;
}

int signal_parse(const char *word, int *out, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		if (strcasecmp(word, signals[i].name) && strcasecmp(word, signals[i].name + 3))
			continue;
		*out = signals[i].number;
		return 0;
	}
	char *end;
	long n = strtol(word, &end, 10);

	if (*word && !*end && n > 0 && n < NSIG) {
		*out = (int)n;
		return 0;
	}
	return err_set(e, -EINVAL, "\"%.32s\" is not a signal; expected one of %s", word, signal_names());
}
