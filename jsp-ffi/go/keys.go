package jetstream

/*
#include "shim.h"
*/
import "C"

import (
	"crypto/rand"
	"unsafe"
)

// SeedLen is the number of bytes of a Seed.
const SeedLen = C.JSP_SEED_LEN

// A Seed is what a secret key is made of. Keep it as you keep a secret key.
type Seed [SeedLen]byte

// GenerateSeed makes a new seed out of the operating system's randomness.
func GenerateSeed() (Seed, error) {
	var seed Seed
	_, err := rand.Read(seed[:])
	return seed, err
}

// PublicKey is the public key that belongs to a seed.
func PublicKey(seed Seed) []byte {
	key := make([]byte, publicKeyLen)
	C.jsp_public_key(first(seed[:]), first(key))
	return key
}

// KeyID is the id of the public key that belongs to a seed, such as clients pin it.
func KeyID(seed Seed) string {
	id, err := PublicKeyID(PublicKey(seed))
	if err != nil {
		// The library does not know a key that it has just made: it is not the library of this package.
		panic(err)
	}
	return id
}

// PublicKeyID is the id of a public key.
func PublicKeyID(key []byte) (string, error) {
	var id [C.JSP_KEY_ID_TEXT]C.char
	if err := errorOf(C.jsp_key_id(first(key), C.size_t(len(key)), &id[0])); err != nil {
		return "", err
	}
	return C.GoString(&id[0]), nil
}

// checkKeyID says whether a text is a key id.
func checkKeyID(id string) error {
	text := append([]byte(id), 0)
	return errorOf(C.jsp_key_id_check((*C.char)(unsafe.Pointer(unsafe.SliceData(text)))))
}
