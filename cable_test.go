package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// cable carries connections from its own address to a server's, and can be cut.
type cable struct {
	addr string
	to   string

	mu   sync.Mutex
	over bool
	open map[net.Conn]struct{}
	done sync.WaitGroup
}

func newCable(t *testing.T, to string) *cable {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{addr: ln.Addr().String(), to: to, open: map[net.Conn]struct{}{}}
	c.done.Go(func() {
		for {
			from, err := ln.Accept()
			if err != nil {
				return // the test is over
			}
			c.done.Go(func() { c.carry(from) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		c.mu.Lock()
		c.over = true
		c.mu.Unlock()
		c.cut()
		c.done.Wait()
	})
	return c
}

func (c *cable) carry(from net.Conn) {
	defer from.Close()
	to, err := net.Dial("tcp", c.to)
	if err != nil {
		return // the server is away
	}
	defer to.Close()
	if !c.hold(from, to) {
		return
	}
	defer c.release(from, to)
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
		both.Go(func() {
			_, _ = io.Copy(pair[1], pair[0]) // either side may end it
			pair[0].Close()
			pair[1].Close()
		})
	}
	both.Wait()
}

func (c *cable) hold(conns ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range conns {
		c.open[conn] = struct{}{}
	}
	return !c.over
}

func (c *cable) release(conns ...net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range conns {
		delete(c.open, conn)
	}
}

// cut breaks every connection under way, without a word to either side.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		conn.Close()
	}
}

// cutURL is an address that cuts when it is fetched.
func (c *cable) cutURL(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { c.cut() }))
	t.Cleanup(s.Close)
	return s.URL
}
