package edgetest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// CompatibilityDate is that of wrangler.toml.
const CompatibilityDate = "2024-12-01"

const (
	readyWithin = 60 * time.Second // a busy machine; half a second else
	stopWithin  = 20 * time.Second
)

// spec is one Worker of a process, as serve.mjs reads it.
type spec struct {
	Name      string            `json:"name"`
	Database  string            `json:"database"`
	Namespace string            `json:"namespace"`
	Bucket    string            `json:"bucket"`
	S3        s3Keys            `json:"s3"`
	Vars      map[string]string `json:"vars"`
}

type s3Keys struct {
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey"`
}

// process is a node that runs serve.mjs, and workerd below it. It ends by itself when its input ends, so also when the test binary is killed.
type process struct {
	cmd     *exec.Cmd
	input   io.WriteCloser
	answers chan answer
	notes   *notes
	dir     string
	urls    map[string]string
	entry   string
	mu      sync.Mutex // one command at a time
	stopped sync.Once
}

type answer struct {
	Entry string            `json:"entry"`
	Dir   string            `json:"dir"`
	URLs  map[string]string `json:"urls"`
	OK    bool              `json:"ok"`
	Error string            `json:"error"`
}

// Root is the folder of the npm project, infra/edge.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(file))
}

// Node is the Node 22 that wrangler and miniflare need; it comes with the npm packages.
func Node() (string, error) {
	path := filepath.Join(Root(), "node_modules", ".bin", "node")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("the npm packages of infra/edge are not installed: run make deps (%w)", err)
	}
	return path, nil
}

// Env is the environment for wrangler and miniflare: Node 22 first in PATH, nothing asked of the network, nothing of this machine's account.
func Env() []string {
	env := []string{
		"WRANGLER_SEND_METRICS=false", "WRANGLER_HIDE_BANNER=true", "CLOUDFLARE_CF_FETCH_ENABLED=false", "CI=1", "NO_COLOR=1",
		"PATH=" + filepath.Join(Root(), "node_modules", ".bin") + string(os.PathListSeparator) + os.Getenv("PATH"),
	}
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); name != "PATH" && !strings.HasPrefix(name, "CLOUDFLARE_") && !strings.HasPrefix(name, "WRANGLER_") {
			env = append(env, kv)
		}
	}
	return env
}

// start runs serve.mjs and waits until its Workers answer. An empty dir is made here and removed when the process ends.
func start(dir string, workers []spec) (*process, error) {
	node, err := Node()
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(map[string]any{"dir": dir, "compatibilityDate": CompatibilityDate, "workers": workers})
	if err != nil {
		return nil, err
	}
	p := &process{answers: make(chan answer, 1), notes: &notes{}}
	p.cmd = exec.Command(node, filepath.Join(Root(), "edgetest", "serve.mjs"))
	p.cmd.Env = Env()
	p.cmd.Stderr = p.notes
	if p.input, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("run node: %w", err)
	}
	go p.listen(output)
	ready, err := p.ask(config, readyWithin)
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	p.urls, p.entry, p.dir = ready.URLs, ready.Entry, ready.Dir
	return p, nil
}

// listen ends when the process closes its output; then nobody is answered any more.
func (p *process) listen(output io.Reader) {
	defer close(p.answers)
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		var a answer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			a.Error = fmt.Sprintf("not an answer: %q", lines.Text())
		}
		p.answers <- a
	}
}

func (p *process) ask(line []byte, within time.Duration) (answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.input.Write(append(line, '\n')); err != nil {
		return answer{}, fmt.Errorf("%w\n%s", err, p.notes)
	}
	select {
	case a, open := <-p.answers:
		if !open {
			return answer{}, fmt.Errorf("the process ended:\n%s", p.notes)
		}
		if a.Error != "" {
			return answer{}, fmt.Errorf("%s\n%s", a.Error, p.notes)
		}
		return a, nil
	case <-time.After(within):
		return answer{}, fmt.Errorf("no answer within %s:\n%s", within, p.notes)
	}
}

func (p *process) reset(name string) error {
	return p.tell(command{Worker: name})
}

// command is what serve.mjs does to a Worker: put an object, or without one forget everything.
type command struct {
	Worker string `json:"worker"`
	Put    string `json:"put,omitempty"` // key
	Type   string `json:"type,omitempty"`
	Base64 []byte `json:"base64"`
}

func (p *process) tell(c command) error {
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = p.ask(line, readyWithin)
	return err
}

// stop ends the process and what it started, and waits for it; only the first call does something.
func (p *process) stop() (err error) {
	p.stopped.Do(func() { err = p.end() })
	return err
}

func (p *process) end() error {
	p.input.Close()
	timer := time.AfterFunc(stopWithin, func() { p.cmd.Process.Kill() })
	for range p.answers { // until its output is closed: Wait must not be called before
	}
	err := p.cmd.Wait()
	if !timer.Stop() {
		return fmt.Errorf("had to be killed after %s:\n%s", stopWithin, p.notes)
	}
	if err != nil {
		return fmt.Errorf("%w:\n%s", err, p.notes)
	}
	return nil
}

func (p *process) worker(s spec) *Worker {
	return &Worker{
		URL: p.urls[s.Name], Secret: s.Vars["GATEWAY_SECRET"], Account: s.Vars["ACCOUNT_ID"],
		name: s.Name, process: p, Database: s.Database, Namespace: s.Namespace, Bucket: s.Bucket, Dir: p.dir,
		S3: S3{Endpoint: p.entry + "/cdn-cgi/local/r2/s3", AccessKey: s.S3.AccessKeyID, SecretKey: s.S3.SecretAccessKey},
	}
}

// notes keeps the last of what the process wrote to its standard error, for messages of failed tests.
type notes struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const maxNotes = 64 << 10

func (n *notes) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.buf.Write(b)
	if over := n.buf.Len() - maxNotes; over > 0 {
		n.buf.Next(over)
	}
	return len(b), nil
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.buf.String()
}
