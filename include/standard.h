/* Standard input, output and error. */
#ifndef NOMPD_STANDARD_H
#define NOMPD_STANDARD_H

/*
 * Opens those of the three that whoever started the program has closed, on
 * nothing, so that no file opened later gets their numbers and what is printed.
 * To print there fails as before.
 */
void standard_open(void);

#endif
