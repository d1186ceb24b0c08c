package main

import (
	"net"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/infra/provision"
	"github.com/infinite-kanvas/kanvas/infra/r2/s3test"
)

// TestBrowsersUploadToTheBucket: the page in a real browser sends files straight to an S3 server, under the very CORS rules that kanvas provision gives
// to the bucket; under those for another page it can't.
func TestBrowsersUploadToTheBucket(t *testing.T) {
	for may, rules := range map[string]func(page string) []any{
		"yes": func(page string) []any { return provision.CORSRules([]string{"https://app.example.com"}, page) },
		"no": func(string) []any {
			return provision.CORSRules([]string{"https://app.example.com"}, "https://worker.example.com")
		},
	} {
		t.Run(may, func(t *testing.T) {
			s3 := s3test.Start(t)
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			f := &front{behind: ln.Addr().String(), env: onR2(s3)}
			if err := ln.Close(); err != nil {
				t.Fatal(err)
			}
			s3.SetCORS(t, rules("http://"+f.behind))
			out := f.run(t, "api/web", "test/bucket.mjs", "KANVAS_BEHIND="+f.behind, "KANVAS_BUCKET="+s3.Endpoint+"/", "KANVAS_MAY_UPLOAD="+may)
			if want := map[string]string{"yes": "pass 2", "no": "pass 1"}[may]; !strings.Contains(out, want) {
				t.Errorf("not every test ran:\n%s", out)
			}
		})
	}
}
