// Package web holds the page: its source (TypeScript, built by Vite) and the built files, which are committed and embedded so that
// building the server needs Go alone. After a change of the source run "make web"; embed_test.go fails until then.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var built embed.FS

// Files returns the built page: index.html (to be served for "/" and "/r/{room}"), assets/ (names carry a hash of the content, so they
// may be cached forever), the favicon, and source.sha256. It needs no Content-Security-Policy wider than
// "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob: data:; connect-src 'self' ws: wss:; style-src 'self' 'unsafe-inline'".
func Files() fs.FS {
	files, err := fs.Sub(built, "dist")
	if err != nil {
		panic(err) // can't be: "dist" is a valid path and embedded above
	}
	return files
}
