#include "check.h"

int main(void)
{
	/* Each is lower than the next: the examples of semver.org, item 11, and numbers of several digits. */
	static const char *const rising[] = {"0.9.10", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta",
	    "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.2.0", "1.10.0", "2.0.0", "2.1.0", "2.1.1"};
	const int n = sizeof(rising) / sizeof(*rising);

	for (int i = 0; i < n; i++) {
		for (int j = 0; j < n; j++) {
			int order = version_compare(rising[i], rising[j]);

			CHECK((order > 0) - (order < 0) == (i > j) - (i < j));
		}
	}
	CHECK(version_compare("1.0.0+build.1", "1.0.0+build.2") == 0);
	CHECK(version_compare("1.0.0-a+x", "1.0.0-a") == 0);
	CHECK(version_compare("1.0.0+x", "1.0.0-a") > 0);
	return check_result();
}
