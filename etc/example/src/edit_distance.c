#include "kit.h"

#include <string.h>

int edit_distance(const char *a, const char *b)
{
	int row[256]; /* row[j]: from what was read of a to the first j bytes of b */
	size_t n = strlen(b);

	if (n > 255)
		return -1;
	for (size_t j = 0; j <= n; j++)
		row[j] = (int)j;
	for (; *a; a++) {
		int diagonal = row[0]++;

		for (size_t j = 1; j <= n; j++) {
			int best = diagonal + (*a != b[j - 1]);

			if (best > row[j] + 1)
				best = row[j] + 1;
			if (best > row[j - 1] + 1)
				best = row[j - 1] + 1;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[n];
}
