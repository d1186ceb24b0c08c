package domain

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/infinite-kanvas/kanvas/events"
)

// drawing is a room with n elements of about 300 bytes.
func drawing(t testing.TB, n int) *world {
	w := studio(t)
	rng := rand.New(rand.NewSource(1))
	for i := range n {
		fillRoom(w, "ann", []Command{AddElement{Element: element(t, `{"id":"element-%05d","type":"image","src":"asset:0190f5d4-7c1e-7000-8000-00000000%04d","x":%f,"y":%f,"width":640,"height":480,`+
			`"rotation":0,"cropX":0,"cropY":0,"cropWidth":1,"cropHeight":1,"isGenerated":true,"parentGroupId":"group-%04d"}`,
			i, i%9999, rng.Float64()*1e4, rng.Float64()*1e4, i%77)}})
	}
	return w
}

func BenchmarkPatch(b *testing.B) {
	w := drawing(b, 2_000)
	b.Logf("elements of %d bytes", w.room.ElementBytes()/w.room.ElementCount())
	for _, journal := range []bool{false, true} {
		b.Run(fmt.Sprint("journal=", journal), func(b *testing.B) {
			b.ReportAllocs()
			cs := make([]Command, 256)
			for i := range cs {
				cs[i] = PatchElement{ID: fmt.Sprintf("element-%05d", i*7), Set: events.Members{{Key: "x", Value: fmt.Appendf(nil, "%d.5", i)}, {Key: "y", Value: fmt.Appendf(nil, "%d.25", i)}}}
			}
			for i := 0; b.Loop(); i++ {
				c := cs[i%256].(PatchElement)
				c.Set = slices.Clone(c.Set)
				c.Set[0].Value = fmt.Appendf(nil, "%d.5", i)
				if journal && i%64 == 0 {
					w.room.Release()
					w.room.Mark()
				}
				d, err := Decide(w.room, Actor{"ann"}, c, 1)
				if err != nil || len(d.Events) != 1 {
					b.Fatal(err, d)
				}
				if err := w.room.Evolve(&d.Events[0], w.room.Revision()+1, 1); err != nil {
					b.Fatal(err)
				}
			}
			w.room.Release()
		})
	}
}

func BenchmarkAddTo20000(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		drawing(b, MaxElements)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*MaxElements), "ns/element")
}

func BenchmarkSnapshot(b *testing.B) {
	w := drawing(b, 2_000)
	snapshot := w.room.EncodeSnapshot()
	b.Run("encode", func(b *testing.B) {
		b.SetBytes(int64(len(snapshot)))
		for b.Loop() {
			w.room.EncodeSnapshot()
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(snapshot)))
		for b.Loop() {
			if _, err := DecodeSnapshot(snapshot); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("clone", func(b *testing.B) {
		for b.Loop() {
			w.room.Clone()
		}
	})
}

func BenchmarkParseOfPatch(b *testing.B) {
	data := json.RawMessage(`{"id":"element-00007","set":{"x":123.5,"y":77.25}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseCommand("element.patch", data); err != nil {
			b.Fatal(err)
		}
	}
}
