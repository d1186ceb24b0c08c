package clerk

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/infra/clerk/clerktest"
)

const webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// message is one of Clerk's, with the members that their documentation shows.
func message(kind, data string) string {
	return fmt.Sprintf(`{"data":%s,"object":"event","type":%q,"timestamp":1700000000000,"instance_id":"ins_1"}`, data, kind)
}

const annData = `{"id":"user_29w83sxmDNGwOuEthce5gg56FcC","object":"user","first_name":"Ann","last_name":"Example","username":"ann","image_url":"https://img.clerk.com/xxx",
"primary_email_address_id":"idn_2","email_addresses":[{"id":"idn_1","email_address":"old@example.org"},{"id":"idn_2","email_address":"ann@example.org"}],
"created_at":1654012591514,"updated_at":1700000000123,"last_name_null":null,"public_metadata":{}}`

func codeOf(err error) domain.Code {
	var e *domain.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestWebhookReadsPeople(t *testing.T) {
	c := clerktest.Start(t)
	w, err := NewWebhook(webhookSecret)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	read := func(body string) (commands.DirectoryChange, bool, error) {
		t.Helper()
		return w.Read(c.Webhook(webhookSecret, "msg_1", now, body), []byte(body))
	}
	ann := commands.DirectoryUser{ID: "user_29w83sxmDNGwOuEthce5gg56FcC", Name: "Ann Example", Email: "ann@example.org", Avatar: "https://img.clerk.com/xxx", AsOf: 1700000000123}
	for _, x := range []struct {
		kind, data string
		want       commands.DirectoryUser
		deleted    bool
	}{
		{"user.created", annData, ann, false},
		{"user.updated", annData, ann, false},
		{"user.updated", `{"id":"user_2","first_name":null,"last_name":null,"username":"bob","email_addresses":[],"primary_email_address_id":null,"image_url":"","updated_at":5}`,
			commands.DirectoryUser{ID: "user_2", Name: "bob", AsOf: 5}, false},
		{"user.created", `{"id":"user_3","first_name":"Only","last_name":null,"username":null,"email_addresses":[{"id":"x","email_address":"a@b.c"}],"primary_email_address_id":"y","updated_at":5}`,
			commands.DirectoryUser{ID: "user_3", Name: "Only", AsOf: 5}, false},
		{"user.deleted", `{"deleted":true,"id":"user_2","object":"user"}`, commands.DirectoryUser{ID: "user_2"}, true},
	} {
		got, ok, err := read(message(x.kind, x.data))
		if err != nil || !ok || got.User != x.want || got.Deleted != x.deleted || got.Delivery != "msg_1" {
			t.Errorf("%s %s: %+v %t %v", x.kind, x.data, got, ok, err)
		}
	}
	if _, ok, err := read(message("session.created", `{"id":"sess_1"}`)); ok || err != nil {
		t.Errorf("news that are not about a person: %t %v", ok, err)
	}
	for _, bad := range []string{"", "{", "[]", "{}", `{"type":7}`, message("user.created", `{}`), message("user.created", `[]`), message("user.created", `{"id":"a/b","updated_at":1}`),
		message("user.updated", `{"id":"user_1"}`), message("user.updated", `{"id":7,"updated_at":1}`), message("user.deleted", `{"deleted":true}`)} {
		if _, ok, err := read(bad); ok || codeOf(err) != domain.CodeBadRequest {
			t.Errorf("%s: %t %v", bad, ok, err)
		}
	}
	for _, late := range []int64{now - 600, now + 600} {
		body := message("user.created", annData)
		if _, _, err := w.Read(c.Webhook(webhookSecret, "msg_1", late, body), []byte(body)); codeOf(err) != domain.CodeUnauthenticated {
			t.Errorf("signed %d s from now: %v", late-now, err)
		}
	}
	for _, bad := range []string{"", "whsec_", "whsec_short", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!"} {
		if _, err := NewWebhook(bad); err == nil || len(bad) > 8 && strings.Contains(err.Error(), bad) {
			t.Errorf("secret %q: %v", bad, err)
		}
	}
}

// TestMutatedSignatures: of many messages whose signature, id, time or body was damaged, none is accepted.
func TestMutatedSignatures(t *testing.T) {
	c := clerktest.Start(t)
	w, err := NewWebhook(webhookSecret)
	if err != nil {
		t.Fatal(err)
	}
	body := message("user.created", annData)
	headers := c.Webhook(webhookSecret, "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", time.Now().Unix(), body)
	if _, ok, err := w.Read(headers, []byte(body)); !ok || err != nil {
		t.Fatal(err) // else all below would prove nothing
	}
	other := c.Webhook("whsec_"+strings.Repeat("A", 32), "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", time.Now().Unix(), body).Get("svix-signature")
	r, tried := rand.New(rand.NewPCG(3, 4)), 0
	for n := mutations(t, 2_000); tried < n; {
		h, b := headers.Clone(), body
		name := []string{"svix-signature", "svix-signature", "svix-signature", "svix-id", "svix-timestamp", "body", "other", "twice"}[r.IntN(8)]
		switch name {
		case "body":
			b = mutate(r, body)
		case "other":
			h.Set("svix-signature", mutate(r, other))
		case "twice":
			h.Add([]string{"svix-id", "svix-timestamp", "svix-signature"}[r.IntN(3)], mutate(r, headers.Get("svix-signature")))
		default:
			h.Set(name, mutate(r, headers.Get(name)))
		}
		if b == body && fmt.Sprint(h) == fmt.Sprint(headers) {
			continue
		}
		tried++
		if _, ok, err := w.Read(h, []byte(b)); ok || codeOf(err) != domain.CodeUnauthenticated {
			t.Fatalf("mutation %d of %s: %t %v: %q", tried, name, ok, err, h)
		}
	}
	for _, missing := range []string{"svix-id", "svix-timestamp", "svix-signature"} {
		h := headers.Clone()
		h.Del(missing)
		if _, ok, err := w.Read(h, []byte(body)); ok || codeOf(err) != domain.CodeUnauthenticated {
			t.Errorf("without %s: %v", missing, err)
		}
	}
	t.Logf("%d mutated messages, none accepted", tried)
	two := headers.Clone() // while a secret is changed Svix signs with both
	two.Set("svix-signature", other+" "+headers.Get("svix-signature"))
	if _, ok, err := w.Read(two, []byte(body)); !ok {
		t.Errorf("two signatures, one of them good: %v", err)
	}
}

func TestBackendTellsOneUser(t *testing.T) {
	answer, status := annData, 200
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/users/user_29w83sxmDNGwOuEthce5gg56FcC" || r.Header.Get("Authorization") != "Bearer sk_hush" {
			status = 404
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}))
	defer server.Close()
	b, err := NewBackend(Config{SecretKey: "sk_hush", APIURL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	u, err := b.User(context.Background(), "user_29w83sxmDNGwOuEthce5gg56FcC")
	if err != nil || u.Name != "Ann Example" || u.Email != "ann@example.org" {
		t.Errorf("%+v %v", u, err)
	}
	for _, bad := range []string{"", "[]", `{"id":"user_other"}`, strings.Repeat(" ", maxUser+1)} {
		answer = bad
		if _, err := b.User(context.Background(), "user_29w83sxmDNGwOuEthce5gg56FcC"); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	if _, err := NewBackend(Config{}); err == nil {
		t.Error("no secret key is needed")
	}
}
