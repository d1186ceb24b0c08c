package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/infinite-kanvas/kanvas/commands"
)

// mostOfServer is what the server may take at its peak, in MiB, whatever it is sent.
const mostOfServer = 512

// badFile is a file that is refused, with the code of the reason.
type badFile struct {
	name, kind, code string
	data             []byte
}

func badFiles(t *testing.T) []badFile {
	t.Helper()
	good := noisyPNG(t, 30, 30)
	var photo, film bytes.Buffer
	img := image.NewGray(image.Rect(0, 0, 640, 480))
	for i := range img.Pix {
		img.Pix[i] = byte(i * i >> 7)
	}
	if err := errors.Join(jpeg.Encode(&photo, img, nil), gif.Encode(&film, image.NewPaletted(image.Rect(0, 0, 8, 8), color.Palette{color.Black, color.White}), nil)); err != nil {
		t.Fatal(err)
	}
	junk := make([]byte, 48<<20)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range junk {
		junk[i] = byte(r.Uint32())
	}
	copy(junk, good[:33]) // begins well
	vast := emptyWebP(t, 16, 16)
	copy(vast[26:], "\xff\x3f\xff\x3f") // of the frame's header: width and height
	join := func(a []byte, b string) []byte { return append(bytes.Clone(a), b...) }
	zip := "PK\x03\x04\x14\x00 a file of another kind PK\x05\x06"
	return []badFile{
		{"PNG of 30,000 × 30,000, all of it there", "image/png", "too_large", emptyPNG(t, 30_000, 30_000, 8, 2)},
		{"WebP said to be of 268 megapixels", "image/webp", "too_large", vast},
		{"GIF of 65,535 × 65,535", "image/gif", "too_large", join([]byte("GIF89a\xff\xff\xff\xff\x00\x00\x00"), ";")},
		{"PNG and ZIP", "image/png", "bad_request", join(good, zip)},
		{"JPEG and ZIP", "image/jpeg", "bad_request", join(photo.Bytes(), zip)},
		{"GIF and HTML", "image/gif", "bad_request", join(film.Bytes(), "<script>alert(1)</script>")},
		{"JPEG that is cut", "image/jpeg", "bad_request", photo.Bytes()[:photo.Len()/2]},
		{"PNG that is cut", "image/png", "bad_request", good[:len(good)-100]},
		{"PNG said to be JPEG", "image/jpeg", "bad_request", good},
		{"HTML said to be PNG", "image/png", "bad_request", []byte("<html><script>alert(1)</script></html>")},
		{"SVG said to be WebP", "image/webp", "bad_request", []byte(`<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`)},
		{"48 MiB of noise behind a PNG's start", "image/png", "bad_request", junk},
		{"film without an end", "video/mp4", "bad_request", []byte("\x00\x00\x00\x18ftypisom\x00\x00\x00\x00isommp42\x00\x10\x00\x00moov")},
	}
}

// TestBadFilesAgainstTheProcess sends a server what is made to hurt it, as files and within commands, many at a time. Each is refused with the reason;
// then there is nothing left of any, and the server never took more memory than it may.
func TestBadFilesAgainstTheProcess(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, dir, "127.0.0.1:0", "KANVAS_RATE_LIMITS=off")
	ann := &person{t, s, strings.TrimSpace(mustTool(t, "token", "ann", "--data", dir))}
	ann.room("room", "private")
	status, _, body := ann.get("GET", "/v1/rooms/room", nil)
	before := body
	if status != http.StatusOK {
		t.Fatal(status)
	}
	var all errgroup.Group
	all.SetLimit(6)
	for i, f := range badFiles(t) {
		all.Go(func() error { return ann.refusedFile(&f) })
		if len(f.data) <= 8<<20 && f.name != "PNG said to be JPEG" { // of a data URL the bytes say what they are
			all.Go(func() error { return ann.refusedSource(fmt.Sprint("e", i), &f) })
		}
	}
	for _, name := range []string{"../../etc/passwd", "..", `a\b`, "a/b", "a\x00b"} {
		all.Go(func() error {
			got, code := ann.post("/v1/assets", map[string]any{"name": name, "content_type": "image/png", "size": 10})
			if got != http.StatusBadRequest || code != "bad_request" {
				return fmt.Errorf("name %q: %d %s", name, got, code)
			}
			return nil
		})
	}
	all.Go(func() error { return ann.cutUpload(2<<20, true) })
	all.Go(func() error { return ann.cutUpload(2<<20, false) })
	all.Go(func() error { return ann.cutUpload(20<<20, false) })
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
	if _, _, after := ann.get("GET", "/v1/rooms/room", nil); !bytes.Equal(after, before) {
		t.Errorf("the room was %s, and is %s", before, after)
	}
	if peak := memoryPeak(t, s.cmd.Process.Pid); peak > mostOfServer {
		t.Errorf("the server took %d MiB", peak)
	} else {
		t.Logf("the server took %d MiB", peak)
	}
	s.stop()

	n, closeNode := nodeOn(t, dir)
	defer closeNode()
	later := past{t, n, -2}
	if swept, err := later.uploads().Sweep(t.Context()); err != nil || swept.Given != 2 { // those that nobody gave up
		t.Errorf("%+v %v", swept, err)
	}
	used, err := later.quota().Of(t.Context(), "ann")
	if err != nil || used.Kept != 0 || used.Reserved != 0 {
		t.Errorf("ann's account says %+v: %v", used, err)
	}
	rows, err := n.tables.StoredAssets(t.Context(), "", 100)
	if err != nil || len(rows) != 0 {
		t.Errorf("%d assets are stored: %v", len(rows), err)
	}
	noFiles(t, filepath.Join(dir, "objects"))
	if err := n.objects.List(t.Context(), "", func(o commands.Object) bool { t.Errorf("%s is left", o.Key); return true }); err != nil {
		t.Error(err)
	}
}

// noFiles wants no file below dir, whatever it is for.
func noFiles(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

// memoryPeak is the most memory at a time that a process took, in MiB.
func memoryPeak(t *testing.T, pid int) (kib int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib >> 10
}

// post returns the status and the code of a refusal.
func (p *person) post(path string, body any) (int, string) {
	b, err := json.Marshal(body)
	if err != nil {
		return 0, err.Error()
	}
	status, _, answer := p.get("POST", path, b)
	var problem struct{ Code string }
	_ = json.Unmarshal(answer, &problem) // an answer without a code has none
	return status, problem.Code
}

// refusedFile uploads a file, which must be refused when it is completed.
func (p *person) refusedFile(f *badFile) error {
	u := &sentUpload{who: p, data: f.data, kind: f.kind}
	err := u.run()
	want := map[string]string{"too_large": "413 ", "bad_request": "400 "}[f.code]
	if u.asset == "" || err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), f.code) {
		return fmt.Errorf("%s as a file: %v", f.name, err)
	}
	if status, _, _ := p.get("GET", "/v1/assets/"+u.asset, nil); status != http.StatusNotFound {
		return fmt.Errorf("%s as a file: it is answered with %d", f.name, status)
	}
	return nil
}

// refusedSource adds it as an element's data URL.
func (p *person) refusedSource(id string, f *badFile) error {
	src := "data:" + f.kind + ";base64," + base64.StdEncoding.EncodeToString(f.data)
	status, code := p.add("room", id, src)
	if status < 400 || status >= 500 || code != "invalid_command" && code != "too_large" {
		return fmt.Errorf("%s in an element: %d %s", f.name, status, code)
	}
	return nil
}

// cutUpload breaks off in the middle of the bytes. It is given up by the client, or by nobody.
func (p *person) cutUpload(size int, giveUp bool) error {
	var a uploadAnswer
	if _, err := httpJSON("POST", "http://"+p.s.addr+"/v1/assets", p.token, map[string]any{"name": "cut.png", "content_type": "image/png", "size": size}, &a); err != nil {
		return err
	}
	to, length := a.Upload.URL, int64(size)
	if to == "" {
		to, length = a.Upload.Parts[0].URL, a.Upload.PartSize
	}
	body, end := io.Pipe()
	req, err := http.NewRequest(http.MethodPut, to, body)
	if err != nil {
		return err
	}
	req.ContentLength = length
	for k, v := range a.Upload.Headers {
		req.Header.Set(k, v)
	}
	go func() {
		_, _ = end.Write(make([]byte, length/2)) // the request is over where it fails
		_ = end.CloseWithError(errors.New("cut"))
	}()
	if res, err := http.DefaultClient.Do(req); err == nil {
		_ = res.Body.Close() // it is not about what the answer says
		return fmt.Errorf("half of the bytes were answered with %s", res.Status)
	}
	path := "/v1/assets/" + a.Asset.ID
	if status, code := p.post(path+"/complete", struct{}{}); status != http.StatusConflict || code != "conflict" {
		return fmt.Errorf("half of the bytes were completed with %d %s", status, code)
	}
	if giveUp {
		if status, _, body := p.get("DELETE", path, nil); status != http.StatusNoContent {
			return fmt.Errorf("given up: %d %s", status, body)
		}
	}
	return nil
}
