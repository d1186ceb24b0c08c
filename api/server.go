package api

import (
	"net/http"
	"time"
)

// Timeouts of Server.
const (
	headerTimeout = 5 * time.Second  // to send the headers of a request
	bodyTimeout   = 2 * time.Minute  // to send a body, see readBody
	writeStall    = 30 * time.Second // to take one chunk of an answer, see chunkWriter
	idleTimeout   = 2 * time.Minute  // between two requests
	maxHeader     = 64 << 10         // bytes
)

// Server is an http.Server with the right limits for handler. There is no ReadTimeout: it would end event streams; bodies have a deadline of
// their own. WriteTimeout is only where the deadline of an answer starts from: chunkWriter moves it on with every chunk. Shutdown drains an API at once,
// as it would wait for event streams otherwise; a caller that wants changes refused earlier calls Drain itself before.
func Server(handler http.Handler) *http.Server {
	s := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, WriteTimeout: 2 * writeStall, MaxHeaderBytes: maxHeader,
	}
	if a, ok := handler.(*API); ok {
		s.RegisterOnShutdown(a.Drain)
	}
	return s
}
