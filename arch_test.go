package main

import (
	"go/parser"
	gotoken "go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/infinite-kanvas/kanvas/"

// rule says what the packages below one folder may import. The longest matching folder's rule holds.
type rule struct {
	folder string
	own    []string // folders of this module
	other  []string // prefixes of other modules; the standard library is always allowed
	why    string
}

var rules = []rule{
	{"events", []string{"events"}, nil, "what happened is plain data that everything else stands on"},
	{"domain", []string{"domain", "events"}, nil, "deciding is pure, so it can be replayed and fuzzed"},
	{"commands", []string{"commands", "domain", "events"}, small, "the room actor knows its ports, not what is behind them"},
	{"migrations", nil, nil, "SQL only"},
	{"projections", []string{"projections", "events"}, small, "rows come from events, never from a room's memory"},
	{"api", []string{"api", "commands", "domain", "events", "projections", "migrations"}, append(append([]string{}, small...),
		"github.com/labstack/echo/v4", "github.com/coder/websocket", "github.com/golang-jwt/jwt/v5"), "the edge never reaches round its ports"},
	{"infra", []string{"infra", "commands", "domain", "events", "projections", "migrations"}, append(append([]string{}, small...),
		"github.com/nats-io", "github.com/minio/highwayhash", "modernc.org/sqlite", "github.com/ThreeDotsLabs", "github.com/cloudflare/cloudflare-go/v7", "github.com/pelletier/go-toml/v2",
		"github.com/aws/aws-sdk-go-v2", "github.com/aws/smithy-go",
		"github.com/hashicorp/golang-lru/v2", "filippo.io/age", "github.com/sony/gobreaker/v2", "github.com/gen2brain/webp", "github.com/redis/go-redis/v9",
		"github.com/cespare/xxhash/v2", "github.com/golang-jwt/jwt/v5", "github.com/MicahParks/jwkset", "github.com/svix/svix-webhooks/go"), "vendors stay behind ports and never see the edge"},
}

// small are the libraries that any package but events and domain may use.
var small = []string{"github.com/google/uuid", "github.com/oklog/ulid/v2", "golang.org/x/", "github.com/prometheus/client_golang"}

func TestImportsPointOneWay(t *testing.T) {
	used := map[string]bool{}
	for _, file := range goFiles(t) {
		if strings.HasSuffix(file, "_test.go") || path.Dir(file) == "." {
			continue
		}
		r, ok := ruleFor(path.Dir(file))
		if !ok {
			t.Errorf("%s: no rule for this folder", file)
			continue
		}
		used[r.folder] = true
		for _, imp := range imports(t, file) {
			if !r.allows(imp) {
				t.Errorf("%s imports %s: %s", file, imp, r.why)
			}
		}
	}
	for _, r := range rules {
		if !used[r.folder] {
			t.Errorf("rule for %s: no such package any more", r.folder)
		}
	}
}

// TestTestsKeepDirectionToo: tests may wire the real infra into commands, projections and api; events and domain stay alone.
func TestTestsKeepDirectionToo(t *testing.T) {
	for _, file := range goFiles(t) {
		if !strings.HasSuffix(file, "_test.go") {
			continue
		}
		top := strings.Split(file, "/")[0]
		if top != "events" && top != "domain" {
			continue
		}
		r, _ := ruleFor(path.Dir(file))
		for _, imp := range imports(t, file) {
			if !r.allows(imp) {
				t.Errorf("%s imports %s: %s", file, imp, r.why)
			}
		}
	}
}

func TestNothingElseBesideTheFolders(t *testing.T) {
	known := map[string]bool{"domain": true, "commands": true, "events": true, "projections": true, "api": true, "infra": true, "migrations": true}
	for _, file := range goFiles(t) {
		if top, _, nested := strings.Cut(file, "/"); nested && !known[top] {
			t.Errorf("%s: Go packages live in the given folders only", file)
		}
	}
}

func ruleFor(folder string) (rule, bool) {
	sorted := append([]rule{}, rules...)
	sort.Slice(sorted, func(i, j int) bool { return len(sorted[i].folder) > len(sorted[j].folder) })
	for _, r := range sorted {
		if folder == r.folder || strings.HasPrefix(folder, r.folder+"/") {
			return r, true
		}
	}
	return rule{}, false
}

func (r rule) allows(imp string) bool {
	if own, ok := strings.CutPrefix(imp, module); ok {
		for _, f := range r.own {
			if own == f || strings.HasPrefix(own, f+"/") {
				return true
			}
		}
		return false
	}
	if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
		return true // standard library
	}
	for _, p := range r.other {
		if strings.HasPrefix(imp, p) {
			return true
		}
	}
	return false
}

func goFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := fs.WalkDir(os.DirFS("."), ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "testdata" || d.Name() == "data"):
			return fs.SkipDir
		case strings.HasSuffix(p, ".go"):
			files = append(files, p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func imports(t *testing.T, file string) []string {
	t.Helper()
	f, err := parser.ParseFile(gotoken.NewFileSet(), filepath.FromSlash(file), nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, i := range f.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}
