package commands_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/infra/jetstream"
)

// workshop is a node with all that preparing needs.
type workshop struct {
	log     *jetstream.Store
	objects *memoryObjects
	d       *commands.Dispatcher
	people  *commands.People
	keys    *jetstream.Keys
	sealer  *commands.Sealer
	assets  *commands.Assets
	p       *commands.Preparation
}

func newWorkshop(t *testing.T) *workshop {
	w := &workshop{log: openLog(t), objects: newObjects()}
	w.d = newNode(t, w.log)
	streams := commands.NewStreams(w.log, nil)
	w.keys = openKeys(t, w.log)
	w.sealer = commands.NewSealer(w.keys)
	w.people = commands.NewPeople(streams, w.sealer, nil)
	w.assets = commands.NewAssets(streams, w.objects)
	w.p = commands.NewPreparer(commands.PrepareConfig{Rooms: w.d, Sealer: w.sealer, Assets: w.assets, PublicURLs: []string{"https://kanvas.example"}})
	return w
}

func (w *workshop) prepare(role domain.Role, c domain.Command) (domain.Command, error) {
	cs, err := w.p.Prepare(context.Background(), "r", domain.Actor{ID: owner}, role, []domain.Command{c})
	if err != nil {
		return nil, err
	}
	return cs[0], nil
}

func picture() image.Image {
	m := image.NewPaletted(image.Rect(0, 0, 31, 17), color.Palette{color.Black, color.White})
	m.SetColorIndex(3, 3, 1)
	return m
}

func dataURL(mime string, b []byte) string {
	return "data:" + mime + ";base64," + base64.StdEncoding.EncodeToString(b)
}

func imageWith(t testing.TB, src string) domain.Command {
	t.Helper()
	quoted, err := json.Marshal(src)
	if err != nil {
		t.Fatal(err)
	}
	e, err := domain.ParseElement([]byte(`{"id":"pic","type":"image","src":` + string(quoted) + `,"x":1}`))
	if err != nil {
		t.Fatal(err)
	}
	return domain.AddElement{Element: e}
}

func srcOf(t testing.TB, c domain.Command) string {
	t.Helper()
	var raw json.RawMessage
	switch c := c.(type) {
	case domain.AddElement:
		raw, _ = c.Element.Get("src")
	case domain.PatchElement:
		raw = c.Set[0].Value
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// media are small files of every kind that is allowed; width 0 where we don't read it.
func media(t testing.TB) map[string]struct {
	b    []byte
	w, h int
} {
	var p, j, g bytes.Buffer
	for _, err := range []error{png.Encode(&p, picture()), jpeg.Encode(&j, picture(), nil), gif.Encode(&g, picture(), nil)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	webp := []byte("RIFF\x26\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00\x1e\x00\x00\x10\x00\x00VP8L\x08\x00\x00\x00\x2f\x1e\x00\x04\x00\x00\x00\x00")
	avif := []byte("\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1miaf\x00\x00\x00\x20meta\x00\x00\x00\x00\x00\x00\x00\x14ispe\x00\x00\x00\x00\x00\x00\x00\x1f\x00\x00\x00\x11")
	mp4 := []byte("\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2\x00\x00\x00\x08moov")
	webm := []byte("\x1a\x45\xdf\xa3\x9b\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08\x42\x82\x84webm\x42\x87\x81\x04\x18\x53\x80\x67\x80")
	return map[string]struct {
		b    []byte
		w, h int
	}{
		"image/png": {p.Bytes(), 31, 17}, "image/jpeg": {j.Bytes(), 31, 17}, "image/gif": {g.Bytes(), 31, 17},
		"image/webp": {webp, 31, 17}, "image/avif": {avif, 31, 17}, "video/mp4": {mp4, 0, 0}, "video/webm": {webm, 0, 0},
	}
}

func assetOf(t testing.TB, log commands.Log, src string) (stored *events.AssetStoredData, commits int) {
	t.Helper()
	id, ok := strings.CutPrefix(src, "asset:")
	if !ok {
		t.Fatalf("src is %.80s", src)
	}
	err := log.Read(testContext(t), events.Asset(id), 1, func(rec events.Record) bool {
		c, err := events.Decode(rec.Payload)
		if err != nil {
			t.Fatal(err)
		}
		commits++
		if d, ok := c.Events[0].Payload.(*events.AssetStoredData); ok {
			stored = d
		}
		return true
	})
	if err != nil || stored == nil {
		t.Fatalf("asset %s: %v", id, err)
	}
	return stored, commits
}

func TestDataURLsBecomeAssets(t *testing.T) {
	w := newWorkshop(t)
	for kind, m := range media(t) {
		t.Run(kind, func(t *testing.T) {
			before := w.objects.count("images/")
			ready, err := w.prepare(domain.RoleEditor, imageWith(t, dataURL("image/svg+xml", m.b))) // the type it claims does not count
			if err != nil {
				t.Fatal(err)
			}
			src := srcOf(t, ready)
			d, _ := assetOf(t, w.log, src)
			if d.ContentType != kind || d.Size != int64(len(m.b)) || d.Width != m.w || d.Height != m.h || d.User != owner || d.Room != "r" {
				t.Fatalf("%+v", d)
			}
			if !bytes.Equal(w.objects.m[d.Key], m.b) {
				t.Fatalf("other bytes under %s", d.Key)
			}
			// sent again, as a patch, by another process: the same asset
			second := newPreparer(w)
			patched, err := second.Prepare(context.Background(), "r", domain.Actor{ID: owner}, domain.RoleEditor,
				[]domain.Command{patch("pic", "src", string(events.AppendString(nil, dataURL(kind, m.b))))})
			if err != nil || srcOf(t, patched[0]) != src {
				t.Fatalf("sent again it became %.80v, %v", patched, err)
			}
			if _, commits := assetOf(t, w.log, src); commits != 1 || w.objects.count("images/") != before+1 || w.objects.puts[d.Key] != 1 {
				t.Fatalf("%d commits, %d writes", commits, w.objects.puts[d.Key])
			}
		})
	}
}

// sourcePatch carries any src, also one that no frame is large enough for.
func sourcePatch(src string) domain.Command {
	return patch("pic", "src", string(events.AppendString(nil, src)))
}

func newPreparer(w *workshop) *commands.Preparation {
	return commands.NewPreparer(commands.PrepareConfig{Rooms: w.d, Sealer: w.sealer, Assets: commands.NewAssets(commands.NewStreams(w.log, nil), w.objects)})
}

func TestDataURLsRefused(t *testing.T) {
	w := newWorkshop(t)
	m := media(t)
	png := m["image/png"].b
	huge := bytes.Clone(png) // a header that claims 60,000 × 60,000
	copy(huge[16:], []byte{0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60})
	for name, c := range map[string]struct {
		src  string
		code domain.Code
	}{
		"svg":              {dataURL("image/png", []byte(`<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>`)), domain.CodeInvalidCommand},
		"html":             {dataURL("image/png", []byte(`<!doctype html>`)), domain.CodeInvalidCommand},
		"svg as text":      {"data:image/svg+xml,<svg/>", domain.CodeInvalidCommand},
		"empty":            {dataURL("image/png", nil), domain.CodeInvalidCommand},
		"no comma":         {"data:image/png;base64", domain.CodeInvalidCommand},
		"no base64":        {"data:image/png;base64,!!!!", domain.CodeInvalidCommand},
		"with a line feed": {"data:image/png;base64,iVBO\nRw0K", domain.CodeInvalidCommand},
		"heic":             {dataURL("image/avif", []byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic")), domain.CodeInvalidCommand},
		"quicktime":        {dataURL("video/mp4", []byte("\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  ")), domain.CodeInvalidCommand},
		"matroska":         {dataURL("video/webm", []byte("\x1a\x45\xdf\xa3\xa3\x42\x82\x88matroska")), domain.CodeInvalidCommand},
		"a cut jpeg":       {dataURL("image/jpeg", m["image/jpeg"].b[:len(m["image/jpeg"].b)/2]), domain.CodeInvalidCommand},
		"a page behind it": {dataURL("image/png", append(bytes.Clone(png), "<script>"...)), domain.CodeInvalidCommand},
		"broken png":       {dataURL("image/png", png[:12]), domain.CodeInvalidCommand},
		"broken webp":      {dataURL("image/webp", m["image/webp"].b[:20]), domain.CodeInvalidCommand},
		"too many pixels":  {dataURL("image/png", fixCRC(huge)), domain.CodeTooLarge},
		"too large":        {dataURL("image/png", append(bytes.Clone(png), make([]byte, 12<<20)...)), domain.CodeTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.prepare(domain.RoleEditor, sourcePatch(c.src))
			wantCode(t, err, c.code)
		})
	}
	for _, role := range []domain.Role{domain.RoleCommenter, domain.RoleViewer, ""} {
		_, err := w.prepare(role, imageWith(t, dataURL("image/png", png)))
		wantCode(t, err, domain.CodeForbidden)
	}
	if n := w.objects.count(""); n != 0 {
		t.Fatalf("%d objects were stored", n)
	}
	jpeg := m["image/jpeg"].b // zeros may follow it, they are left out
	if _, err := w.prepare(domain.RoleEditor, sourcePatch(dataURL("", append(bytes.Clone(jpeg), make([]byte, 12<<20-len(jpeg))...)))); err != nil {
		t.Errorf("a picture of exactly 12 MiB: %v", err)
	}
}

func TestSources(t *testing.T) {
	w := newWorkshop(t)
	for src, want := range map[string]string{
		"https://pics.example/a.png?x=1": "https://pics.example/a.png?x=1",
		"http://pics.example/a.png":      "http://pics.example/a.png",
		"":                               "",
		"asset:abc-1":                    "asset:abc-1",
		"/v1/assets/abc-1":               "asset:abc-1",
		"/v1/assets/abc-1?cap=x":         "asset:abc-1",
		"https://kanvas.example/v1/assets/abc-1?cap=x":        "asset:abc-1",
		"https://elsewhere.example/v1/assets/abc-1":           "https://elsewhere.example/v1/assets/abc-1",
		"https://kanvas.example.evil/v1/assets/abc-1":         "https://kanvas.example.evil/v1/assets/abc-1",
		"javascript:alert(1)":                                 "refused",
		" javascript:alert(1)":                                "refused",
		"file:///etc/passwd":                                  "refused",
		"blob:https://kanvas.example/1":                       "refused",
		"//pics.example/a.png":                                "refused",
		"/v1/assets/../rooms":                                 "refused",
		"/v1/assets/":                                         "refused",
		"asset:a/b":                                           "refused",
		"https:///nowhere":                                    "refused",
		"https://a b/":                                        "refused",
		"DATA:text/html;base64,PHNjcmlwdD4=":                  "refused",
		"a.png":                                               "refused",
		"https://pics.example/" + strings.Repeat("a", 64<<10): "refused",
	} {
		if len(src) > domain.MaxElementBytes {
			_, err := w.prepare(domain.RoleEditor, sourcePatch(src))
			wantCode(t, err, domain.CodeTooLarge)
			continue
		}
		for _, c := range []domain.Command{imageWith(t, src), sourcePatch(src)} {
			ready, err := w.prepare(domain.RoleEditor, c)
			if want == "refused" {
				if !hasCode(err, domain.CodeInvalidCommand) {
					t.Errorf("%s: %v", src, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", src, err)
			} else if got := srcOf(t, ready); got != want {
				t.Errorf("%s became %s, want %s", src, got, want)
			}
		}
	}
	_, err := w.prepare(domain.RoleEditor, patch("pic", "src", "7"))
	wantCode(t, err, domain.CodeInvalidCommand)
}

func TestPersonalTextIsSealed(t *testing.T) {
	w := newWorkshop(t)
	createRoom(t, w.d, "r")
	ready, err := w.prepare(domain.RoleOwner, domain.PostChat{Text: "a secret 🦉"})
	if err != nil {
		t.Fatal(err)
	}
	c := ready.(domain.PostChat)
	mustDo(t, w.d, "r", by(owner, c))
	if text, ok := w.sealer.Open(testContext(t), owner, c.Sealed); !ok || text != "a secret 🦉" {
		t.Fatalf("opened %q, %v", text, ok)
	}
	if _, ok := w.sealer.Open(testContext(t), "somebody", c.Sealed); ok {
		t.Error("another person's key opens it")
	}
	for _, rec := range readRecords(t, w.log, "r") {
		if bytes.Contains(rec.Payload, []byte("secret")) {
			t.Error("the log holds the text")
		}
	}
	b := []byte(c.Sealed)
	b[len(b)-3] ^= 1
	if _, ok := w.sealer.Open(testContext(t), owner, events.Sealed(b)); ok {
		t.Error("a changed text opens")
	}
	again, err := w.sealer.Seal(testContext(t), owner, "a secret 🦉")
	if err != nil || again == c.Sealed {
		t.Errorf("sealed twice the same: %v", err)
	}
	_, err = w.prepare(domain.RoleViewer, domain.PostChat{Text: "x"})
	wantCode(t, err, domain.CodeForbidden)
	_, err = w.prepare(domain.RoleOwner, domain.PostChat{Text: strings.Repeat("x", domain.MaxChatText+1)})
	wantCode(t, err, domain.CodeTooLarge)
	_, err = w.prepare(domain.RoleOwner, domain.AddComment{ID: "c", Text: strings.Repeat("x", domain.MaxCommentText+1)})
	wantCode(t, err, domain.CodeTooLarge)
	ready, err = w.prepare(domain.RoleCommenter, domain.AddComment{ID: "c", Text: "hm"})
	if err != nil || ready.(domain.AddComment).Sealed == "" {
		t.Errorf("%+v, %v", ready, err)
	}
}

func readRecords(t testing.TB, log commands.Log, room string) (recs []events.Record) {
	t.Helper()
	if err := log.Read(testContext(t), events.Room(room), 1, func(r events.Record) bool { recs = append(recs, r); return true }); err != nil {
		t.Fatal(err)
	}
	return recs
}

func TestRestore(t *testing.T) {
	w := newWorkshop(t)
	createRoom(t, w.d, "r")
	for i := range 5 {
		mustDo(t, w.d, "r", by(owner, add(t, fmt.Sprint("e", i), `"x":1`)))
	}
	at, err := w.d.View(testContext(t), "r")
	if err != nil {
		t.Fatal(err)
	}
	mustDo(t, w.d, "r", by(owner, domain.RemoveElements{IDs: []string{"e1", "e3"}}, patch("e2", "x", "9"), add(t, "new")))
	ready, err := w.prepare(domain.RoleOwner, domain.Restore{Revision: at.Revision})
	if err != nil {
		t.Fatal(err)
	}
	mustDo(t, w.d, "r", by(owner, ready))
	now, err := w.d.View(testContext(t), "r")
	if err != nil || canvasOf(now.Elements) != canvasOf(at.Elements) {
		t.Fatalf("restored:\n%swant:\n%s%v", canvasOf(now.Elements), canvasOf(at.Elements), err)
	}
	_, err = w.prepare(domain.RoleOwner, domain.Restore{Revision: 10_000})
	wantCode(t, err, domain.CodeNotFound)
	_, err = w.prepare(domain.RoleViewer, domain.Restore{Revision: 2})
	wantCode(t, err, domain.CodeForbidden)
}

// What is not known to be plain is prepared: a new command must not slip past the Preparer.
func TestPlain(t *testing.T) {
	src := events.Members{{Key: "x", Value: []byte("1")}, {Key: "src", Value: []byte(`"data:,"`)}} // out of order too
	for _, c := range []domain.Command{domain.PatchElement{ID: "e", Set: src}, domain.PatchElement{ID: "e", Set: src[1:]},
		domain.AddElement{Element: element(t, "e", `"src":"data:,"`)}, domain.PostChat{}, domain.AddComment{}, domain.Restore{}, domain.SetRole{}, unknownCommand{}} {
		if commands.Plain([]domain.Command{domain.Undo{}, c}) {
			t.Errorf("%T is taken for plain", c)
		}
	}
	if !commands.Plain([]domain.Command{patch("e", "x", "1"), add(t, "e"), domain.RemoveElements{}, domain.ReorderElements{}, domain.Undo{}, domain.Redo{}}) {
		t.Error("nothing is plain")
	}
}

type unknownCommand struct{}

func (unknownCommand) CommandName() string { return "unknown" }
