// The blocking interface under its well-known names: jsp.h, what programs for it expect to come along, and aliases.

#ifndef JETSTREAM_PROTO_H
#define JETSTREAM_PROTO_H

#include <string.h>

#include "jsp.h"

#define JSP_ERROR_SUCCESS JSP_ERROR_OK
#define jsp_error_message jsp_error_string

#endif // JETSTREAM_PROTO_H
