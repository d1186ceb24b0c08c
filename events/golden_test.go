package events

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

var update = flag.Bool("update", false, "write golden files that are missing; never changes one that is there")

// TestGolden holds the log's promise that everything ever written can be read: the files are frozen.
func TestGolden(t *testing.T) {
	for _, v := range allVersions() {
		t.Run(filepath.Base(v.file()), func(t *testing.T) {
			sample := sampleCommit(t, v)
			encoded := mustEncode(t, sample)
			if *update {
				createMissing(t, v.file(), encoded)
			}
			golden, err := os.ReadFile(v.file())
			if err != nil {
				t.Fatalf("every version needs a golden file (go test -update makes missing ones): %v", err)
			}
			if string(encoded) != string(golden) {
				t.Errorf("encoding has changed:\n%s\nwas\n%s", encoded, golden)
			}
			c := mustDecode(t, golden)
			checkGoldenEvents(t, v, sample, c)
			if v.V < CurrentVersion(v.Type) {
				for i := range c.Events {
					c.Events[i].Payload = nil // else it would be written in the current version
				}
			}
			if again := mustEncode(t, c); string(again) != string(golden) {
				t.Errorf("decoded and encoded again:\n%s\nwas\n%s", again, golden)
			}
		})
	}
}

func createMissing(t *testing.T, name string, content []byte) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func checkGoldenEvents(t *testing.T, v versioned, sample, c *Commit) {
	t.Helper()
	if len(c.Events) != len(sample.Events) {
		t.Fatalf("%d events, not %d", len(c.Events), len(sample.Events))
	}
	for i, e := range c.Events {
		want := sample.Events[i].Payload
		if old, ok := sampleOld[v]; ok {
			want = old[i].now
		}
		if !reflect.DeepEqual(e.Payload, want) {
			t.Errorf("event %d: payload %+v, not %+v", i, e.Payload, want)
		}
		if e.Type != v.Type || e.V != v.V {
			t.Errorf("event %d: %s version %d, not %s version %d", i, e.Type, e.V, v.Type, v.V)
		}
	}
}

// TestGoldenFilesAreKnown fails for a file whose type or version has left the registry.
func TestGoldenFilesAreKnown(t *testing.T) {
	known := map[string]bool{}
	for _, v := range allVersions() {
		known[filepath.Clean(v.file())] = true
	}
	files, err := filepath.Glob("testdata/golden/*")
	if err != nil || len(files) < len(known) {
		t.Fatalf("%d golden files for %d versions: %v", len(files), len(known), err)
	}
	for _, f := range files {
		if !known[filepath.Clean(f)] {
			t.Errorf("%s: nothing in the registry reads it any more", f)
		}
	}
}

// TestTampering flips every byte of a commit in several ways, and cuts and grows it: none of that is ever accepted.
func TestTampering(t *testing.T) {
	for _, v := range []versioned{{ElementPatched, 1}, {ElementRemoved, 1}, {RoomCreated, 1}} {
		golden, err := os.ReadFile(v.file())
		if err != nil {
			t.Fatal(err)
		}
		for i := range golden {
			for _, flip := range []byte{0x01, 0x20, 0x80, 0xff, '"' ^ golden[i]} {
				if flip == 0 {
					continue
				}
				bad := append([]byte(nil), golden...)
				bad[i] ^= flip
				refuse(t, bad, "byte %d of %s is %q", i, v.file(), bad[i])
			}
			refuse(t, golden[:i], "%s cut at %d", v.file(), i)
			refuse(t, golden[i+1:], "%s without its first %d bytes", v.file(), i+1)
		}
		refuse(t, append(golden[:len(golden):len(golden)], '\n'), "newline after %s", v.file())
	}
}

func refuse(t *testing.T, payload []byte, format string, args ...any) {
	t.Helper()
	c, err := Decode(payload)
	if err == nil || c != nil {
		t.Errorf("accepted: "+format, args...)
	}
	if !errors.Is(err, ErrSum) && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrVersion) {
		t.Errorf("error %v", err)
	}
	if VerifySum(payload) == nil {
		t.Errorf("sum verified: "+format, args...)
	}
	if _, err := DecodeRaw(payload); err == nil {
		t.Errorf("accepted raw: "+format, args...)
	}
	if _, _, _, err := DecodeDone(payload); err == nil {
		t.Errorf("accepted by DecodeDone: "+format, args...)
	}
}
