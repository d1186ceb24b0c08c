package fal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/infra/fal/faltest"
)

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// standIn is a proxy before a stand-in of fal.ai, and what it logs.
func standIn(t *testing.T) (*Proxy, *faltest.Server, *bytes.Buffer) {
	t.Helper()
	s := faltest.Start(t)
	logs := &bytes.Buffer{}
	return newProxy(t, Config{Key: faltest.Key, Dial: s.Dial, TLS: s.TLS, Logger: slog.New(slog.NewTextHandler(logs, nil))}), s, logs
}

func forward(t *testing.T, p *Proxy, method, target, body, ownKey string, headers ...string) (*http.Response, error) {
	t.Helper()
	call, err := p.Call(method, target, ownKey != "")
	if err != nil {
		t.Fatal(err)
	}
	in := httptest.NewRequest(method, "/api/fal", strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		in.Header.Add(headers[i], headers[i+1])
	}
	return p.Forward(soon(t), in, call, ownKey)
}

const runURL = "https://fal.run/fal-ai/flux-kontext-lora"

func read(t *testing.T, res *http.Response) string {
	t.Helper()
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestWhatIsSentAndPassedOn: of the caller nothing but what fal.ai needs, of fal.ai nothing but what concerns the caller.
func TestWhatIsSentAndPassedOn(t *testing.T) {
	p, s, _ := standIn(t)
	res, err := forward(t, p, "POST", runURL, `{"prompt":"a cat"}`, "", "Content-Type", "application/json", "Cookie", "__session=x", "Authorization", "Bearer y",
		"X-Fal-Target-Url", runURL, "X-Fal-Queue-Priority", "low", "X-Fal-Unknown", "1", "X-Forwarded-For", "192.0.2.1", "Proxy-Authorization", "z", "Accept-Encoding", "gzip", "Origin", "https://app")
	if err != nil {
		t.Fatal(err)
	}
	if body := read(t, res); !strings.Contains(body, "a cat") || res.StatusCode != 200 {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if res.Header.Get("Set-Cookie") != "" || res.Header.Get("X-Fal-Request-Id") == "" || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("passed on: %v", res.Header)
	}
	got := s.Requests()[0]
	for name := range got.Header {
		switch name {
		case "Content-Type", "Content-Length", "Authorization", "X-Fal-Queue-Priority", "User-Agent":
		default:
			t.Errorf("sent: %s: %s", name, got.Header.Get(name))
		}
	}
	if got.Header.Get("Authorization") != "Key "+faltest.Key || got.Body != `{"prompt":"a cat"}` {
		t.Errorf("%+v", got)
	}
	// Files get no key, whosever.
	for _, own := range []string{"", faltest.OwnKey} {
		res, err := forward(t, p, "GET", "https://v3.fal.media/files/x", "", own)
		if err != nil {
			t.Fatal(err)
		}
		read(t, res)
		if got := s.Requests()[len(s.Requests())-1]; got.Header.Get("Authorization") != "" {
			t.Error("a file was asked for with a key")
		}
	}
	if res, err := forward(t, p, "POST", runURL, `{"prompt":"x"}`, faltest.OwnKey); err != nil || res.StatusCode != 200 || s.Requests()[3].Header.Get("Authorization") != "Key "+faltest.OwnKey {
		t.Errorf("own key: %v", err)
	}
}

func TestTooManyHeaders(t *testing.T) {
	p, _, _ := standIn(t)
	var many []string
	for i := range maxFalHeads + 1 {
		many = append(many, fmt.Sprintf("X-Fal-%d", i), "x")
	}
	for name, headers := range map[string][]string{"many": many, "twice": {"X-Fal-A", "1", "X-Fal-A", "2"}, "long": {"X-Fal-A", strings.Repeat("x", maxFalHead+1)}} {
		_, err := forward(t, p, "POST", runURL, `{}`, faltest.OwnKey, headers...)
		var coded *domain.Error
		if !errors.As(err, &coded) || coded.Code != domain.CodeBadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFaults: whatever comes back, the caller learns a reason, and neither it nor the log sees the key.
func TestFaults(t *testing.T) {
	for name, fault := range map[string]http.HandlerFunc{
		"redirect elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.com/", http.StatusFound)
		},
		"redirect inside": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1/", http.StatusFound)
		},
		"redirect to a model": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://fal.run/other/model", http.StatusTemporaryRedirect)
		},
		"redirect for ever": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://v3.fal.media/x", http.StatusSeeOther)
		},
		"cut": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"401": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "no "+r.Header.Get("Authorization"), http.StatusUnauthorized)
		},
		"compressed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write([]byte{1})
		},
		"too large": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "999999999999") },
	} {
		t.Run(name, func(t *testing.T) {
			p, s, logs := standIn(t)
			s.Fault(func(w http.ResponseWriter, r *http.Request) bool { fault(w, r); return true })
			_, err := forward(t, p, "POST", runURL, `{"prompt":"x"}`, "")
			var coded *domain.Error
			if !errors.As(err, &coded) || coded.Code != domain.CodeUpstreamFailed || strings.Contains(coded.Detail, "ended") {
				t.Fatalf("%v", err)
			}
			for _, secret := range secretsOf(faltest.Key) {
				if strings.Contains(err.Error()+logs.String(), string(secret)) {
					t.Error("the key is shown")
				}
			}
		})
	}
}

// TestRedirectToAFile: is followed, without the key.
func TestRedirectToAFile(t *testing.T) {
	p, s, _ := standIn(t)
	s.Fault(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Host == "queue.fal.run" {
			http.Redirect(w, r, "https://v3.fal.media/files/out.png", http.StatusFound)
			return true
		}
		return false
	})
	res, err := forward(t, p, "GET", "https://queue.fal.run/fal-ai/flux-kontext-lora/requests/x", "", "")
	if err != nil || res.StatusCode != 404 {
		t.Fatalf("%+v %v", res, err)
	}
	if got := s.Requests(); len(got) != 1 || got[0].Header.Get("Authorization") != "" {
		t.Errorf("%+v", got)
	}
}

// TestKeyIsNeverShown: a server that says the key back, in one piece or byte by byte, in the body and in headers.
func TestKeyIsNeverShown(t *testing.T) {
	p, s, _ := standIn(t)
	s.Fault(func(w http.ResponseWriter, r *http.Request) bool {
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Key ")
		_, secret, _ := strings.Cut(key, ":")
		w.Header().Set("X-Fal-Echo", "you sent "+key)
		w.Header().Set("X-Fal-Other", "fine")
		for _, c := range "before " + key + " between " + secret + " " + key[:20] + " after" {
			fmt.Fprintf(w, "%c", c)
			w.(http.Flusher).Flush()
		}
		return true
	})
	res, err := forward(t, p, "POST", runURL, `{"prompt":"x"}`, "")
	if err != nil {
		t.Fatal(err)
	}
	body := read(t, res)
	_, secret, _ := strings.Cut(faltest.Key, ":")
	want := "before " + strings.Repeat("*", len(faltest.Key)) + " between " + strings.Repeat("*", len(secret)) + " " + faltest.Key[:20] + " after"
	if body != want {
		t.Errorf("%q", body)
	}
	if fmt.Sprint(res.Header) == "" || strings.Contains(fmt.Sprint(res.Header), secret) || res.Header.Get("X-Fal-Other") != "fine" {
		t.Errorf("%v", res.Header)
	}
}

// TestRedactor: however the bytes come, each secret is overwritten and nothing else.
func TestRedactor(t *testing.T) {
	key := "abcabd:abcabcabd-secret"
	secrets := secretsOf(key)
	for range 2000 {
		var plain strings.Builder
		for range rand.IntN(12) {
			plain.WriteString([]string{key, string(secrets[1]), key[:rand.IntN(len(key))], "abc", "x", strings.Repeat("y", rand.IntN(40))}[rand.IntN(6)])
		}
		want := strings.ReplaceAll(plain.String(), key, strings.Repeat("*", len(key)))
		want = strings.ReplaceAll(want, string(secrets[1]), strings.Repeat("*", len(secrets[1])))
		var r io.Reader = strings.NewReader(plain.String())
		switch rand.IntN(3) {
		case 0:
			r = iotest.OneByteReader(r)
		case 1:
			r = iotest.DataErrReader(iotest.HalfReader(r))
		}
		got, err := io.ReadAll(iotest.HalfReader(redact(io.NopCloser(r), secrets)))
		if err != nil || string(got) != want {
			t.Fatalf("%q → %q, not %q (%v)", plain.String(), got, want, err)
		}
	}
	got, err := io.ReadAll(redact(io.NopCloser(io.MultiReader(strings.NewReader("some "+key[:5]), iotest.ErrReader(io.ErrUnexpectedEOF))), secrets))
	if !errors.Is(err, io.ErrUnexpectedEOF) || string(got) != "some "+key[:5] {
		t.Errorf("%q %v", got, err)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	for size, ok := range map[int64]bool{9: true, 10: true, 11: false} {
		got, err := io.ReadAll(&limited{io.NopCloser(bytes.NewReader(make([]byte, size))), 10})
		if ok != (err == nil) || !ok && !errors.Is(err, errTooLarge) || int64(len(got)) != min(size, 10) {
			t.Errorf("%d: %d bytes, %v", size, len(got), err)
		}
	}
}

func TestAddresses(t *testing.T) {
	for address, ok := range map[string]bool{
		"104.18.6.192:443": true, "[2606:4700::6812:6c0]:443": true, "104.18.6.192:80": false, "127.0.0.1:443": false, "[::1]:443": false, "10.0.0.1:443": false,
		"172.16.5.4:443": false, "192.168.1.1:443": false, "169.254.169.254:443": false, "100.64.0.1:443": false, "0.0.0.0:443": false, "[::]:443": false,
		"[::ffff:127.0.0.1]:443": false, "[::ffff:10.0.0.1]:443": false, "[64:ff9b::7f00:1]:443": false, "[2002:7f00:1::]:443": false, "[fe80::1]:443": false, "[fe80::1%eth0]:443": false,
		"[fc00::1]:443": false, "[fd12::1]:443": false, "224.0.0.1:443": false, "255.255.255.255:443": false, "240.0.0.1:443": false, "198.18.0.1:443": false, "[ff02::1]:443": false,
		"192.0.2.1:443": false, "[2001:db8::1]:443": false, "[2001::1]:443": false, "nonsense": false,
	} {
		if err := checkAddress(address); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestPrivateNames: a name of fal.ai's that a resolver points into this machine gets nowhere, though somebody listens there.
func TestPrivateNames(t *testing.T) {
	dns, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 64)
	served := make(chan struct{})
	go func() {
		defer close(served)
		answerPrivate(dns, asked)
	}()
	t.Cleanup(func() { dns.Close(); <-served })
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", dns.LocalAddr().String())
	}}
	logs := &bytes.Buffer{}
	p := newProxy(t, Config{Key: faltest.Key, Dial: dialPublic(resolver), Logger: slog.New(slog.NewTextHandler(logs, nil))})
	_, err = forward(t, p, "POST", runURL, `{"prompt":"x"}`, "")
	var coded *domain.Error
	if !errors.As(err, &coded) || coded.Code != domain.CodeUpstreamFailed || !strings.Contains(logs.String(), "not a public address") || strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("%v; log: %s", err, logs)
	}
	if len(asked) == 0 {
		t.Error("the resolver was not asked, so nothing was tried")
	}
	if !errors.Is(err, commands.ErrNotSent) {
		t.Errorf("%v does not say that nothing was sent", err)
	}
}

// TestForwardSaysWhatWasNotSent: an answer that is lost is not the same as a call that was never made.
func TestForwardSaysWhatWasNotSent(t *testing.T) {
	p, s, _ := standIn(t)
	s.Fault(func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) })
	if _, err := forward(t, p, "POST", runURL, `{"prompt":"x"}`, ""); err == nil || errors.Is(err, commands.ErrNotSent) {
		t.Errorf("an answer that was lost: %v", err)
	}
	if _, err := forward(t, p, "POST", runURL, `{"prompt":"x"}`, "", "X-Fal-Queue-Priority", "low", "X-Fal-Queue-Priority", "high"); !errors.Is(err, commands.ErrNotSent) {
		t.Errorf("a call that was refused here: %v", err)
	}
}

// answerPrivate says 127.0.0.1 to every question, until conn is closed.
func answerPrivate(conn net.PacketConn, asked chan<- string) {
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil || len(m.Questions) == 0 {
			continue
		}
		q := m.Questions[0]
		select {
		case asked <- q.Name.String():
		default:
		}
		m.Response, m.Additionals = true, nil
		if q.Type == dnsmessage.TypeA {
			m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, Type: q.Type, TTL: 1}, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}}}
		}
		if out, err := m.Pack(); err == nil {
			_, _ = conn.WriteTo(out, from) // the resolver asks again
		}
	}
}

// TestCallsEnd: with the context of who asked, before and after the answer began.
func TestCallsEnd(t *testing.T) {
	p, s, _ := standIn(t)
	ctx, cancel := context.WithCancel(soon(t))
	ended := make(chan struct{})
	s.Fault(func(w http.ResponseWriter, r *http.Request) bool {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(ended)
		return true
	})
	call, err := p.Call("POST", runURL+"/stream", false)
	if err != nil {
		t.Fatal(err)
	}
	res, err := p.Forward(ctx, httptest.NewRequest("POST", "/api/fal", strings.NewReader(`{}`)), call, "")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("the answer ended well")
	}
	res.Body.Close()
	select {
	case <-ended:
	case <-soon(t).Done():
		t.Error("fal.ai's side goes on")
	}
	if _, err := p.Forward(ctx, httptest.NewRequest("POST", "/api/fal", strings.NewReader(`{}`)), commands.FalCall{Method: "POST", URL: call.URL, Kind: commands.FalRun}, ""); err == nil {
		t.Error("made after its context's end")
	}
}
