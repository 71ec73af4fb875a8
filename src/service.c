#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "service.h"
#include "xalloc.h"

static void
close_store(struct service *service)
{
	store_close(service->store);
	service->store = NULL;
}

int
service_begin(struct service *service, struct store **out, struct error *err)
{
	if (service->store != NULL && store_is_replaced(service->store))
		close_store(service);
	if (service->store == NULL && store_open(&service->opts->store,
	    STORE_READ, &service->store, err) == -1)
		return -1;
	if (store_begin(service->store, err) == -1) {
		close_store(service);
		return -1;
	}
	store_view(service->store, 0);
	*out = service->store;
	return 0;
}

void
service_end(struct service *service, bool failed)
{
	struct error err;

	if (service->store == NULL)
		return;
	if (!failed && store_end(service->store, &err) == -1) {
		log_warn("%s", err.text);
		failed = true;
	}
	if (failed)
		close_store(service);
}

struct kept *
service_kept(struct service *service, const char *collection)
{
	struct kept_list *list;
	int		  i;

	for (i = 0; i < MAX_KEPT_LISTS; i++) {
		list = &service->lists[i];
		if (list->collection == NULL)
			list->collection = xstrdup(collection);
		if (strcmp(list->collection, collection) == 0)
			return &list->kept;
	}
	return NULL;
}

void
service_clear(struct service *service)
{
	int i;

	close_store(service);
	for (i = 0; i < MAX_KEPT_LISTS; i++) {
		kept_clear(&service->lists[i].kept);
		free(service->lists[i].collection);
		service->lists[i].collection = NULL;
	}
}
