package objectstest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
)

// TestIntake holds a way of uploads against the port's promises. Where it signs nothing it must be a commands.Receiver too.
func TestIntake(t *testing.T, open func(*testing.T) (commands.Objects, commands.Intake)) {
	for name, size := range map[string]int{"in one request": 70_000, "in parts": commands.MaxSinglePut + 1234} {
		t.Run(name, func(t *testing.T) { testIntake(t, open, size) })
	}
}

// sender sends parts.
type sender struct {
	t      *testing.T
	intake commands.Intake
	s      commands.Staged
	data   []byte
}

func (x *sender) send(part int, data []byte) (etag string, ok bool) {
	x.t.Helper()
	puts, err := x.intake.Sign(x.t.Context(), x.s, time.Minute)
	if err != nil {
		x.t.Fatal(err)
	}
	if puts == nil {
		etag, err := x.intake.(commands.Receiver).Receive(x.t.Context(), x.s, part, bytes.NewReader(data))
		return etag, err == nil
	}
	req, err := http.NewRequestWithContext(x.t.Context(), puts[part-1].Method, puts[part-1].URL, bytes.NewReader(data))
	if err != nil {
		x.t.Fatal(err)
	}
	for k, v := range puts[part-1].Header {
		req.Header[k] = v
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil { // a server that refuses need not read on, and the client may see no more of it than that
		x.t.Log(err)
		return "", false
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		x.t.Fatal(err)
	}
	return res.Header.Get("ETag"), errors.Join(res.Body.Close()) == nil && res.StatusCode == http.StatusOK
}

func (x *sender) part(n int) []byte {
	offset, size := x.s.Part(n)
	return x.data[offset : offset+size]
}

func testIntake(t *testing.T, open func(*testing.T) (commands.Objects, commands.Intake), size int) {
	objects, intake := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	data := make([]byte, size)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	s := commands.Staged{Key: commands.StagedPrefix + "a", ContentType: "image/png", Size: int64(size)}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	s.ID, err = intake.Start(ctx, s)
	must(err)
	x := &sender{t, intake, s, data}
	if err := intake.Finish(ctx, s, make([]string, 0)); err == nil {
		t.Error("nothing was sent, and it is finished")
	}
	var etags []string
	for n := range s.Parts() {
		if _, ok := x.send(n+1, x.part(n + 1)[1:]); ok {
			t.Errorf("part %d is one byte short and taken", n+1)
		}
		etag, ok := x.send(n+1, x.part(n+1))
		if !ok {
			t.Fatalf("part %d is refused", n+1)
		}
		etags = append(etags, etag)
	}
	if s.Parts() > 1 {
		sent, err := intake.Sent(ctx, s)
		if err != nil || len(sent) != s.Parts() {
			t.Fatalf("%v %v", sent, err)
		}
		wrong := append([]string{etags[1]}, etags[1:]...)
		if err := intake.Finish(ctx, s, wrong); !errors.Is(err, commands.ErrParts) {
			t.Errorf("wrong parts: %v", err)
		}
	} else {
		etags = nil
	}
	must(intake.Finish(ctx, s, etags))
	must(intake.Finish(ctx, s, etags))
	same(t, objects, s.Key, data)
	object, err := objects.Head(ctx, s.Key)
	must(err)
	if m, ok := objects.(commands.Mover); ok {
		other := object
		other.ETag = "other"
		if err := m.Move(ctx, other, "images/b"); !errors.Is(err, commands.ErrNoObject) {
			t.Errorf("another object was moved: %v", err)
		}
		must(m.Move(ctx, object, "images/b"))
		same(t, objects, "images/b", data)
		if _, err := objects.Head(ctx, s.Key); !errors.Is(err, commands.ErrNoObject) {
			t.Errorf("it stands under both keys: %v", err)
		}
	}
	given := commands.Staged{Key: commands.StagedPrefix + "given-up", ContentType: "image/png", Size: int64(size)}
	given.ID, err = intake.Start(ctx, given)
	must(err)
	x = &sender{t, intake, given, data}
	x.send(1, x.part(1))
	must(intake.Abort(ctx, given.Key, given.ID))
	must(intake.Abort(ctx, given.Key, given.ID))
	must(objects.Delete(ctx, given.Key))
	must(intake.Started(ctx, func(key, id string, _ time.Time) bool { t.Errorf("%s %s is still there", key, id); return true }))
	if err := intake.Finish(ctx, given, etags); !errors.Is(err, commands.ErrNoUpload) {
		t.Errorf("finished after it was given up: %v", err)
	}
}

func same(t *testing.T, objects commands.Objects, key string, want []byte) {
	t.Helper()
	body, o, err := objects.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil || !bytes.Equal(got, want) || o.ContentType != "image/png" {
		t.Errorf("%s: %d bytes of %s, %v", key, len(got), o.ContentType, err)
	}
}
