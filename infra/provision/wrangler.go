package provision

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Wrangler deploys the Worker with the wrangler of its npm packages.
type Wrangler struct {
	Manifest *Manifest
	Account  string
	Token    string // goes to wrangler by the environment, the Worker's secrets by its standard input: neither is in the process list
	APIURL   string // "": Cloudflare's
}

func (w *Wrangler) dir() string { return filepath.Dir(w.Manifest.Path) }
func (w *Wrangler) bin() string { return filepath.Join(w.dir(), "node_modules", ".bin") }

// Ready sees that wrangler and the Node it needs are installed.
func (w *Wrangler) Ready() error {
	program := filepath.Join(w.bin(), "wrangler")
	if _, err := os.Stat(program); err != nil {
		return &Problem{Doing: "find wrangler", Err: err, Next: "install Node 20 or newer with npm, then run: npm ci --prefix " + w.dir()}
	}
	return nil
}

// Build sums the Worker's source, its settings and its packages.
func (w *Wrangler) Build() (string, error) {
	h := sha256.New()
	err := filepath.WalkDir(w.dir(), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != w.dir() && (d.Name() != "src" && filepath.Dir(path) == w.dir()):
			return fs.SkipDir // tests, packages, what wrangler keeps
		case d.IsDir():
			return nil
		case filepath.Dir(path) == w.dir() && path != w.Manifest.Path && d.Name() != "package-lock.json":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(w.dir(), path)
		fmt.Fprintf(h, "%s %d\n", filepath.ToSlash(name), len(text))
		h.Write(text)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)[:8]), err
}

// Deploy runs wrangler deploy.
func (w *Wrangler) Deploy(ctx context.Context, vars, secrets map[string]string) error {
	args := []string{"deploy", "--config", w.Manifest.Path}
	if w.Manifest.Env != "" {
		args = append(args, "--env", w.Manifest.Env)
	}
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		args = append(args, "--var", name+":"+vars[name])
	}
	input, err := json.Marshal(secrets)
	if err != nil {
		return err
	}
	return w.run(ctx, input, secrets, append(args, "--secrets-file", "/dev/stdin")...)
}

// run runs wrangler with only what it needs of our environment. What it says is in the error, secrets taken out.
func (w *Wrangler) run(ctx context.Context, input []byte, secrets map[string]string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(w.bin(), "wrangler"), args...)
	cmd.Dir, cmd.Stdin = w.dir(), bytes.NewReader(input)
	cmd.Env = w.environ()
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	hidden := []string{w.Token}
	for _, v := range secrets {
		hidden = append(hidden, v)
	}
	said := redact(ansi.ReplaceAllString(string(out), ""), hidden)
	return &Problem{Doing: "wrangler " + args[0], Err: fmt.Errorf("%w\n%s", errors.Join(ctx.Err(), err), indent(tail(said, 4000))), Next: deployAdvice(said, w.Account)}
}

func (w *Wrangler) environ() []string {
	env := []string{
		"PATH=" + w.bin() + string(os.PathListSeparator) + os.Getenv("PATH"),
		"CLOUDFLARE_API_TOKEN=" + w.Token, "CLOUDFLARE_ACCOUNT_ID=" + w.Account,
		"WRANGLER_SEND_METRICS=false", "WRANGLER_HIDE_BANNER=true", "CLOUDFLARE_CF_FETCH_ENABLED=false", "CI=1", "NO_COLOR=1", "FORCE_COLOR=0",
		"WRANGLER_WRITE_LOGS=false", // its log files would stay behind
	}
	if w.APIURL != "" {
		env = append(env, "CLOUDFLARE_API_BASE_URL="+w.APIURL)
	}
	for _, name := range []string{"HOME", "TMPDIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "NODE_EXTRA_CA_CERTS"} {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

func deployAdvice(said, account string) string {
	switch {
	case strings.Contains(said, "code: 10000") || strings.Contains(said, "code: 10023") || strings.Contains(said, "code: 9109"):
		return fmt.Sprintf("give the token the permission %s for account %s at %s", areaWorkers.permission, account, tokenPage)
	case strings.Contains(said, "requires at least Node"):
		return "install the Node that wrangler asks for, or run npm ci beside wrangler.toml, which brings one"
	}
	return "see what wrangler says; run it again when it is mended, what is done is found"
}

// ansi are the colours that wrangler gives its errors whatever it is told.
var ansi = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// minRedacted is the shortest secret that is searched for in output.
const minRedacted = 6

func redact(s string, hidden []string) string {
	for _, h := range hidden {
		if len(h) >= minRedacted {
			s = strings.ReplaceAll(s, h, "[hidden]")
		}
	}
	return s
}

// tail is the end of s, at most n bytes.
func tail(s string, n int) string {
	s = strings.TrimSpace(s)
	if len(s) > n {
		s = "…" + strings.ToValidUTF8(s[len(s)-n:], "")
	}
	return s
}

func indent(s string) string { return "    " + strings.ReplaceAll(s, "\n", "\n    ") }
