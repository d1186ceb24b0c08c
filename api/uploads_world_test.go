package api

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
)

// testQuota is what a person may keep in these tests, in bytes.
const testQuota = 64 << 20

// testBudgets are what may be spent in these tests.
var testBudgets = commands.BudgetLimits{User: 20 * commands.Micros, Room: 100 * commands.Micros, Server: 500 * commands.Micros}

// uploadParts are the stores that uploads are made over.
type uploadParts struct {
	log     commands.Log
	objects commands.Objects
	intake  commands.Intake
	ledger  commands.Ledger
	clock   commands.Clock
}

func (p uploadParts) open(quota int64) *commands.Uploads {
	kept := func(context.Context, string) (int64, error) { return 0, nil } // nobody had any before
	return commands.NewUploads(commands.UploadConfig{
		Streams: commands.NewStreams(p.log, p.clock), Objects: p.objects, Intake: p.intake, Quota: commands.NewQuota(p.ledger, kept, quota, p.clock)})
}

// asked is an upload that was asked for.
type asked struct {
	w     *world
	p     person
	id    string
	urls  []string
	heads map[string]string
	size  int // of a part
}

// ask asks to send a file.
func (w *world) ask(p person, name, contentType string, size int, more ...cmd) *asked {
	w.t.Helper()
	body := cmd{"name": name, "content_type": contentType, "size": size}
	for _, m := range more {
		for k, v := range m {
			body[k] = v
		}
	}
	return w.asked(p, w.call("POST", "/v1/assets", p.token, body).ok(201))
}

func (w *world) asked(p person, a *answer) *asked {
	j := a.json()
	u := &asked{w: w, p: p, id: j["asset"].(cmd)["id"].(string), heads: map[string]string{}}
	up := j["upload"].(cmd)
	if url, ok := up["url"].(string); ok {
		u.urls = []string{url}
		for k, v := range up["headers"].(cmd) {
			u.heads[k] = v.(string)
		}
		return u
	}
	u.size = int(up["part_size"].(float64))
	for _, p := range up["parts"].([]any) {
		u.urls = append(u.urls, p.(cmd)["url"].(string))
	}
	return u
}

// put sends bytes to an address, with the headers that were asked for.
func (u *asked) put(url string, data []byte) *answer {
	u.w.t.Helper()
	req, err := http.NewRequestWithContext(soon(u.w.t), http.MethodPut, url, bytes.NewReader(data))
	if err != nil {
		u.w.t.Fatal(err)
	}
	for k, v := range u.heads {
		req.Header.Set(k, v)
	}
	res, err := u.w.server.Client().Do(req)
	if err != nil {
		u.w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		u.w.t.Fatal(err)
	}
	return &answer{u.w.t, res.StatusCode, res.Header, b}
}

// send puts all of it, and returns what to list at completion.
func (u *asked) send(data []byte) []cmd {
	u.w.t.Helper()
	if u.size == 0 {
		u.put(u.urls[0], data).ok(200)
		return nil
	}
	var parts []cmd
	for i, url := range u.urls {
		part := data[i*u.size : min(len(data), (i+1)*u.size)]
		parts = append(parts, cmd{"number": i + 1, "etag": u.put(url, part).ok(200).header.Get("ETag")})
	}
	return parts
}

func (u *asked) complete(parts []cmd) *answer {
	u.w.t.Helper()
	if parts == nil {
		return u.w.call("POST", "/v1/assets/"+u.id+"/complete", u.p.token, nil)
	}
	return u.w.call("POST", "/v1/assets/"+u.id+"/complete", u.p.token, cmd{"parts": parts})
}

// upload does all of it.
func (w *world) upload(p person, name, contentType string, data []byte) *answer {
	w.t.Helper()
	u := w.ask(p, name, contentType, len(data))
	return u.complete(u.send(data))
}

// nothingLeft wants no bytes in the store but objects whose keys begin with one of those given, and no upload under way.
func (p uploadParts) nothingLeft(t testing.TB, but ...string) {
	t.Helper()
	err := p.objects.List(soon(t), "", func(o commands.Object) bool {
		for _, b := range but {
			if strings.HasPrefix(o.Key, b) {
				return true
			}
		}
		t.Errorf("%s is left, %d bytes", o.Key, o.Size)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	for key := range startedUploads(t, p.intake) {
		t.Errorf("upload %s is left", key)
	}
}

func startedUploads(t testing.TB, in commands.Intake) map[string]bool {
	t.Helper()
	keys := map[string]bool{}
	if err := in.Started(soon(t), func(key, _ string, _ time.Time) bool { keys[key] = true; return true }); err != nil {
		t.Fatal(err)
	}
	return keys
}
