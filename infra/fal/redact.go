package fal

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// minSecret is the shortest part of a key that is looked for by itself: shorter ones may be anything.
const minSecret = 8

// secretsOf are the key and, of a key "id:secret", the secret.
func secretsOf(key string) (list [][]byte) {
	if key == "" {
		return nil
	}
	list = append(list, []byte(key))
	if _, secret, ok := strings.Cut(key, ":"); ok && len(secret) >= minSecret {
		list = append(list, []byte(secret))
	}
	return list
}

// redactor reads what r has with every secret overwritten by as many stars. It holds back nothing but what may be the beginning of a secret, so a stream
// is passed on as it comes.
type redactor struct {
	r       io.ReadCloser
	secrets [][]byte

	buf  [16 << 10]byte
	wait []byte // read, not handed out
	held int    // how much of wait's end may be the beginning of a secret
	err  error
}

func redact(r io.ReadCloser, secrets [][]byte) io.ReadCloser {
	if len(secrets) == 0 {
		return r
	}
	return &redactor{r: r, secrets: secrets}
}

func (d *redactor) Read(p []byte) (int, error) {
	for len(d.wait) == d.held && d.err == nil {
		n, err := d.r.Read(d.buf[:])
		d.err = err
		d.wait = append(d.wait, d.buf[:n]...)
		d.mask()
		if err != nil {
			d.held = 0
		}
	}
	n := copy(p, d.wait[:len(d.wait)-d.held])
	d.wait = append(d.wait[:0], d.wait[n:]...)
	if n == 0 && len(p) > 0 {
		return 0, d.err
	}
	return n, nil
}

// mask overwrites the secrets in wait, and finds how much of its end may be one.
func (d *redactor) mask() {
	d.held = 0
	for _, s := range d.secrets {
		for at := 0; ; {
			i := bytes.Index(d.wait[at:], s)
			if i < 0 {
				break
			}
			at += i
			for j := range s {
				d.wait[at+j] = '*'
			}
			at += len(s)
		}
		for n := min(len(s)-1, len(d.wait)); n > d.held; n-- {
			if bytes.HasPrefix(s, d.wait[len(d.wait)-n:]) {
				d.held = n
			}
		}
	}
}

func (d *redactor) Close() error { return d.r.Close() }

// errTooLarge: the answer has more bytes than are passed on.
var errTooLarge = errors.New("fal: the answer is too large")

// limited ends with errTooLarge after n bytes.
type limited struct {
	io.ReadCloser
	n int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.n <= 0 {
		var one [1]byte
		if n, err := l.ReadCloser.Read(one[:]); n == 0 {
			return 0, err
		}
		return 0, errTooLarge
	}
	n, err := l.ReadCloser.Read(p[:min(int64(len(p)), l.n)])
	l.n -= int64(n)
	return n, err
}
