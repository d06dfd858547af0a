package jetstream

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

// A vector is a case of the known answers in conformance/vectors, with the values that this package can check.
type vector struct {
	Name, Kind string
	Inputs     struct {
		Seed       digits
		Text       string
		ServerSeed digits `json:"server_static_seed"`
		Datagrams  []digits
	}
	Expected struct {
		PublicKey digits `json:"public_key"`
		Text      string
		Dropped   map[string]uint64
	}
}

// digits are bytes in hex.
type digits []byte

func (d *digits) UnmarshalText(text []byte) (err error) {
	*d, err = hex.DecodeString(string(text))
	return err
}

func vectors(t *testing.T, topic, kind string) []vector {
	t.Helper()
	text := must(os.ReadFile(filepath.Join("..", "..", "conformance", "vectors", topic+".json")))(t)
	var file struct{ Cases []vector }
	ok(t, json.Unmarshal(text, &file))
	var found []vector
	for _, v := range file.Cases {
		if v.Kind == kind {
			found = append(found, v)
		}
	}
	if len(found) == 0 {
		t.Fatalf("%s has no cases of the kind %s", topic, kind)
	}
	return found
}

func TestVectorsOfKeys(t *testing.T) {
	for _, v := range vectors(t, "identity", "static_key") {
		if key := PublicKey(Seed(v.Inputs.Seed)); !bytes.Equal(key, v.Expected.PublicKey) {
			t.Errorf("%s: the public key is %x", v.Name, key)
		}
		if id := KeyID(Seed(v.Inputs.Seed)); id != v.Expected.Text {
			t.Errorf("%s: the id is %s", v.Name, id)
		}
	}
	for _, v := range vectors(t, "identity", "key_id_text") {
		if err := checkKeyID(v.Inputs.Text); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
	for _, v := range vectors(t, "negative", "key_id_text") {
		is(t, checkKeyID(v.Inputs.Text), &Error{Code: CodeInvalidKeyID})
	}
}

// What nobody should send is counted and not answered, and clients that come later get in.
func TestVectorsOfDroppedDatagrams(t *testing.T) {
	for _, v := range vectors(t, "negative", "datagrams") {
		v := v
		t.Run(v.Name, func(t *testing.T) {
			// On the loopback address keys are given to everybody otherwise.
			l := listen(t, WithSeed(Seed(v.Inputs.ServerSeed)), WithHiddenKey())
			stranger := must(net.Dial("udp", l.Addr().String()))(t)
			defer stranger.Close()
			for _, datagram := range v.Inputs.Datagrams {
				must(stranger.Write(datagram))(t)
			}
			limit := time.Now().Add(patience)
			for !reflect.DeepEqual(l.Stats().Dropped, v.Expected.Dropped) {
				if time.Now().After(limit) {
					t.Fatalf("dropped are %v, not %v", l.Stats().Dropped, v.Expected.Dropped)
				}
				time.Sleep(time.Millisecond)
			}
			if sent := l.Stats().DatagramsSent; sent != 0 {
				t.Fatalf("%d answers", sent)
			}
			c := must(Dial(within(t), l.Addr().String()+"#"+l.KeyID()))(t)
			ok(t, c.Close())
		})
	}
}
