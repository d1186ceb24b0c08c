package api

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"sort"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/domain"
)

// pageCSP lets the page load its own files, pictures of everywhere (elements may show them) and sockets, send files to the store at uploadOrigin
// ("": to this server), and be framed by nobody.
func pageCSP(uploadOrigin string) string {
	if uploadOrigin != "" {
		uploadOrigin = " " + uploadOrigin
	}
	return "default-src 'self'; img-src 'self' blob: data: https:; media-src 'self' blob: data: https:; connect-src 'self' ws: wss:" + uploadOrigin +
		"; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
}

// hashedFiles is where the build puts files whose names carry a hash of their content.
const hashedFiles = "assets/"

// page is the built page, in memory. Immutable.
type page struct{ files map[string]*pageFile }

type pageFile struct {
	body              []byte
	kind, etag, cache string
}

// pageTypes are those of a build; the machine's own table is not asked, so that every machine serves the same.
var pageTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
	".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".ico": "image/x-icon", ".woff2": "font/woff2", ".json": "application/json",
	".txt": "text/plain; charset=utf-8", ".webmanifest": "application/manifest+json", ".wasm": "application/wasm", ".map": "application/json",
}

// loadPage reads the built files. Names that begin with a dot, and the build's own notes (*.sha256), are not served.
func loadPage(files fs.FS) (*page, error) {
	p := &page{files: map[string]*pageFile{}}
	if files == nil {
		return p, nil
	}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(path.Base(name), ".") || path.Ext(name) == ".sha256" {
			return err
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		p.files[name] = newPageFile(name, body)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("api: read the page: %w", err)
	}
	return p, nil
}

func newPageFile(name string, body []byte) *pageFile {
	sum := sha256.Sum256(body)
	f := &pageFile{body: body, kind: pageTypes[path.Ext(name)], etag: `"` + hex.EncodeToString(sum[:16]) + `"`, cache: "no-cache"}
	if strings.HasPrefix(name, hashedFiles) {
		f.cache = "public, max-age=31536000, immutable"
	}
	if f.kind == "" {
		if f.kind = mime.TypeByExtension(path.Ext(name)); f.kind == "" {
			f.kind = "application/octet-stream"
		}
	}
	return f
}

// names lists the files that have an address of their own, sorted.
func (p *page) names() []string {
	var names []string
	for name := range p.files {
		if name != "index.html" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// index serves the page: / is the list of rooms, /r/:room a room. What is not a room's id is not found, so that no made-up address shows a page.
func (a *API) index(c echo.Context) error {
	if room := c.Param("room"); strings.Contains(c.Path(), ":room") {
		if !domain.ValidRoomID(room) {
			return domain.Errorf(domain.CodeNotFound, "there is no such room")
		}
		requestOf(c).room = room
	}
	return a.file("index.html")(c)
}

func (a *API) file(name string) echo.HandlerFunc {
	return func(c echo.Context) error {
		f := a.page.files[name]
		if f == nil {
			return domain.Errorf(domain.CodeNotFound, "this server was built without the page")
		}
		h := c.Response().Header()
		h.Set("Content-Security-Policy", pageCSP(a.cfg.UploadOrigin))
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", f.cache)
		h.Set("ETag", f.etag)
		if matches(c.Request().Header.Get("If-None-Match"), f.etag) {
			return c.NoContent(http.StatusNotModified)
		}
		return a.gone(c, c.Blob(http.StatusOK, f.kind, f.body))
	}
}
