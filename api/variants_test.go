package api

import (
	"bytes"
	"context"
	"errors"
	"image"
	"maps"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/pictures"
)

func TestSmallerPicturesAreServed(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	room := w.room(ada, "r", "private")
	data := jpegOf(t, noise(1600, 800, 9))
	u := w.ask(ada, "x.jpg", "image/jpeg", len(data), cmd{"room_id": "r"})
	u.complete(u.send(data)).ok(200)
	address := "/v1/assets/" + u.id
	before := w.call("GET", address+"?size=256", ada.token, nil).ok(200)
	if before.header.Get("Cache-Control") != "private, max-age=300" || len(before.body) < 100_000 {
		t.Errorf("%v, %d bytes", before.header, len(before.body))
	}
	backlog := func(_ context.Context, yield func(string) bool) error { yield(u.id); return nil }
	v := commands.NewVariants(commands.VariantConfig{Streams: commands.NewStreams(w.parts.log, w.parts.clock), Objects: w.parts.objects, Shrinker: pictures.Shrinker{}, Backlog: backlog})
	defer v.Close()
	for range 2 { // the goroutine of Variants does it too, and it is done once
		if err := v.Make(soon(t), u.id); err != nil {
			t.Fatal(err)
		}
	}
	w.key(u.id)
	for asked, width := range map[string]int{"1": 256, "256": 256, "257": 1024, "1024": 1024, "1025": 1600} {
		a := w.call("GET", address+"?size="+asked, ada.token, nil).ok(200)
		m, _, err := image.DecodeConfig(bytes.NewReader(a.body))
		if err != nil || m.Width != width || a.header.Get("Cache-Control") != "private, max-age=31536000, immutable" {
			t.Errorf("size %s: %d pixels, not %d; %v %v", asked, m.Width, width, a.header, err)
		}
		w.call("GET", address+"?size="+asked, ada.token, nil, "If-None-Match", a.header.Get("ETag")).ok(304)
	}
	w.call("GET", address+"?size=0", ada.token, nil).refused(400, "bad_request")
	w.call("GET", address+"?size=256", w.guest("Bob").token, nil).refused(404, "not_found")
	w.call("POST", room+"/commands", ada.token, commandsBody(cmd{"command": "element.add", "data": cmd{"element": cmd{"id": "e", "type": "image", "src": address}}})).ok(200)
	if err := w.assets.Attach(soon(t), "r", map[string]uint64{u.id: 2}); err != nil {
		t.Fatal(err)
	}
	w.key(u.id)
	list := w.call("GET", room+"/assets", ada.token, nil).ok(200).list("assets")
	if len(list) != 1 || list[0].(cmd)["variants"].(cmd)["256"] != address+"?size=256" || list[0].(cmd)["placeholder"] == nil {
		t.Errorf("%v", list)
	}
}

// TestAPictureThatIsDeadly: where the process of pictures dies over one, it is tried once more, and then nothing smaller is made of it.
func TestAPictureThatIsDeadly(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	id := w.upload(ada, "x.png", "image/png", pngOf(t, noise(300, 300, 1))).ok(200).str("id")
	dies := pictures.NewWorker([]string{"/bin/false"}, nil)
	defer dies.Close()
	v := commands.NewVariants(commands.VariantConfig{Streams: commands.NewStreams(w.parts.log, w.parts.clock), Objects: w.parts.objects, Shrinker: dies,
		Backlog: func(context.Context, func(string) bool) error { return nil }})
	defer v.Close()
	if err := v.Make(soon(t), id); !errors.Is(err, commands.ErrShrinkerDied) {
		t.Errorf("the first time: %v", err)
	}
	if a, err := w.uploads.Asset(soon(t), ada.id, id); err != nil || a.Processed != nil {
		t.Errorf("%+v %v", a.Processed, err)
	}
	if err := v.Make(soon(t), id); err != nil {
		t.Errorf("the second time: %v", err)
	}
	if a, err := w.uploads.Asset(soon(t), ada.id, id); err != nil || a.Processed == nil || len(a.Processed.Variants) != 0 {
		t.Errorf("%+v %v", a.Processed, err)
	}
}

// TestUnusedAssets: what nothing shows is marked and deleted after the time of grace; what is shown, was shown, or is used again before stays.
func TestUnusedAssets(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	room := w.room(ada, "r", "private")
	upload := func(seed uint64) string {
		return w.upload(ada, "x.png", "image/png", pngOf(t, noise(20, 20, seed))).ok(200).str("id")
	}
	show := func(asset string) *answer {
		return w.call("POST", room+"/commands", ada.token, commandsBody(cmd{"command": "element.add", "data": cmd{"element": cmd{"id": "e-" + asset, "type": "image", "src": "/v1/assets/" + asset}}}))
	}
	unused, shown, removed, again := upload(1), upload(2), upload(3), upload(4)
	show(shown).ok(200)
	show(removed).ok(200)
	w.call("POST", room+"/commands", ada.token, commandsBody(cmd{"command": "element.remove", "data": cmd{"ids": []string{"e-" + removed}}})).ok(200)
	config := commands.UnusedConfig{
		Stored: func(_ context.Context, yield func(string) bool) error {
			for _, id := range []string{unused, shown, removed, again} {
				yield(id)
			}
			return nil
		},
		Shown: func(ctx context.Context) (map[string]bool, error) {
			ids := map[string]bool{}
			err := w.parts.log.Read(ctx, events.Room("r"), 1, func(rec events.Record) bool { commands.ShownIDs(rec, ids); return true })
			return ids, err
		},
	}
	steps := func(dry bool) map[string]string {
		t.Helper()
		config.DryRun = dry
		got := map[string]string{}
		if err := w.uploads.FindUnused(soon(t), config, func(u commands.Unused) { got[u.Asset] = u.Step }); err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := func(got map[string]string, want map[string]string) {
		t.Helper()
		if !maps.Equal(got, want) {
			t.Fatalf("%v, not %v", got, want)
		}
	}
	want(steps(false), map[string]string{}) // stored a moment ago
	w.clock.advance(uploadDay)
	want(steps(true), map[string]string{unused: "marked", again: "marked"})
	want(steps(false), map[string]string{unused: "marked", again: "marked"})
	want(steps(false), map[string]string{unused: "waits", again: "waits"})
	w.call("DELETE", "/v1/assets/"+unused, ada.token, nil).ok(204)
	show(again).ok(200)
	used := w.used(ada)
	w.clock.advance(commands.DefaultGrace)
	want(steps(true), map[string]string{unused: "deleted"})
	want(steps(false), map[string]string{unused: "deleted"})
	want(steps(false), map[string]string{})
	if freed := used - w.used(ada); freed < 1000 {
		t.Errorf("%d bytes were freed", freed)
	}
	ada.token = w.token(ada) // the clock has moved on
	show(unused).refused(404, "not_found")
	w.key(unused)
	w.call("GET", "/v1/assets/"+unused, w.token(ada), nil).refused(404, "not_found")
	for _, id := range []string{shown, removed, again} {
		w.call("GET", "/v1/assets/"+id, w.token(ada), nil).ok(200)
	}
}

// token is a new one, as the clock has moved on.
func (w *world) token(p person) string {
	w.t.Helper()
	token, _, err := w.cfg.Auth.Tokens().Sign(p.id, "guest", uploadDay)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}
