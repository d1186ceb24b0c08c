package realtime

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

func element(t testing.TB, id string, members ...string) *domain.Element {
	t.Helper()
	e, err := domain.ParseElement([]byte(fmt.Sprintf(`{"id":%q,"type":"shape"%s}`, id, strings.Join(append([]string{""}, members...), ","))))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func patch(id, key, value string) domain.Command {
	return domain.PatchElement{ID: id, Set: events.Members{{Key: key, Value: []byte(value)}}}
}

// eventually waits for a fact of the server that no message tells of.
func (w *world) eventually(what string, f func() bool) {
	w.t.Helper()
	end := time.Now().Add(patience)
	for !f() {
		if time.Now().After(end) {
			w.t.Fatalf("never came true: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func testCounter(t testing.TB, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			n := 0.0
			for _, m := range f.GetMetric() {
				n += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
			return n
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// A client that doesn't read loses its socket and nothing else; it resumes where it was, and nobody else noticed.
func TestASlowClientIsClosedAndResumes(t *testing.T) {
	w := newWorld(t, limits(func(l *Limits) { l.RatesOff = true; l.CloseLinger = patience }))
	room := w.room(domain.Public)
	fast := w.enter(room, "fast", "f")
	slow := w.dial(room, nil)
	slow.hello("slow", "s") // and reads nothing
	w.eventually("slow is in the room", func() bool { return w.hub.Online(room) == 2 })
	big := strings.Repeat("b", 30<<10)
	for i := 0; testCounter(t, w.reg, "kanvas_realtime_slow_closes_total") == 0; i++ {
		if i > 2000 {
			t.Fatal("60 MB and the slow client is still open")
		}
		fast.acked("element.add", fmt.Sprintf(`{"element":{"id":"e%d","type":"text","text":%q}}`, i, big))
	}
	go slow.read()
	code, last := slow.closed()
	if code != 4508 || last.str("code") == "" || slow.revision == 0 || slow.revision >= fast.revision {
		t.Fatalf("%d %v at %d of %d", code, last, slow.revision, fast.revision)
	}
	again := w.dial(room, nil)
	again.revision = slow.revision
	again.hello("slow", "s", slow.revision)
	go again.read()
	again.ready()
	again.until(fast.revision)
	fast.add("still-here")
	again.until(fast.revision)
}

// A list of more than a queue holds is one commit with its ack behind it: whoever reads is not slow.
func TestALargePasteIsAckedOnItsOwnSocket(t *testing.T) {
	w := newWorld(t, limits(func(l *Limits) { l.RatesOff = true }))
	room := w.room(domain.Public)
	a, b := w.enter(room, "alice", "a"), w.enter(room, "bob", "b")
	for seq := 1; seq <= 5; seq++ {
		list := make([]string, 400)
		for i := range list {
			list[i] = fmt.Sprintf(`{"command":"element.add","data":{"element":{"id":"e%d-%d","type":"note","text":"%01500d"}}}`, seq, i, i)
		}
		b.send(`{"type":"command","seq":%d,"command":"chat.post","data":{"text":"meanwhile"}}`, seq)
		a.send(`{"type":"commands","seq":%d,"commands":[%s]}`, seq, strings.Join(list, ","))
		if m := a.waitType("ack"); m.num("seq") != uint64(seq) {
			t.Fatalf("%v", m)
		}
		b.until(a.revision)
	}
}

// While a large snapshot is on its way at the client's pace the room moves on, by far more than a queue holds: no hole, nothing twice.
func TestCommitsDuringASlowSnapshotAreCaughtUp(t *testing.T) {
	w := newWorld(t, limits(func(l *Limits) { l.RatesOff = true; l.RingBytes = 100 << 10 }))
	room := w.room(domain.Public)
	big := strings.Repeat("b", 60<<10)
	for i := range 300 {
		w.do(room, "owner", domain.AddElement{Element: element(t, fmt.Sprint("e", i), fmt.Sprintf(`"text":%q`, big))})
	}
	slow := w.dial(room, nil)
	slow.hello("slow", "s")
	w.eventually("slow is in the room", func() bool { return w.hub.Online(room) == 1 })
	var last uint64
	for i := range 20 {
		last = w.do(room, "owner", patch(fmt.Sprint("e", i), "text", fmt.Sprintf("%q", big+"!"))).Last
	}
	go slow.read()
	parts, elements := 0, 0
	slow.wait("the last part", func(m msg) bool {
		if m.str("type") != "snapshot" {
			return false
		}
		parts++
		elements += len(m["elements"].([]any))
		return m["more"] == nil
	})
	if parts < 15 || elements != 300 {
		t.Fatalf("%d parts, %d elements", parts, elements)
	}
	slow.until(last)
}
