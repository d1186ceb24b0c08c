package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/config"
)

// nodeOn opens the data directory in this process, until the returned function is called.
func nodeOn(t *testing.T, dir string, more ...string) (*node, func()) {
	t.Helper()
	env := map[string]string{"KANVAS_DATA": dir}
	for _, line := range slices.Concat(cloudflareEnv(t, dir), more) {
		name, value, _ := strings.Cut(line, "=")
		env[name] = value
	}
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	config.Register(fs)
	cfg, err := config.Load(fs, func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	n, err := openNode(t.Context(), cfg, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return n, func() {
		t.Helper()
		if err := n.close(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
}

// past makes uploads, and looks for what nothing shows, as it was that long ago.
type past struct {
	t    *testing.T
	n    *node
	days int
}

func (p *past) clock() int64 { return time.Now().AddDate(0, 0, -p.days).UnixMilli() }

func (p *past) quota() *commands.Quota {
	return commands.NewQuota(p.n.ledger, func(context.Context, string) (int64, error) { return 0, nil }, 1<<30, p.clock)
}

func (p *past) uploads() *commands.Uploads {
	return commands.NewUploads(commands.UploadConfig{Streams: commands.NewStreams(p.n.log, p.clock), Objects: p.n.objects, Intake: p.n.intake, Quota: p.quota()})
}

func (p *past) upload(person string, shade uint8) string {
	p.t.Helper()
	data, _ := picture(p.t, shade)
	ctx, uploads := p.t.Context(), p.uploads()
	up, err := uploads.Request(ctx, person, commands.UploadRequest{Name: "p.png", ContentType: "image/png", Size: int64(len(data))})
	if err != nil {
		p.t.Fatal(err)
	}
	if up.Puts == nil {
		_, err = p.n.receiver().Receive(ctx, up.Staged, 1, bytes.NewReader(data))
	} else {
		err = sendTo(ctx, up.Puts[0], data)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := uploads.Complete(ctx, person, up.Asset, nil); err != nil {
		p.t.Fatal(err)
	}
	return up.Asset
}

func sendTo(ctx context.Context, put commands.SignedPut, data []byte) error {
	req, err := http.NewRequestWithContext(ctx, put.Method, put.URL, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header = put.Header
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// mark has these marked as unused, by a look at the whole log.
func (p *past) mark(assets ...string) {
	p.t.Helper()
	marked := 0
	err := p.uploads().FindUnused(p.t.Context(), commands.UnusedConfig{Shown: p.n.shown, Stored: func(_ context.Context, yield func(string) bool) error {
		for _, a := range assets {
			yield(a)
		}
		return nil
	}}, func(u commands.Unused) { marked++ })
	if err != nil || marked != len(assets) {
		p.t.Fatalf("%d of %d marked: %v", marked, len(assets), err)
	}
}

// steps runs kanvas assets unused and returns what it says of each asset.
func steps(t *testing.T, dir string, more ...string) map[string]commands.Unused {
	t.Helper()
	got := map[string]commands.Unused{}
	for _, line := range strings.Split(strings.TrimSpace(mustTool(t, append([]string{"assets", "unused", "--data", dir}, more...)...)), "\n") {
		var u commands.Unused
		if line == "" {
			continue
		}
		if err := json.Unmarshal([]byte(line), &u); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		got[u.Asset] = u
	}
	return got
}

func wantSteps(t *testing.T, got map[string]commands.Unused, want map[string]string) {
	t.Helper()
	is := map[string]string{}
	for asset, u := range got {
		is[asset] = u.Step
	}
	if !maps.Equal(is, want) {
		t.Fatalf("%v, not %v", is, want)
	}
}

// TestUnusedAssetsAsProcesses: a server and the tool over records that are weeks old. What no revision shows is marked, and deleted after the time of
// grace; what was shown stays for ever, and what is used again before stays too.
func TestUnusedAssetsAsProcesses(t *testing.T) {
	const grace = 48 * time.Hour
	dir := t.TempDir()
	n, closeNode := nodeOn(t, dir)
	was := past{t, n, 40}
	never, removed, again, over := was.upload("ann", 1), was.upload("ann", 2), was.upload("ann", 3), was.upload("ann", 4)
	was.days = 38
	was.mark(again, over) // to be deleted 30 days later
	closeNode()

	s := startServer(t, dir, "127.0.0.1:0", "KANVAS_ASSET_GRACE="+grace.String())
	ann := &person{t, s, strings.TrimSpace(mustTool(t, "token", "ann", "--data", dir))}
	serves := func(asset string) bool {
		status, _, _ := ann.get("GET", "/v1/assets/"+asset, nil)
		return status == http.StatusOK
	}
	for _, asset := range []string{never, removed, again, over} {
		until(t, "the asset is in the tables", func() bool { return serves(asset) })
	}
	ann.room("room", "private")
	for _, asset := range []string{removed, again} {
		if status, code := ann.add("room", asset, "/v1/assets/"+asset); status != http.StatusOK {
			t.Fatalf("%d %s", status, code)
		}
	}
	remove := map[string]any{"commands": []any{map[string]any{"command": "element.remove", "data": map[string]any{"id": removed}}}}
	if status := ann.call("POST", "/v1/rooms/room/commands", remove, nil); status != http.StatusOK {
		t.Fatal(status)
	}
	before := time.Now()
	dry := steps(t, dir, "--dry-run")
	wantSteps(t, dry, map[string]string{never: "marked", over: "deleted"})
	if after := time.UnixMilli(dry[never].DeleteAfter); after.Before(before.Add(grace).Truncate(time.Millisecond)) || after.After(time.Now().Add(grace)) {
		t.Errorf("to be deleted %s, not a time of grace from now", after)
	}
	wantSteps(t, steps(t, dir, "--dry-run"), map[string]string{never: "marked", over: "deleted"}) // nothing was done
	for _, asset := range []string{never, over} {
		if !serves(asset) || strings.Contains(mustTool(t, "log", "asset/"+asset, "--data", dir), "asset.deleted") {
			t.Errorf("the dry run deleted %s", asset)
		}
	}
	s.stop()

	// The server's own look.
	s = startServer(t, dir, "127.0.0.1:0", "KANVAS_ASSET_GRACE="+grace.String(), "KANVAS_UNUSED_EVERY=1s")
	ann.s = s
	until(t, "what was marked long ago is deleted", func() bool { return !serves(over) })
	until(t, "what nothing shows is marked", func() bool {
		return strings.Contains(mustTool(t, "log", "asset/"+never, "--data", dir), "asset.marked_unused")
	})
	if status, code := ann.add("room", "late", "/v1/assets/"+over); status != http.StatusNotFound {
		t.Errorf("a deleted asset is shown: %d %s", status, code)
	}
	if status, code := ann.add("room", never, "/v1/assets/"+never); status != http.StatusOK {
		t.Errorf("a marked asset is used again: %d %s", status, code)
	}
	until(t, "the server has looked again", func() bool { return strings.Count(s.out.String(), `"event":"assets_unused"`) >= 3 })
	for asset, want := range map[string][]string{
		never: {"asset.marked_unused", "asset.used_again"}, again: {"asset.marked_unused", "asset.used_again"}, over: {"asset.marked_unused", "asset.deleted"}, removed: nil,
	} {
		log := mustTool(t, "log", "asset/"+asset, "--data", dir)
		for _, step := range []string{"asset.marked_unused", "asset.used_again", "asset.deleted"} {
			wanted := 0
			for _, w := range want {
				if w == step {
					wanted = 1
				}
			}
			if got := strings.Count(log, `"`+step+`"`); got != wanted {
				t.Errorf("%s: %d × %s, not %d", asset, got, step, wanted)
			}
		}
		if asset != over && !serves(asset) {
			t.Errorf("%s is gone", asset)
		}
	}
	s.stop()
	wantSteps(t, steps(t, dir, "--dry-run"), map[string]string{}) // by the tool alone

	n, closeNode = nodeOn(t, dir)
	defer closeNode()
	var left int64
	err := n.objects.List(t.Context(), "", func(o commands.Object) bool {
		if strings.HasPrefix(o.Key, "images/ann/") && !strings.HasSuffix(o.Key, ".webp") {
			left += o.Size
		}
		return true
	})
	used, quotaErr := (&past{t, n, 0}).quota().Of(t.Context(), "ann")
	if err != nil || quotaErr != nil || used.Kept != left || used.Reserved != 0 || left == 0 {
		t.Errorf("ann keeps %d bytes, her account says %+v: %v, %v", left, used, err, quotaErr)
	}
}
