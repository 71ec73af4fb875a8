#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "metrics.h"
#include "number.h"
#include "xalloc.h"

#define LAST_VERSION "nompd_last_version"
#define LAST_SUCCESS "nompd_last_success_timestamp_seconds"

/* Seconds since 1970 in a year of four digits. */
#define MAX_SECONDS 253402300799

void
metrics_head(struct buf *out, const char *name, const char *unit,
    const char *help)
{
	buf_print(out, "# TYPE %s gauge\n", name);
	if (unit != NULL)
		buf_print(out, "# UNIT %s %s\n", name, unit);
	buf_print(out, "# HELP %s %s\n", name, help);
}

/* What stands before a sample's value; the caller frees it. */
static char *
sample_of(const char *name, const char *labels)
{
	if (labels == NULL)
		return xasprintf("%s ", name);
	return xasprintf("%s{%s} ", name, labels);
}

void
metrics_number(struct buf *out, const char *name, const char *labels,
    int64_t value)
{
	char *sample = sample_of(name, labels);

	buf_print(out, "%s%" PRId64 "\n", sample, value);
	free(sample);
}

void
metrics_seconds(struct buf *out, const char *name, const char *labels,
    int64_t ms)
{
	char *sample = sample_of(name, labels);

	buf_print(out, "%s%.3f\n", sample, (double)ms / 1000);
	free(sample);
}

void
metrics_escape(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\n') {
			buf_append(out, "\\n", 2);
			continue;
		}
		if (*text == '\\' || *text == '"')
			buf_append_byte(out, '\\');
		buf_append_byte(out, (uint8_t)*text);
	}
}

void
metrics_end(struct buf *out)
{
	buf_print(out, "# EOF\n");
}

void
metrics_last_put(struct buf *out, const char *labels,
    const struct metrics_last *last)
{
	metrics_head(out, LAST_VERSION, NULL,
	    "The version of the last finished run; 0: none yet.");
	metrics_number(out, LAST_VERSION, labels, last->version);
	if (last->at_ms == 0)
		return;
	metrics_head(out, LAST_SUCCESS, "seconds",
	    "When the last finished run that fetched was published (UTC).");
	metrics_seconds(out, LAST_SUCCESS, labels, last->at_ms);
}

/* The value of a sample, or NULL; whole lines only. */
static const char *
find_value(const char *text, const char *name, const char *labels)
{
	char	   *sample = sample_of(name, labels);
	const char *line, *value = NULL;

	for (line = text; value == NULL && line[0] != '\0';
	    line += strcspn(line, "\n"), line += line[0] != '\0') {
		if (strncmp(line, sample, strlen(sample)) == 0)
			value = line + strlen(sample);
	}
	free(sample);
	return value;
}

bool
metrics_last_find(const char *text, const char *labels,
    struct metrics_last *last)
{
	const char *value, *point;
	uint64_t    version, seconds, ms;

	value = find_value(text, LAST_VERSION, labels);
	if (value == NULL || !number_read(&value, INT64_MAX, &version) ||
	    *value != '\n')
		return false;
	*last = (struct metrics_last){ .version = (int64_t)version };
	value = find_value(text, LAST_SUCCESS, labels);
	if (value == NULL || !number_read(&value, MAX_SECONDS, &seconds) ||
	    *value != '.')
		return value == NULL && version == 0;
	point = value++;
	if (!number_read(&value, 999, &ms) || value != point + 4 ||
	    *value != '\n')
		return false;
	last->at_ms = (int64_t)(seconds * 1000 + ms);
	return true;
}
