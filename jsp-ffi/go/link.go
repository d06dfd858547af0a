package jetstream

// The order of the search path is: what CGO_LDFLAGS names, then the builds of the repository that holds this package.

/*
#cgo CFLAGS: -I${SRCDIR}/../include
#cgo LDFLAGS: -L${SRCDIR}/../../target/release -L${SRCDIR}/../../target/debug
#cgo linux LDFLAGS: -l:libjsp.a -lpthread -ldl -lm
#cgo darwin LDFLAGS: -ljsp
#cgo windows LDFLAGS: -ljsp
#cgo !linux,!darwin,!windows LDFLAGS: -ljsp -lpthread -lm
*/
import "C"
