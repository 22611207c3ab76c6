#include "kit.h"

#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Compares the numbers at *a and *b and moves both behind them: without leading zeros the longer one is larger. */
static int compare_numbers(const char **a, const char **b)
{
	size_t n = 0, m = 0;

	while (**a == '0' && is_digit((*a)[1]))
		++*a;
	while (**b == '0' && is_digit((*b)[1]))
		++*b;
	while (is_digit((*a)[n]))
		n++;
	while (is_digit((*b)[m]))
		m++;
	int order = n != m ? (n > m) - (n < m) : strncmp(*a, *b, n);

	*a += n;
	*b += m;
	return order;
}

int natural_compare(const char *a, const char *b)
{
	while (*a && *b) {
		if (is_digit(*a) && is_digit(*b)) {
			int order = compare_numbers(&a, &b);

			if (order)
				return order;
		} else if (*a != *b) {
			break;
		} else {
			a++;
			b++;
		}
	}
	return (unsigned char)*a - (unsigned char)*b;
}
