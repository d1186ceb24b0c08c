package events

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// patchCommit is n patches as a drag makes them, each about 300 bytes as stored.
func patchCommit(n int) *Commit {
	c := &Commit{First: 1000, At: sampleAt, Prev: sampleSum, Done: []Done{{User: "user_1", Client: "client-1", Seq: 77, First: 1000, Last: 1000}}}
	for i := range n {
		c.Events = append(c.Events, Event{ID: sampleID(i), Type: ElementPatched, Actor: "user_1", Client: "client-1", Seq: uint64(77 + i),
			Payload: &ElementPatchedData{ID: fmt.Sprintf("0198a5c4-element-%d", i), Set: Members{
				{"height", json.RawMessage(`240.5`)}, {"rotation", json.RawMessage(`0`)}, {"width", json.RawMessage(`320`)},
				{"x", json.RawMessage(`1043.3333333333`)}, {"y", json.RawMessage(`-77.25`)},
			}}})
	}
	return c
}

func BenchmarkCodec(b *testing.B) {
	for _, n := range []int{1, 64} {
		c := patchCommit(n)
		payload := mustEncode(b, c)
		run := func(name string, fn func() error) {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(payload)))
				for b.Loop() {
					if err := fn(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/event")
			})
		}
		run("Encode", func() error { _, err := Encode(c); return err })
		run("Decode", func() error { _, err := Decode(payload); return err })
		run("DecodeRaw", func() error { _, err := DecodeRaw(payload); return err })
		run("DecodeHeader", func() error { _, _, _, _, _, _, err := DecodeHeader(payload); return err })
		run("DecodeDone", func() error { _, _, _, err := DecodeDone(payload); return err })
		run("VerifySum", func() error { return VerifySum(payload) })
		run("CheckJSON", func() error { return CheckJSON(payload, 32) })
		run("json.Valid", func() error {
			if !json.Valid(payload) {
				return ErrFormat
			}
			return nil
		})
	}
}

func BenchmarkCheckJSONText(b *testing.B) {
	text := []byte(`"` + strings.Repeat("plain text, as chat and data URLs are ", 1000) + `"`)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if err := CheckJSON(text, 1); err != nil {
			b.Fatal(err)
		}
	}
}
