package jetstream_test

import (
	"testing"

	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/jetstream/logtest"
)

// What one node tells on a topic, all of them hear, and nobody on another topic.
func TestATopicReachesAllNodes(t *testing.T) {
	port := freePort(t)
	startNATS(t, t.TempDir(), port, 16<<20)
	heard := make(chan string, 16)
	var tells []func([]byte) error
	for _, name := range []string{"a", "b"} {
		s := open(t, jetstream.Config{URL: "nats://127.0.0.1:" + port, Logger: quiet()})
		tell, err := s.OpenTopic("test", func(b []byte) { heard <- name + string(b) })
		if err != nil {
			t.Fatal(err)
		}
		tells = append(tells, tell)
		if _, err := s.OpenTopic("another", func(b []byte) { t.Errorf("another topic hears %q", b) }); err != nil {
			t.Fatal(err)
		}
	}
	ctx := logtest.Context(t)
	got := map[string]bool{}
	for i := 0; len(got) < 4; i++ { // a subscription may take a moment to be known
		for n, tell := range tells {
			if err := tell([]byte{byte('1' + n)}); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			select {
			case m := <-heard:
				got[m] = true
			case <-ctx.Done():
				t.Fatalf("heard %v", got)
			}
		}
	}
	for _, want := range []string{"a1", "a2", "b1", "b2"} {
		if !got[want] {
			t.Errorf("%s was not heard", want)
		}
	}
}
