package jetstream_test

import (
	"slices"
	"testing"

	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/jetstream/logtest"
)

// Nodes on one external server hear each other, and agree on who is first.
func TestPeersHearEachOther(t *testing.T) {
	port := freePort(t)
	startNATS(t, t.TempDir(), port, 16<<20)
	var peers []*jetstream.Peers
	for range 3 {
		p, err := open(t, jetstream.Config{URL: "nats://127.0.0.1:" + port, Logger: quiet()}).OpenPeers("test")
		if err != nil {
			t.Fatal(err)
		}
		peers = append(peers, p)
	}
	other, err := open(t, jetstream.Config{URL: "nats://127.0.0.1:" + port, Logger: quiet()}).OpenPeers("another")
	if err != nil {
		t.Fatal(err)
	}
	ctx := logtest.Context(t)
	for {
		firsts, whole := 0, true
		for i, p := range peers {
			said, first, err := p.Exchange([]byte{byte('a' + i)})
			if err != nil {
				t.Fatal(err)
			}
			var all []string
			for _, b := range said {
				all = append(all, string(b))
			}
			slices.Sort(all)
			whole = whole && slices.Equal(all, slices.DeleteFunc([]string{"a", "b", "c"}, func(s string) bool { return s[0] == byte('a'+i) }))
			if first {
				firsts++
			}
		}
		if _, _, err := other.Exchange([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if whole && firsts == 1 {
			break
		}
		if ctx.Err() != nil {
			t.Fatal("they do not hear each other")
		}
	}
	if said, first, err := other.Exchange(nil); err != nil || len(said) != 0 || !first {
		t.Errorf("alone on its topic: %q %v %v", said, first, err)
	}
}
