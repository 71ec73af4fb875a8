#include "log.h"
#include "service.h"

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

void
service_clear(struct service *service)
{
	int i;

	close_store(service);
	for (i = 0; i < COLLECTION__MAX; i++)
		kept_clear(&service->kept[i]);
}
