/* What an OperationOutcome (FHIR R4, 2.33) says, in one line for people. */
#ifndef NOMPD_OUTCOME_H
#define NOMPD_OUTCOME_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of outcome text, its NUL included; longer ones are cut. */
#define MAX_OUTCOME_TEXT 2048

/*
 * The issues of an OperationOutcome, as in "error/security: text; ...".  Empty
 * when it has none.
 */
void outcome_describe(const bson_t *outcome, char text[MAX_OUTCOME_TEXT]);

/* Has it an issue of severity error or fatal? */
bool outcome_is_error(const bson_t *outcome);

/*
 * As outcome_describe(), of a response body that may be anything; text is empty
 * when it is no OperationOutcome.
 */
void outcome_describe_body(const uint8_t *body, size_t len,
    char text[MAX_OUTCOME_TEXT]);

enum outcome_kind {
	OUTCOME_NONE,	 /* no OperationOutcome */
	OUTCOME_PASSING, /* all that failed may go well another time */
	OUTCOME_FINAL,
};
/*
 * What the body says about asking again: passing when it has issues of severity
 * error or fatal and each has a code of the transient family (FHIR R4, value
 * set issue-type).
 */
enum outcome_kind outcome_judge_body(const uint8_t *body, size_t len);

#endif
