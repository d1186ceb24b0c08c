package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/infinite-kanvas/kanvas/infra/ratelimit/upstashtest"
)

// nobody is an address where nothing listens.
func nobody(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	return s.URL
}

// says answers every request.
func says(t *testing.T, status int, body string, header ...string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestClock(t *testing.T) {
	run(t, Clock("it", says(t, 404, "")), "ok clock")
	run(t, Clock("it", says(t, 200, "", "Date", time.Now().Add(-10*time.Minute).UTC().Format(http.TimeFormat))), "fail clock")
	run(t, Clock("it", says(t, 200, "", "Date", "noon")), "warn clock")
	run(t, Clock("it", nobody(t)), "warn clock")
}

func TestUpstash(t *testing.T) {
	s := upstashtest.Start(t)
	run(t, Upstash(s.URL, upstashtest.Token), "ok upstash")
	run(t, Upstash(s.URL, "hunter2"), "fail upstash")
	run(t, Upstash(nobody(t), upstashtest.Token), "fail upstash")
	run(t, Upstash(says(t, 200, "<html>"), upstashtest.Token), "fail upstash")
	run(t, Upstash(says(t, 200, `{"error":"NOPERM this user has no permissions to run the 'eval' command"}`), upstashtest.Token), "fail upstash")
	run(t, Upstash(says(t, 302, "", "Location", s.URL), upstashtest.Token), "fail upstash")
}

func TestClerk(t *testing.T) {
	live := "sk_live_" + strings.Repeat("a1", 20)
	webhook := "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	keys := says(t, 200, `{"keys":[{"kid":"k","kty":"RSA","n":"AQAB","e":"AQAB"}]}`)
	run(t, Clerk(ClerkKeys{}))
	run(t, Clerk(ClerkKeys{SecretKey: live, WebhookSecret: webhook, JWKSURL: keys}), "ok clerk secret key", "ok clerk webhook", "ok clerk public keys")
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/.well-known/jwks.json", r.URL.Path == "/v1/jwks" && r.Header.Get("Authorization") == "Bearer "+live:
			fmt.Fprint(w, `{"keys":[{"kid":"k","kty":"RSA","n":"AQAB","e":"AQAB"}]}`)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(api.Close)
	run(t, Clerk(ClerkKeys{SecretKey: live, APIURL: api.URL}), "ok clerk secret key", "ok clerk public keys")
	run(t, Clerk(ClerkKeys{SecretKey: live + "x", APIURL: api.URL}), "ok clerk secret key", "fail clerk public keys")
	run(t, Clerk(ClerkKeys{Issuer: api.URL + "/"}), "ok clerk public keys")
	run(t, Clerk(ClerkKeys{Issuer: nobody(t)}), "fail clerk public keys")
	run(t, Clerk(ClerkKeys{SecretKey: strings.Replace(live, "live", "test", 1), JWKSURL: keys}), "warn clerk secret key", "ok clerk public keys")
	for _, bad := range []string{"pk_live_" + live[8:], live[:20], live + "\n", "hunter2"} {
		found := run(t, Clerk(ClerkKeys{SecretKey: bad, JWKSURL: keys}), "fail clerk secret key", "ok clerk public keys")
		if strings.Contains(fmt.Sprint(found), bad) {
			t.Error("a key is told")
		}
	}
	for _, bad := range []string{"hunter2", "whsec_", "whsec_!!!!", "whsec_c2hvcnQ=", webhook[6:]} {
		run(t, Clerk(ClerkKeys{WebhookSecret: bad}), "fail clerk webhook")
	}
	for _, bad := range []string{nobody(t), says(t, 404, "{}"), says(t, 200, "<html>"), says(t, 200, `{"keys":[]}`), says(t, 200, `{"keys":[{"kid":"k","kty":"EC"}]}`)} {
		run(t, Clerk(ClerkKeys{JWKSURL: bad}), "fail clerk public keys")
	}
}

func TestClerkPEM(t *testing.T) {
	public := func(key any, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := public(&key.PublicKey, nil)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	run(t, Clerk(ClerkKeys{PEM: good}), "ok clerk public key")
	run(t, Clerk(ClerkKeys{PEM: strings.ReplaceAll(good, "\n", `\n`)}), "ok clerk public key")
	for _, bad := range []string{"MIIB", good[:60], strings.Replace(good, "MII", "AAA", 1), public(&other.PublicKey, err)} {
		run(t, Clerk(ClerkKeys{PEM: bad}), "fail clerk public key")
	}
}

func TestFal(t *testing.T) {
	key := "0a1b2c3d-0000-1111-2222-333344445555:0123456789abcdef0123456789abcdef"
	run(t, Fal(key, says(t, 401, "")), "ok fal key", "ok fal")
	run(t, Fal("hunter2", says(t, 401, "")), "fail fal key", "ok fal")
	run(t, Fal(key, nobody(t)), "ok fal key", "fail fal")
}

// natsServer runs a real server in this process.
func natsServer(t *testing.T, o server.Options) string {
	t.Helper()
	o.Host, o.Port, o.NoSigs, o.NoLog, o.StoreDir = "127.0.0.1", -1, true, true, t.TempDir()
	s, err := server.NewServer(&o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server does not start")
	}
	return s.Addr().String()
}

func TestNATS(t *testing.T) {
	good := natsServer(t, server.Options{JetStream: true, Username: "kanvas", Password: "hunter2"})
	run(t, NATS("nats://kanvas:hunter2@"+good), "ok nats")
	for _, bad := range []string{"nats://kanvas:hunter3@" + good, "nats://kanvas:hunter3@" + natsServer(t, server.Options{}), "nats://kanvas:hunter3@" + strings.TrimPrefix(nobody(t), "http://"), "nats://kanvas:hunter3@["} {
		if found := run(t, NATS(bad), "fail nats"); strings.Contains(fmt.Sprint(found), "hunter3") {
			t.Errorf("the password is told: %+v", found)
		}
	}
}
