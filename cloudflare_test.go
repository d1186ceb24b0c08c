package main

import (
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
	"github.com/infinite-kanvas/kanvas/infra/provision"
	"github.com/infinite-kanvas/kanvas/infra/r2/s3test"
)

// onCloudflare says that the end-to-end tests run with D1 and KV on workerd and R2 on an S3 server in place of the defaults
// (make test-cloudflare).
func onCloudflare() bool { return os.Getenv("KANVAS_TEST_CLOUDFLARE") != "" }

// cloudflareOf remembers what stands for Cloudflare by data directory: a server that is started again on it, and its tools, need the same.
var cloudflareOf struct {
	mu  sync.Mutex
	env map[string][]string
}

// cloudflareEnv is the environment that puts a data directory's tables, caches and objects on Cloudflare; empty where the tests run on the
// defaults, or the test has set up Cloudflare itself.
func cloudflareEnv(t *testing.T, dir string) []string {
	t.Helper()
	if !onCloudflare() || os.Getenv("KANVAS_GATEWAY_URL") != "" || os.Getenv("R2_ACCESS_KEY_ID") != "" {
		return nil
	}
	cloudflareOf.mu.Lock()
	defer cloudflareOf.mu.Unlock()
	if env, ok := cloudflareOf.env[dir]; ok {
		return env
	}
	w, s3 := edgetest.Shared(t), s3test.Start(t)
	s3.SetCORS(t, provision.CORSRules([]string{"*"}, "")) // for the page, wherever the test has it
	env := append(gatewayEnv(w), objectsEnv(edgetest.S3{Endpoint: s3.Endpoint, AccessKey: s3.AccessKey, SecretKey: s3.SecretKey}, s3.Bucket)...)
	if cloudflareOf.env == nil {
		cloudflareOf.env = map[string][]string{}
	}
	cloudflareOf.env[dir] = env
	t.Cleanup(func() {
		cloudflareOf.mu.Lock()
		defer cloudflareOf.mu.Unlock()
		delete(cloudflareOf.env, dir)
	})
	return env
}

func gatewayEnv(w *edgetest.Worker) []string {
	return []string{
		"CLOUDFLARE_ACCOUNT_ID=" + w.Account, "KANVAS_GATEWAY_URL=" + w.URL, "KANVAS_GATEWAY_SECRET=" + w.Secret,
		"D1_DATABASE_ID=" + w.Database, "KV_NAMESPACE_ID=" + w.Namespace,
	}
}

func objectsEnv(s edgetest.S3, bucket string) []string {
	return []string{"KANVAS_R2_ENDPOINT=" + s.Endpoint, "R2_ACCESS_KEY_ID=" + s.AccessKey, "R2_SECRET_ACCESS_KEY=" + s.SecretKey, "R2_BUCKET_NAME=" + bucket}
}

// dataOf is the data directory that a tool is told.
func dataOf(args []string) string {
	if i := slices.Index(args, "--data"); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	for _, a := range args {
		if dir, ok := strings.CutPrefix(a, "--data="); ok {
			return dir
		}
	}
	return ""
}
