package api

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// noise is a picture that does not compress.
func noise(w, h int, seed uint64) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range m.Pix {
		m.Pix[i] = byte(r.Uint32())
	}
	for i := 3; i < len(m.Pix); i += 4 {
		m.Pix[i] = 255
	}
	return m
}

func pngOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.NoCompression}).Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jpegOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// withExif puts EXIF with an orientation and a place behind a JPEG's start.
func withExif(data []byte, orientation byte) []byte {
	tiff := append([]byte{'M', 'M', 0, '*', 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0}, "GPS 52.5 N 13.4 E"...)
	body := append([]byte("Exif\x00\x00"), tiff...)
	segment := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(body)+2))
	out := append([]byte{}, data[:2]...)
	return append(append(append(out, segment...), body...), data[2:]...)
}

func TestUploadInOneRequest(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	w.room(ada, "r", "private")
	data := withExif(jpegOf(t, noise(40, 20, 1)), 6)
	u := w.ask(ada, "Sommer am See (1).JPEG", "image/jpeg", len(data), cmd{"room_id": "r"})
	u.complete(nil).refused(409, "conflict") // nothing was sent: the upload stays
	u.send(data)
	a := u.complete(nil).ok(200)
	if a.str("status") != "ready" || a.num("width") != 20 || a.num("height") != 40 {
		t.Fatalf("%s", a.body)
	}
	if again := u.complete(nil).ok(200); string(again.body) != string(a.body) {
		t.Errorf("completed again: %s, before %s", again.body, a.body)
	}
	got := w.call("GET", a.str("url"), ada.token, nil).ok(200)
	if bytes.Contains(got.body, []byte("GPS")) || !bytes.Contains(got.body, []byte("Exif\x00\x00MM\x00*")) {
		t.Error("the place is still in it, or the orientation is not")
	}
	if m, err := jpeg.Decode(bytes.NewReader(got.body)); err != nil || m.Bounds().Dx() != 40 {
		t.Errorf("what is served is no picture: %v", err)
	}
	if c := got.header.Get("Cache-Control"); c != "private, max-age=31536000, immutable" {
		t.Error(c)
	}
	key := w.key(u.id)
	if !strings.HasPrefix(key, "images/"+ada.id+"/") || !strings.HasSuffix(key, "-Sommer-am-See-1.jpg") {
		t.Error(key)
	}
	w.parts.nothingLeft(t, key)
	w.call("GET", a.str("url"), w.guest("Bob").token, nil).refused(404, "not_found")
	if u.put(u.urls[0], data); w.call("GET", a.str("url"), ada.token, nil).ok(200).header.Get("ETag") != got.header.Get("ETag") {
		t.Error("an address that was used changes what is kept")
	}
	w.parts.nothingLeft(t, key)
}

// key is where an asset's bytes are.
func (w *world) key(asset string) string {
	w.t.Helper()
	if err := w.cfg.Progress.WaitHead(soon(w.t)); err != nil {
		w.t.Fatal(err)
	}
	row, err := w.store.AssetByID(soon(w.t), asset)
	if err != nil {
		w.t.Fatal(err)
	}
	return row.Key
}

func TestUploadInPartsIsResumed(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	data := pngOf(t, noise(2400, 2400, 2)) // 17 MB
	u := w.ask(ada, "x.png", "image/png", len(data))
	if len(u.urls) != 3 {
		t.Fatalf("%d parts of %d bytes", len(u.urls), len(data))
	}
	first := u.put(u.urls[0], data[:u.size]).ok(200).header.Get("ETag")
	u.put(u.urls[1], data[:77]).refused(400, "bad_request")
	u.complete([]cmd{{"number": 1, "etag": first}}).refused(409, "conflict")
	resumed := w.call("GET", "/v1/assets/"+u.id+"/upload", ada.token, nil).ok(200)
	parts := resumed.json()["upload"].(cmd)["parts"].([]any)
	if `"`+parts[0].(cmd)["etag"].(string)+`"` != first || parts[1].(cmd)["etag"] != nil {
		t.Fatalf("%v", parts)
	}
	u = w.asked(ada, resumed)
	list := []cmd{{"number": 1, "etag": first}}
	for i := 1; i < 3; i++ {
		etag := u.put(u.urls[i], data[i*u.size:min(len(data), (i+1)*u.size)]).ok(200).header.Get("ETag")
		list = append([]cmd{{"number": i + 1, "etag": etag}}, list...)
	}
	wrong := append([]cmd{{"number": 3, "etag": first}}, list[1:]...)
	u.complete(wrong).refused(409, "conflict")
	a := u.complete(list).ok(200)
	got := w.call("GET", a.str("url"), ada.token, nil, "Range", "bytes=16777210-16777219").ok(206)
	if !bytes.Equal(got.body, data[16777210:16777220]) || int(a.num("size")) != len(data) {
		t.Errorf("%x, %s", got.body, a.body)
	}
	w.parts.nothingLeft(t, "images/")
}

// chunked is a PNG made of chunks, as it may come from nobody's encoder.
func chunked(list ...[]byte) []byte {
	b := []byte("\x89PNG\r\n\x1a\n")
	for _, c := range list {
		b = binary.BigEndian.AppendUint32(b, uint32(len(c)-4))
		b = append(b, c...)
		b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(c))
	}
	return b
}

func TestBadUploadsAreRefusedAndNothingIsLeft(t *testing.T) {
	w := newWorld(t)
	ada := w.guest("Ada")
	good := pngOf(t, noise(30, 30, 3))
	photo := jpegOf(t, noise(64, 64, 4))
	var film bytes.Buffer
	paletted := image.NewPaletted(image.Rect(0, 0, 8, 8), color.Palette{color.Black, color.White})
	if err := gif.Encode(&film, paletted, nil); err != nil {
		t.Fatal(err)
	}
	ihdr := func(w, h uint32) []byte {
		return append(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte("IHDR"), w), h), 8, 2, 0, 0, 0)
	}
	zip := "PK\x03\x04 a file of another kind PK\x05\x06"
	for name, c := range map[string]struct {
		kind, code string
		data       []byte
	}{
		"a bomb of 30,000 × 30,000":    {"image/png", "too_large", chunked(ihdr(30_000, 30_000), []byte("IDATx\x9c"), []byte("IEND"))},
		"a bomb as a GIF":              {"image/gif", "too_large", append([]byte("GIF89a\xff\xff\xff\xff\x00\x00\x00"), 0x3b)},
		"PNG and ZIP":                  {"image/png", "bad_request", append(append([]byte{}, good...), zip...)},
		"JPEG and ZIP":                 {"image/jpeg", "bad_request", append(append([]byte{}, photo...), zip...)},
		"GIF and HTML":                 {"image/gif", "bad_request", append(film.Bytes(), "<script>alert(1)</script>"...)},
		"a JPEG that is cut":           {"image/jpeg", "bad_request", photo[:len(photo)/2]},
		"a JPEG without its last byte": {"image/jpeg", "bad_request", photo[:len(photo)-1]},
		"a PNG that is cut":            {"image/png", "bad_request", good[:len(good)-100]},
		"a PNG with a flipped bit":     {"image/png", "bad_request", func() []byte { b := append([]byte{}, good...); b[300] ^= 1; return b }()},
		"PNG said to be JPEG":          {"image/jpeg", "bad_request", good},
		"HTML said to be PNG":          {"image/png", "bad_request", []byte("<html><script>alert(1)</script></html>")},
		"SVG said to be WebP":          {"image/webp", "bad_request", []byte(`<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`)},
		"one byte":                     {"image/png", "bad_request", []byte{1}},
		"an MP4 that is cut":           {"video/mp4", "bad_request", []byte("\x00\x00\x00\x18ftypisom\x00\x00\x00\x00isommp42\x00\x10\x00\x00moov")},
	} {
		status := map[string]int{"too_large": 413, "bad_request": 400}[c.code]
		u := w.ask(ada, "x", c.kind, len(c.data))
		u.send(c.data)
		if a := u.complete(nil); a.status != status || a.json()["code"] != c.code {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		} else if again := u.complete(nil); string(again.body) != string(a.body) {
			t.Errorf("%s: asked again %s, before %s", name, again.body, a.body)
		}
		w.call("GET", "/v1/assets/"+u.id, ada.token, nil).refused(404, "not_found")
		w.parts.nothingLeft(t)
	}
	for _, bad := range []cmd{
		{"name": "../../etc/passwd"}, {"name": "a\\b"}, {"name": ".."}, {"name": "a\x00b"}, {"name": strings.Repeat("x", 600)},
		{"content_type": "image/svg+xml"}, {"content_type": "text/html"}, {"size": 0}, {"size": -1}, {"size": 1.5}, {"room_id": "../x"}, {"more": 1},
	} {
		body := cmd{"name": "x", "content_type": "image/png", "size": 10}
		for k, v := range bad {
			body[k] = v
		}
		w.call("POST", "/v1/assets", ada.token, body).refused(400, "bad_request")
	}
	w.call("POST", "/v1/assets", ada.token, cmd{"content_type": "image/png", "size": 100<<20 + 1}).refused(413, "too_large")
	w.call("POST", "/v1/assets", ada.token, cmd{"content_type": "video/mp4", "size": 500<<20 + 1}).refused(413, "too_large")
	w.call("POST", "/v1/assets", "", cmd{"content_type": "image/png", "size": 1}).refused(401, "unauthenticated")
	w.parts.nothingLeft(t)
	if held := w.used(ada); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
	var m runtime.MemStats
	if runtime.ReadMemStats(&m); m.Sys > 512<<20 {
		t.Errorf("%d MiB of memory", m.Sys>>20)
	}
}

// used is how many bytes of a person count.
func (w *world) used(p person) int64 {
	w.t.Helper()
	u, err := w.quota().Of(soon(w.t), p.id)
	if err != nil {
		w.t.Fatal(err)
	}
	return u.Kept + u.Reserved
}

func TestAddressesOfUploadsAreSigned(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.guest("Ada"), w.guest("Bob")
	data := pngOf(t, noise(20, 20, 5))
	u := w.ask(ada, "x.png", "image/png", len(data))
	url := u.urls[0]
	for name, changed := range map[string]string{
		"another asset": strings.Replace(url, u.id, w.ask(ada, "y", "image/png", 9).id, 1), "another part": strings.Replace(url, "/1?", "/2?", 1),
		"another type": strings.Replace(url, "type=image%2Fpng", "type=text%2Fhtml", 1), "longer": strings.Replace(url, fmt.Sprint("total=", len(data)), fmt.Sprint("total=", len(data)+1), 1),
		"later": strings.Replace(url, "expires=1", "expires=2", 1), "no signature": url[:strings.Index(url, "&sig=")] + "&total=" + fmt.Sprint(len(data)),
	} {
		if changed == url {
			t.Fatalf("%s changes nothing in %s", name, url)
		}
		if a := u.put(changed, data); a.status != 403 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	u.put(url, data[1:]).refused(400, "bad_request")
	u.heads["Content-Type"] = "text/html"
	u.put(url, data).refused(400, "bad_request")
	u.heads["Content-Type"] = "image/png"
	for _, path := range []string{"/complete", "/upload"} {
		method := map[string]string{"/complete": "POST", "/upload": "GET"}[path]
		w.call(method, "/v1/assets/"+u.id+path, bob.token, nil).refused(404, "not_found")
		w.call(method, "/v1/assets/"+u.id+path, "", nil).refused(401, "unauthenticated")
	}
	w.call("DELETE", "/v1/assets/"+u.id, bob.token, nil).refused(404, "not_found")
	if !strings.Contains(w.logs.String(), "/v1/uploads/") || strings.Contains(w.logs.String(), url[strings.Index(url, "sig=")+4:]) {
		t.Error("the signature is in the log, or the request is not")
	}
	w.clock.advance(uploadDay)
	u.put(url, data).refused(403, "forbidden")
}

func TestQuotaIsExactUnderConcurrency(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.RateLimits = false })
	ada := w.guest("Ada")
	const size = 3 << 20 // 21 of them fit into 64 MiB
	var took atomic.Int64
	var ids sync.Map
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			a := w.call("POST", "/v1/assets", ada.token, cmd{"content_type": "image/png", "size": size})
			switch a.status {
			case http.StatusCreated:
				took.Add(1)
				ids.Store(a.json()["asset"].(cmd)["id"], true)
			case http.StatusRequestEntityTooLarge:
			default:
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	all.Wait()
	if took.Load() != testQuota/size || w.used(ada) != size*(testQuota/size) {
		t.Fatalf("%d uploads were begun, %d fit; %d bytes are held", took.Load(), testQuota/size, w.used(ada))
	}
	ids.Range(func(id, _ any) bool { w.call("DELETE", "/v1/assets/"+id.(string), ada.token, nil).ok(204); return true })
	if w.used(ada) != 0 {
		t.Errorf("%d bytes are held after all were given up", w.used(ada))
	}
	data := pngOf(t, noise(100, 100, 6))
	w.upload(ada, "x.png", "image/png", data).ok(200)
	if w.used(ada) != int64(len(data)) {
		t.Errorf("%d bytes count, %d are kept", w.used(ada), len(data))
	}
	w.parts.nothingLeft(t, "images/")
}
