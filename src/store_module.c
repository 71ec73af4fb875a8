/*
 * A kind of store that needs large libraries is a module, loaded when it is
 * asked for: a CGI program that starts for each request would otherwise spend
 * most of its time loading them.
 */
#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "store_int.h"
#include "xalloc.h"

/* The folder of this program, as it was built or unpacked; NULL: not known. */
static char *
own_folder(void)
{
	char	path[PATH_MAX];
	ssize_t len;

	len = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (len <= 0)
		return NULL;
	path[len] = '\0';
	return xstrdup(dirname(path));
}

/* The path of a module: beside the program, where it was built, in the folder
 * that belongs to the program's, or in the one it was built for. */
static char *
find(const char *file)
{
	static const char *const places[] = { "", "/../lib/nompd-sync" };
	char			*folder, *path;
	size_t			 i;

	folder = own_folder();
	for (i = 0; folder != NULL && i < sizeof(places) / sizeof(places[0]);
	    i++) {
		path = xasprintf("%s%s/%s", folder, places[i], file);
		if (access(path, F_OK) == 0) {
			free(folder);
			return path;
		}
		free(path);
	}
	free(folder);
	return xasprintf("%s/%s", NOMPD_MODULE_DIR, file);
}

const void *
store_module_get(const char *file, const char *symbol, struct error *err)
{
	const void *found = NULL;
	void	   *module;
	char	   *path;

	path = find(file);
	/* libmongoc makes a file in /dev/shm as soon as it is loaded, for
	 * counters that nobody reads.  It would outlive a process that is
	 * killed, and make one with the same number complain. */
	(void)setenv("MONGOC_DISABLE_SHM", "1", 1);
	/* It stays until the process ends. */
	module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	free(path);
	if (module != NULL)
		found = dlsym(module, symbol);
	if (found == NULL)
		(void)error_set(err, STATUS_USAGE, "this kind of store needs"
		    " the module %s, which cannot be loaded (%s); install it"
		    " in " NOMPD_MODULE_DIR, file, dlerror());
	return found;
}
