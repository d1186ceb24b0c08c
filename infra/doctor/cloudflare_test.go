package doctor

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
	"github.com/infinite-kanvas/kanvas/infra/kv"
	"github.com/infinite-kanvas/kanvas/infra/provision/provisiontest"
	"github.com/infinite-kanvas/kanvas/infra/r2"
	"github.com/infinite-kanvas/kanvas/infra/r2/s3test"
)

func client(t *testing.T, account, secret, url string, budget int) *cloudflare.Client {
	t.Helper()
	c, err := cloudflare.New(cloudflare.Config{Account: account, Secret: secret, URL: url, Budget: budget, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestToken(t *testing.T) {
	names := []string{"D1:Edit", "Workers KV Storage:Edit", "Workers R2 Storage:Edit", "Workers Scripts:Edit"}
	want := func(levels ...string) []string {
		list := []string{"ok cloudflare token"}
		for i, l := range levels {
			list = append(list, l+" cloudflare token, "+names[i])
		}
		return list
	}
	s := provisiontest.Start(t)
	good := client(t, provisiontest.Account, provisiontest.Token, s.URL, 0)
	run(t, Token(good, true), want("ok", "ok", "ok", "ok")...)
	s.Denied = names
	found := run(t, Token(good, true), want("fail", "fail", "warn", "warn")...)
	for i, name := range names {
		if !strings.Contains(found[i+1].Fix, name) {
			t.Errorf("%q does not name %s", found[i+1].Fix, name)
		}
	}
	run(t, Token(good, false), want("warn", "warn", "warn", "warn")...)
	s.Denied, s.TokenIs = nil, "expired"
	run(t, Token(good, true), "fail cloudflare token")
	found = run(t, Token(client(t, provisiontest.Account, "hunter2-hunter2-hunter2", s.URL, 0), true), "fail cloudflare token")
	if strings.Contains(fmt.Sprint(found), "hunter2") || !strings.Contains(found[0].Fix, "CLOUDFLARE_API_TOKEN") {
		t.Errorf("%+v", found)
	}
	run(t, Token(client(t, provisiontest.Account, provisiontest.Token, nobody(t), 0), true), "fail cloudflare token")
}

func TestD1(t *testing.T) {
	w := edgetest.Start(t)
	gateway := client(t, w.Account, w.Secret, w.Gateway(), 0)
	run(t, D1(gateway, w.Database), "ok d1", "ok d1 schema", "ok d1 write")
	found := run(t, D1(client(t, w.Account, "hunter2-hunter2-hunter2-hunter2-hunter2", w.Gateway(), 0), w.Database), "fail d1")
	if !strings.Contains(found[0].Fix, "KANVAS_GATEWAY_SECRET") || strings.Contains(fmt.Sprint(found), "hunter2") {
		t.Errorf("%+v", found)
	}
	run(t, D1(gateway, "00000000-0000-4000-8000-000000000000"), "fail d1")
	run(t, D1(client(t, w.Account, w.Secret, nobody(t), 0), w.Database), "fail d1")

	w.Query(t, "PRAGMA foreign_keys = off")
	w.Query(t, "ALTER TABLE parked RENAME TO gone")
	if found := run(t, D1(gateway, w.Database), "ok d1", "fail d1 schema"); !strings.Contains(found[1].Message, "parked") {
		t.Errorf("%+v", found)
	}
	w.Query(t, "ALTER TABLE gone RENAME TO parked")
	w.Query(t, "INSERT INTO d1_migrations (name) VALUES ('9999_future.sql')")
	run(t, D1(gateway, w.Database), "ok d1", "fail d1 schema")
	w.Query(t, "DELETE FROM d1_migrations WHERE name > '0002'")
	if found := run(t, D1(gateway, w.Database), "ok d1", "fail d1 schema"); !strings.Contains(found[1].Fix, "kanvas provision") {
		t.Errorf("%+v", found)
	}
}

// TestD1ByTheAPI: the public API, where a token may read and not write.
func TestD1ByTheAPI(t *testing.T) {
	s := provisiontest.Start(t)
	db := s.AddDatabase("db", "kanvas-db")
	api := client(t, provisiontest.Account, provisiontest.Token, s.URL, 900)
	found := run(t, D1(api, db.ID), "ok d1", "fail d1 schema")
	if !strings.Contains(found[1].Fix, "kanvas provision") {
		t.Errorf("%+v", found)
	}
	s.Denied = []string{"D1:Edit"}
	if found := run(t, D1(api, db.ID), "fail d1"); !strings.Contains(found[0].Fix, "D1:Edit") || !strings.Contains(found[0].Fix, "D1_DATABASE_ID") {
		t.Errorf("%+v", found)
	}
}

func TestKV(t *testing.T) {
	w := edgetest.Start(t)
	check := func(secret, url, namespace string) Check {
		c := client(t, w.Account, secret, url, 0)
		return KV(c, kv.New(c, namespace, nil))
	}
	good := check(w.Secret, w.Gateway(), w.Namespace)
	run(t, good, "ok kv", "ok kv write")
	found := run(t, check("hunter2-hunter2-hunter2-hunter2-hunter2", w.Gateway(), w.Namespace), "fail kv")
	if !strings.Contains(found[0].Fix, "KANVAS_GATEWAY_SECRET") || strings.Contains(fmt.Sprint(found), "hunter2") {
		t.Errorf("%+v", found)
	}
	run(t, check(w.Secret, w.Gateway(), "00000000000000000000000000000000"), "fail kv")
	run(t, check(w.Secret, nobody(t), w.Namespace), "fail kv")
	c := client(t, w.Account, w.Secret, w.Gateway(), 0)
	for name, f := range map[string]struct {
		forget, refuse bool
		want           string
	}{"not read yet": {forget: true, want: "warn kv read"}, "may not write": {refuse: true, want: "fail kv write"}} {
		t.Run(name, func(t *testing.T) {
			run(t, KV(c, &lame{kv.New(c, w.Namespace, nil), f.forget, f.refuse}), "ok kv", f.want)
		})
	}
}

// lame is the real store, seen from a place where a write has not arrived, or by somebody who may not write.
type lame struct {
	Cache
	forget, refuse bool
}

func (l *lame) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if l.refuse {
		return cloudflare.ErrDenied
	}
	if l.forget {
		value = []byte("of before")
	}
	return l.Cache.Put(ctx, key, value, ttl)
}

func TestR2(t *testing.T) {
	s := s3test.Start(t)
	open := func(endpoint, secret, name string) *r2.Bucket {
		b, err := r2.Open(r2.Config{Endpoint: endpoint, AccessKey: s.AccessKey, SecretKey: secret, Bucket: name})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	good, origins := open(s.Endpoint, s.SecretKey, s.Bucket), []string{"https://app.example.com"}
	run(t, R2(good, nil, ""), "ok r2", "ok r2 objects", "ok r2 signed", "warn r2 cors")
	run(t, R2(good, origins, ""), "ok r2", "ok r2 objects", "ok r2 signed", "fail r2 cors")
	api := s3.New(s3.Options{BaseEndpoint: &s.Endpoint, Region: "auto", UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, "")})
	_, err := api.PutBucketCors(context.Background(), &s3.PutBucketCorsInput{Bucket: &s.Bucket, CORSConfiguration: &types.CORSConfiguration{CORSRules: []types.CORSRule{{
		AllowedMethods: []string{"GET", "PUT"}, AllowedOrigins: origins, AllowedHeaders: []string{"content-type"}, MaxAgeSeconds: aws.Int32(60)}}}})
	if err != nil {
		t.Fatal(err)
	}
	run(t, R2(good, origins, ""), "ok r2", "ok r2 objects", "ok r2 signed", "ok r2 cors")
	run(t, R2(good, append(origins, "https://other.example.com"), ""), "ok r2", "ok r2 objects", "ok r2 signed", "fail r2 cors")
	for _, c := range []struct{ domain, level string }{
		{anyObject(t, good), "fail"}, {says(t, 404, "") + "/", "ok"}, {says(t, 200, "<html>"), "ok"}, {nobody(t), "fail"},
	} {
		run(t, R2(good, origins, c.domain), "ok r2", "ok r2 objects", "ok r2 signed", "ok r2 cors", c.level+" r2 domain")
	}
	if err := good.List(context.Background(), "snapshots/", func(o commands.Object) bool { t.Errorf("%s is left behind", o.Key); return true }); err != nil {
		t.Error(err)
	}
	if err := good.List(context.Background(), "doctor/", func(o commands.Object) bool { t.Errorf("%s is left behind", o.Key); return true }); err != nil {
		t.Error(err)
	}
	found := run(t, R2(open(s.Endpoint, "hunter2", s.Bucket), origins, ""), "fail r2")
	if strings.Contains(fmt.Sprint(found), "hunter2") || !strings.Contains(found[0].Fix, "R2_SECRET_ACCESS_KEY") {
		t.Errorf("%+v", found)
	}
	run(t, R2(open(s.Endpoint, s.SecretKey, "no-such-bucket"), origins, ""), "fail r2")
	run(t, R2(open(nobody(t), s.SecretKey, s.Bucket), origins, ""), "fail r2")
}

// anyObject is a domain that serves whatever is in the bucket, as R2's own do.
func anyObject(t *testing.T, b *r2.Bucket) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _, err := b.Get(r.Context(), strings.TrimPrefix(r.URL.Path, "/"), 0, -1)
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		defer body.Close()
		if _, err := io.Copy(w, body); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}
