package provisiontest

import (
	"fmt"
	"net/http"
	"strings"
)

// Fault makes calls fail.
type Fault struct {
	On     string // the call's "METHOD path" begins with this
	Times  int    // 0: always
	Lost   bool   // the call is carried out, and the connection cut before the answer
	Answer func(w http.ResponseWriter)
}

// Fail adds a fault. The first that fits a call is used.
func (c *Cloudflare) Fail(f Fault) {
	c.Lock()
	defer c.Unlock()
	if f.Times == 0 {
		f.Times = -1
	}
	c.faults = append(c.faults, &f)
}

// Heal removes all faults.
func (c *Cloudflare) Heal() {
	c.Lock()
	defer c.Unlock()
	c.faults = nil
}

func (c *Cloudflare) fault(note string) *Fault {
	for _, f := range c.faults {
		if f.Times != 0 && strings.HasPrefix(note, f.On) {
			f.Times--
			return f
		}
	}
	return nil
}

// Refuse answers with an error of the API.
func Refuse(status, code int, message string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { write(w, nil, nil, no(status, code, message)) }
}

// Text answers with something that is no JSON of the API.
func Text(status int, contentType, body string, header ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", contentType)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// Page1101 is what Cloudflare shows where a Worker failed.
func Page1101() func(http.ResponseWriter) {
	return Text(500, "text/html; charset=UTF-8", "<!DOCTYPE html><html><title>Worker threw exception</title><body>Error code: 1101</body></html>")
}
