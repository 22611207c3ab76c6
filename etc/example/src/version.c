#include "kit.h"

#include <string.h>

/* Length of the identifier at s: up to a dot, '+', or the end, and in the core also up to '-'. */
static size_t identifier(const char *s, bool core)
{
	return strcspn(s, core ? ".+-" : ".+");
}

static bool is_number(const char *s, size_t n)
{
	return n && strspn(s, "0123456789") >= n;
}

/* Numbers by value, below words; words by ASCII. */
static int compare_identifiers(const char *a, size_t n, const char *b, size_t m)
{
	bool number = is_number(a, n);

	if (number != is_number(b, m))
		return number ? -1 : 1;
	if (number && n != m)
		return n < m ? -1 : 1;
	int order = strncmp(a, b, n < m ? n : m);

	return order ? order : (n > m) - (n < m);
}

/* Compares lists of identifiers; *a and *b are left where the lists end. The shorter of two lists is lower. */
static int compare_lists(const char **a, const char **b, bool core)
{
	for (;;) {
		size_t n = identifier(*a, core), m = identifier(*b, core);
		int order = compare_identifiers(*a, n, *b, m);

		*a += n;
		*b += m;
		if (order)
			return order;
		if (**a != '.' || **b != '.')
			return (**a == '.') - (**b == '.');
		++*a;
		++*b;
	}
}

int version_compare(const char *a, const char *b)
{
	int order = compare_lists(&a, &b, true);

	if (order || (*a != '-' && *b != '-'))
		return order;
	if (*a != '-' || *b != '-') /* a pre-release is lower than the release */
		return *a == '-' ? -1 : 1;
	a++;
	b++;
	return compare_lists(&a, &b, false);
}
