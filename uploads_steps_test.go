package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/fal/faltest"
	"github.com/infinite-kanvas/kanvas/infra/r2/s3test"
	"github.com/infinite-kanvas/kanvas/projections"
)

// longVideo is a film of more than one part.
func longVideo() []byte {
	const free = commands.MaxSinglePut
	b := bytes.Clone(faltest.Video)
	b = append(b, free>>24, free>>16&0xff, free>>8&0xff, free&0xff)
	b = append(b, "free"...)
	return append(b, make([]byte, free-8)...)
}

// sender is somebody who sends a file, over every crash.
type sender struct {
	base, token, kind string
	data              []byte
	asset             string
}

// send goes on from wherever it stands to the end. refused is the answer to what is no good file; err is of a server that is gone.
func (s *sender) send() (refused int, err error) {
	var u struct {
		Asset  struct{ ID string }
		Upload struct {
			Method, URL string
			Headers     map[string]string
			PartSize    int `json:"part_size"`
			Parts       []struct {
				Number    int
				URL, ETag string
			}
		}
	}
	status := 0
	ask := func(method, path string, body any) error {
		status, err = httpJSON(method, s.base+path, s.token, body, &u)
		return err
	}
	if s.asset == "" {
		if err := ask("POST", "/v1/assets", map[string]any{"name": "x", "content_type": s.kind, "size": len(s.data)}); err != nil {
			return 0, err
		}
		s.asset = u.Asset.ID
	} else if err := ask("GET", "/v1/assets/"+s.asset+"/upload", nil); status == http.StatusConflict {
		return s.complete(nil) // it is over already: ask again how
	} else if err != nil {
		return 0, err
	}
	var parts []map[string]any
	if u.Upload.URL != "" {
		// "Not found" says that the bytes were taken before: the answer to complete was lost.
		if _, err := s.put(u.Upload.URL, u.Upload.Headers, s.data); err != nil && !errors.Is(err, errGone) {
			return 0, err
		}
	}
	for i, p := range u.Upload.Parts {
		etag := p.ETag
		if etag == "" {
			if etag, err = s.put(p.URL, nil, s.data[i*u.Upload.PartSize:min(len(s.data), (i+1)*u.Upload.PartSize)]); err != nil {
				return 0, err
			}
		}
		parts = append(parts, map[string]any{"number": p.Number, "etag": etag})
	}
	return s.complete(parts)
}

func (s *sender) complete(parts []map[string]any) (refused int, err error) {
	var body any
	if parts != nil {
		body = map[string]any{"parts": parts}
	}
	status, err := httpJSON("POST", s.base+"/v1/assets/"+s.asset+"/complete", s.token, body, nil)
	if err == nil && status != http.StatusOK {
		return status, nil
	}
	return 0, err
}

var errGone = errors.New("the upload is over")

func (s *sender) put(url string, headers map[string]string, data []byte) (etag string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(data))
	if err != nil {
		return "", err
	}
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(res.Body)
	err = errors.Join(err, res.Body.Close())
	switch {
	case err == nil && res.StatusCode == http.StatusNotFound:
		err = errGone
	case err == nil && res.StatusCode != http.StatusOK:
		err = fmt.Errorf("put: %s %s", res.Status, b)
	}
	return res.Header.Get("ETag"), err
}

// same compares what is served with what was sent.
func (s *sender) same() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/v1/assets/"+s.asset, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK || !bytes.Equal(b, s.data) {
		return fmt.Errorf("%s is served with %s and %d bytes of %d", s.asset, res.Status, len(b), len(s.data))
	}
	return nil
}

// small waits until a smaller picture was made, or the server is dead.
func (s *sender) small(srv *server) error {
	for deadline := time.Now().Add(time.Minute); !srv.died(); time.Sleep(5 * time.Millisecond) {
		req, err := http.NewRequest(http.MethodHead, s.base+"/v1/assets/"+s.asset+"?size=256", nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+s.token)
		res, err := http.DefaultClient.Do(req)
		if err == nil && res.Header.Get("Content-Type") == "image/webp" {
			return res.Body.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no smaller picture of %s: %w", s.asset, err)
		}
	}
	return nil
}

// TestUploadKilledAtEveryStep kills the program with SIGKILL before, after and in the middle of every step of an upload, once for each; the client goes on where it was. Every good file
// arrives whole, every bad one is refused, and in the end there is nothing in the store but what the lists say, and nothing on anybody's account.
func TestUploadKilledAtEveryStep(t *testing.T) {
	modes := []string{"before", "after", "during"}
	files := map[string]sender{
		"picture": {kind: "image/jpeg", data: faltest.Picture}, "cut": {kind: "image/jpeg", data: faltest.Picture[:len(faltest.Picture)/2]},
		"video": {kind: "video/mp4", data: longVideo()},
	}
	for store, open := range map[string]func(t *testing.T) []string{
		"directory": func(*testing.T) []string { return nil },
		"S3":        func(t *testing.T) []string { return onR2(s3test.Start(t)) },
	} {
		t.Run(store, func(t *testing.T) {
			d := newDeaths(t, open(t)...)
			if store == "S3" {
				d.skip = 2 // the calls to it are gone through one by one elsewhere
			}
			var people []string
			good := map[string]string{} // asset → sum
			for _, name := range slices.Sorted(maps.Keys(files)) {
				d.everyStep(modes, func(srv *server, at string) func(*server) {
					f := files[name]
					f.base = "http://" + srv.addr
					var g struct {
						Token string
						User  struct{ ID string }
					}
					if _, err := httpJSON("POST", f.base+"/v1/guests", "", map[string]any{"name": name + " " + at}, &g); err != nil {
						t.Fatal(err)
					}
					f.token = g.Token
					people = append(people, g.User.ID)
					d.arm()
					refused, err := f.send()
					if err != nil && !srv.waitDead() {
						t.Errorf("%s, %s: %v", name, at, err)
					}
					if name == "picture" && err == nil && refused == 0 {
						if err := f.small(srv); err != nil {
							t.Errorf("%s, %s: %v", name, at, err)
						}
					}
					return func(srv *server) {
						refused, err := f.send()
						switch {
						case err != nil:
							t.Errorf("%s, %s: after the crash: %v", name, at, err)
						case (name == "cut") != (refused == http.StatusBadRequest):
							t.Errorf("%s, %s: after the crash the answer is %d", name, at, refused)
						case name != "cut":
							sum := sha256.Sum256(f.data)
							good[f.asset] = hex.EncodeToString(sum[:])
							if err := f.same(); err != nil {
								t.Errorf("%s, %s: %v", name, at, err)
							}
						}
					}
				})
			}
			t.Logf("%d kills", d.kills)
			d.nothingLeft(people, good)
		})
	}
}

// variantKeys are where the smaller pictures of an asset are.
func variantKeys(t *testing.T, row *projections.AssetRow) (keys []string) {
	t.Helper()
	if row.Variants == "" {
		return nil
	}
	var list []events.AssetVariant
	if err := json.Unmarshal([]byte(row.Variants), &list); err != nil {
		t.Fatal(err)
	}
	for _, v := range list {
		keys = append(keys, v.Key)
	}
	return keys
}

// nothingLeft opens the data directory a day later, sweeps, and compares the store and the accounts with the lists.
func (d *deaths) nothingLeft(people []string, good map[string]string) {
	t := d.t
	t.Helper()
	n, closeNode := nodeOn(t, d.dir, d.env...)
	defer closeNode()
	n.startProjections()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	tomorrow := past{t, n, -2}
	quota, uploads := tomorrow.quota(), tomorrow.uploads()
	swept, err := uploads.Sweep(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("swept: %+v", swept)
	if err := n.runner.WaitHead(ctx); err != nil {
		t.Fatal(err)
	}
	want, kept := map[string]bool{}, map[string]int64{}
	err = n.stored(ctx, func(row *projections.AssetRow) bool {
		want[row.Key] = true
		for _, v := range variantKeys(t, row) {
			want[v] = true
		}
		kept[row.UserID] += row.Size
		if sum, ok := good[row.ID]; ok && sum != row.SHA256 {
			t.Errorf("%s has another sum than was sent", row.ID)
		}
		delete(good, row.ID)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	for id := range good {
		t.Errorf("%s was kept, and is in no list", id)
	}
	for _, prefix := range []string{"images/", commands.StagedPrefix} {
		if err := n.objects.List(ctx, prefix, func(o commands.Object) bool {
			if !want[o.Key] {
				t.Errorf("%s belongs to nothing", o.Key)
			}
			delete(want, o.Key)
			return true
		}); err != nil {
			t.Fatal(err)
		}
	}
	for key := range want {
		t.Errorf("%s is listed and not there", key)
	}
	if err := n.intake.Started(ctx, func(key, id string, _ time.Time) bool { t.Errorf("upload %s %s is left", key, id); return true }); err != nil {
		t.Fatal(err)
	}
	for _, p := range people {
		if u, err := quota.Of(ctx, p); err != nil || u.Kept != kept[p] || u.Reserved != 0 {
			t.Errorf("%s: %d bytes count, %d are kept, %d are reserved (%v)", p, u.Kept, kept[p], u.Reserved, err)
		}
	}
}
