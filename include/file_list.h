/*
 * An upstream that is a folder: the same chains of pages as over HTTP, read
 * from files.  For examples, replays and smoke runs.
 */
#ifndef NOMPD_FILE_LIST_H
#define NOMPD_FILE_LIST_H

#include "error.h"
#include "http.h"

/*
 * Carries out all chains, one after the other.  A URL's file is its path as it
 * is, else with ".json", else with ".ndjson"; it must lie inside the folder
 * that base names, links resolved.  -1: STATUS_UNAVAILABLE when a file cannot
 * be read, STATUS_PROTOCOL when one lies outside, or what the sink said.
 */
int file_list_run(const char *base, const struct http_request *requests,
    size_t count, struct error *err);

#endif
