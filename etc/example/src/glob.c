#include "kit.h"

/* Whether c is in the set that begins after '['; *end is set behind its ']'. A set without ']' holds nothing. */
static bool in_set(const char *set, char c, const char **end)
{
	bool negated = *set == '!', found = false;
	const char *p = set + negated, *first = p;

	for (; *p && (*p != ']' || p == first); p++) {
		char low = *p, high = low;

		if (p[1] == '-' && p[2] && p[2] != ']') {
			high = p[2];
			p += 2;
		}
		found = found || (low <= c && c <= high);
	}
	*end = *p ? p + 1 : p;
	return *p && found != negated;
}

/* Whether one element of the pattern, no '*', takes c; *next is set behind the element. */
static bool takes(const char *pattern, char c, const char **next)
{
	if (*pattern == '[')
		return in_set(pattern + 1, c, next);
	if (*pattern == '\\' && pattern[1]) {
		*next = pattern + 2;
		return pattern[1] == c;
	}
	*next = pattern + 1;
	return *pattern == '?' || *pattern == c;
}

bool glob_match(const char *pattern, const char *text)
{
	const char *star = NULL, *resume = NULL, *next;

	while (*text) {
		if (*pattern == '*') {
			star = ++pattern;
			resume = text;
		} else if (*pattern && takes(pattern, *text, &next)) {
			pattern = next;
			text++;
		} else if (star) { /* the last star takes one character more */
			pattern = star;
			text = ++resume;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}
