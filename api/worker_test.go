package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/api/auth"
)

// proofOf is the header by which the Worker shows that a request is its own, as infra/edge's tests see it arrive.
const workerSecret, proofOf = "a secret of thirty-two characters", "GBWatMRF4YZL2XNpsZG0YqagtwXifAu_cwAf-_a7s6k"

func TestTheWorkerAddsTheBytesOfPictures(t *testing.T) {
	for _, shared := range []bool{true, false} {
		w := newWorld(t, func(c *Config) {
			edge, err := auth.NewEdge(workerSecret)
			if err != nil {
				t.Fatal(err)
			}
			c.Edge, c.EdgeObjects = edge, shared
		})
		ada, bob := w.guest("Ada"), w.guest("Bob")
		room := w.room(ada, "secret", "private")
		data, raw := picture(t)
		w.call("POST", room+"/commands", ada.token, commandsBody(cmd{"command": "element.add", "data": cmd{"element": cmd{"id": "p", "type": "image", "src": data}}})).ok(200)
		src := w.call("GET", room+"/canvas", ada.token, nil).ok(200).list("elements")[0].(cmd)["src"].(string)
		whole := w.call("GET", src, ada.token, nil).ok(200)
		a := w.call("GET", src, ada.token, nil, "Kanvas-Edge", proofOf, "Kanvas-Accept-Object", "1").ok(200)
		row, err := w.store.AssetByID(soon(t), strings.TrimPrefix(src, "/v1/assets/"))
		if err != nil {
			t.Fatal(err)
		}
		if !shared { // its objects are out of the Worker's reach
			if a.header.Get("Kanvas-Object") != "" || string(a.body) != string(raw) {
				t.Errorf("%v, %d bytes", a.header, len(a.body))
			}
			continue
		}
		if a.header.Get("Kanvas-Object") != row.Key || len(a.body) != 0 {
			t.Errorf("%v, %d bytes", a.header, len(a.body))
		}
		for _, name := range []string{"ETag", "Cache-Control", "Content-Type", "Content-Security-Policy", "X-Content-Type-Options", "Cross-Origin-Resource-Policy"} {
			if got, want := a.header.Get(name), whole.header.Get(name); got != want || got == "" {
				t.Errorf("%s: %q, not %q", name, got, want)
			}
		}
		// Rights are asked first, and others than the Worker get the bytes.
		w.call("GET", src, bob.token, nil, "Kanvas-Edge", proofOf, "Kanvas-Accept-Object", "1").refused(404, "not_found")
		for _, headers := range [][]string{{"Kanvas-Accept-Object", "1"}, {"Kanvas-Edge", proofOf}, {"Kanvas-Edge", proofOf + "x", "Kanvas-Accept-Object", "1"}, {"Kanvas-Edge", workerSecret, "Kanvas-Accept-Object", "1"}} {
			if a := w.call("GET", src, ada.token, nil, headers...).ok(200); a.header.Get("Kanvas-Object") != "" || string(a.body) != string(raw) {
				t.Errorf("%v: %v, %d bytes", headers, a.header, len(a.body))
			}
		}
	}
}

func TestTheWorkerMayAskUnderAnotherName(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		edge, err := auth.NewEdge(workerSecret)
		if err != nil {
			t.Fatal(err)
		}
		c.Edge = edge
	})
	ask := func(proof string) int {
		r, err := http.NewRequest("GET", w.server.URL+"/v1/rooms", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "origin.example.com"
		r.Header.Set("Kanvas-Edge", proof)
		res, err := w.server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	if got := ask(proofOf); got != 200 {
		t.Errorf("the Worker: %d", got)
	}
	if got := ask("x"); got != 421 {
		t.Errorf("somebody else: %d", got)
	}
}

func TestPublicPicturesAreRedirectedWithASignature(t *testing.T) {
	edge, err := auth.NewEdge(workerSecret)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(c *Config) { c.Edge, c.EdgeObjects, c.PublicObjects = edge, true, "https://kanvas.example.com/" })
	ada := w.guest("Ada")
	data, _ := picture(t)
	address := func(room string) string {
		path := w.room(ada, room, room)
		w.call("POST", path+"/commands", ada.token, commandsBody(cmd{"command": "element.add", "data": cmd{"element": cmd{"id": "p", "type": "image", "src": data}}})).ok(200)
		return w.call("GET", path+"/canvas", ada.token, nil).ok(200).list("elements")[0].(cmd)["src"].(string)
	}
	src := address("public")
	r, err := http.NewRequest("GET", w.server.URL+src, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusFound || res.Header.Get("Cache-Control") != "public, max-age=300, s-maxage=0" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	row, err := w.store.AssetByID(soon(t), strings.TrimPrefix(src, "/v1/assets/"))
	if err != nil {
		t.Fatal(err)
	}
	now := w.clock.now().UTC()
	tomorrow := now.Truncate(24 * time.Hour).Add(48 * time.Hour)
	if got, want := res.Header.Get("Location"), edge.PictureURL("https://kanvas.example.com", row.ID, row.Key, tomorrow); got != want {
		t.Errorf("%s, not %s", got, want)
	}
	w.call("GET", address("private"), ada.token, nil).ok(200) // never a private one
}
