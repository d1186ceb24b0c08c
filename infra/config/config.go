// Package config reads Kanvas's settings: defaults, then the environment, then flags. Every problem is reported at once,
// and no message ever holds a secret's value.
package config

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config is everything `kanvas serve` can be told. Zero values are not usable: start from Default.
type Config struct {
	Listen     string         // host:port; port 0 picks a free one
	Data       string         // directory of everything Kanvas keeps
	NATSURL    string         // external NATS; empty: embedded
	Partitions int            // streams of the log; fixed when the store is created
	Durability string         // "always" (fsync before every ack) or "interval"
	Replicas   int            // of every log stream, on an external cluster
	PublicURL  string         // where clients reach this server; empty: from the request
	Origins    []string       // allowed browser origins besides the server's own
	Hosts      []string       // known Host names besides the listening address and PublicURL's
	Proxies    []netip.Prefix // whose X-Forwarded-For is believed
	Coalesce   time.Duration  // window of the old clients' drag lane
	CutDamage  bool           // a damaged log is opened, and what lies behind the damage cut off
	RateLimits bool           // limits on rates; limits on sizes are always on
	LogLevel   string         // debug, info, warn, error
	MasterKey  string         // file of the key that wraps people's keys; default DIR/master.key
	Forgotten  string         // file of the list of forgotten people; default DIR/forgotten, one for each node
	Passphrase string         // secret, that backups of people's keys are sealed under
	MaxSockets int            // on this node
	PerAddress int            // sockets per client address
	Profile    string         // file that a CPU profile is written to; empty: none

	Quota       int64         // bytes of assets that a person may keep
	AssetGrace  time.Duration // how long an asset is kept that nothing shows
	DropNames   bool          // names of people's files are left out of the keys of pictures
	UnusedEvery time.Duration // how often such assets are looked for

	Fal            Fal
	Clerk          Clerk
	Cloudflare     Cloudflare
	Upstash        Upstash
	RatePrefix     string // of the keys that limits on rates are counted under
	RateIdentifier string // the rest of these keys; {userId}, {ip} and {action} are filled in
}

// Default is what runs when nothing is said.
func Default() Config {
	return Config{
		Listen: "127.0.0.1:1999", Data: "data", Partitions: 8, Durability: "always", Replicas: 1,
		Coalesce: 50 * time.Millisecond, RateLimits: true, LogLevel: "info", MaxSockets: 20_000, PerAddress: 2_000,
		Quota: 1 << 30, AssetGrace: 30 * 24 * time.Hour, UnusedEvery: 24 * time.Hour,
		Cloudflare: Cloudflare{APIURL: "https://api.cloudflare.com/client/v4", Budget: 900, R2: R2{Bucket: "kanvas-images"}},
		Fal:        defaultFal(),
		RatePrefix: "rate_limit", RateIdentifier: "{userId}:{action}",
	}
}

// setting is one entry of the table that flags, environment and help are made from.
type setting struct {
	flag, env, help string // flag "": the environment alone
	set             func(*Config, string) error
	show            func(*Config) string
	secret          bool // never shown, and no flag, as everybody on the machine sees those
}

// name is how a setting is called where it is listed.
func (s *setting) name() string {
	if s.flag == "" {
		return s.env
	}
	return s.flag
}

func settings() []setting {
	str := func(f func(*Config) *string) (func(*Config, string) error, func(*Config) string) {
		return func(c *Config, v string) error { *f(c) = v; return nil }, func(c *Config) string { return *f(c) }
	}
	num := func(f func(*Config) *int) (func(*Config, string) error, func(*Config) string) {
		return func(c *Config, v string) error {
			n, err := strconv.Atoi(v)
			if err != nil {
				return errors.New("is not a whole number")
			}
			*f(c) = n
			return nil
		}, func(c *Config) string { return strconv.Itoa(*f(c)) }
	}
	list := func(f func(*Config) *[]string) (func(*Config, string) error, func(*Config) string) {
		return func(c *Config, v string) error { *f(c) = split(v); return nil },
			func(c *Config) string { return join(*f(c)) }
	}
	all := []setting{}
	add := func(flag, env, help string) func(func(*Config, string) error, func(*Config) string) {
		return func(set func(*Config, string) error, show func(*Config) string) {
			all = append(all, setting{flag: flag, env: env, help: help, set: set, show: show})
		}
	}
	add("listen", "KANVAS_LISTEN", "address to serve on; port 0 picks a free one")(str(func(c *Config) *string { return &c.Listen }))
	add("data", "KANVAS_DATA", "directory of everything that is kept")(str(func(c *Config) *string { return &c.Data }))
	add("nats-url", "KANVAS_NATS_URL", "external NATS server with JetStream; empty: embedded")(str(func(c *Config) *string { return &c.NATSURL }))
	add("partitions", "KANVAS_PARTITIONS", "streams of the log, 1 to 64; fixed when the store is created")(num(func(c *Config) *int { return &c.Partitions }))
	add("replicas", "KANVAS_REPLICAS", "copies of every stream on an external cluster: 1, 3 or 5")(num(func(c *Config) *int { return &c.Replicas }))
	add("durability", "KANVAS_DURABILITY", "always: fsync before every ack; interval: every few seconds (can lose acknowledged edits)")(str(func(c *Config) *string { return &c.Durability }))
	add("public-url", "KANVAS_PUBLIC_URL", "where clients reach this server, such as https://rooms.example.com")(str(func(c *Config) *string { return &c.PublicURL }))
	add("origins", "KANVAS_ORIGINS", "browser origins that may use it, comma-separated (localhost is allowed on loopback)")(list(func(c *Config) *[]string { return &c.Origins }))
	add("hosts", "KANVAS_HOSTS", "further Host names it answers to, comma-separated")(list(func(c *Config) *[]string { return &c.Hosts }))
	add("trusted-proxies", "KANVAS_TRUSTED_PROXIES", "networks whose X-Forwarded-For is believed, comma-separated CIDRs")(
		func(c *Config, v string) error {
			c.Proxies = nil
			for _, s := range split(v) {
				p, err := netip.ParsePrefix(s)
				if err != nil {
					return fmt.Errorf("%q is not a network such as 10.0.0.0/8", s)
				}
				c.Proxies = append(c.Proxies, p)
			}
			return nil
		}, func(c *Config) string {
			var s []string
			for _, p := range c.Proxies {
				s = append(s, p.String())
			}
			return strings.Join(s, ",")
		})
	add("coalesce", "KANVAS_COALESCE", "window in which an old client's drag becomes one commit, 5ms to 1s")(
		func(c *Config, v string) error {
			d, err := time.ParseDuration(v)
			if err != nil {
				return errors.New("is not a duration such as 50ms")
			}
			c.Coalesce = d
			return nil
		}, func(c *Config) string { return c.Coalesce.String() })
	add("rate-limits", "KANVAS_RATE_LIMITS", "on or off: limits on rates (never on sizes)")(
		func(c *Config, v string) error {
			if v != "on" && v != "off" {
				return errors.New("must be on or off")
			}
			c.RateLimits = v == "on"
			return nil
		}, func(c *Config) string {
			if c.RateLimits {
				return "on"
			}
			return "off"
		})
	add("cut-damaged-log", "KANVAS_CUT_DAMAGED_LOG", "on or off: open a log in which records can't be read, and lose what lies behind them. Copy it first")(
		func(c *Config, v string) error {
			if v != "on" && v != "off" {
				return errors.New("must be on or off")
			}
			c.CutDamage = v == "on"
			return nil
		}, func(c *Config) string {
			if c.CutDamage {
				return "on"
			}
			return "off"
		})
	add("log-level", "KANVAS_LOG_LEVEL", "debug, info, warn or error")(str(func(c *Config) *string { return &c.LogLevel }))
	add("master-key-file", "KANVAS_MASTER_KEY_FILE", "file of the key that wraps people's keys; default DIR/master.key, made at first start")(str(func(c *Config) *string { return &c.MasterKey }))
	add("forgotten-file", "KANVAS_FORGOTTEN_FILE", "file of the list of people who were forgotten; default DIR/forgotten, one for each node. Keep its newest copy when a backup is restored")(str(func(c *Config) *string { return &c.Forgotten }))
	all = append(all, setting{env: "KANVAS_KEYS_PASSPHRASE", help: "passphrase that backups of people's keys are sealed under, of at least 12 characters", secret: true,
		set: func(c *Config, v string) error { c.Passphrase = v; return nil }, show: func(c *Config) string { return c.Passphrase }})
	add("max-sockets", "KANVAS_MAX_SOCKETS", "sockets on this node")(num(func(c *Config) *int { return &c.MaxSockets }))
	add("max-sockets-per-address", "KANVAS_MAX_SOCKETS_PER_ADDRESS", "sockets of one client address")(num(func(c *Config) *int { return &c.PerAddress }))
	add("cpu-profile", "KANVAS_CPU_PROFILE", "file that a CPU profile is written to while it runs; empty: none")(str(func(c *Config) *string { return &c.Profile }))
	return slices.Concat(all, assetSettings(), cloudflareSettings(), clerkSettings(), falSettings(), spendingSettings())
}

func join(list []string) string { return strings.Join(list, ",") }

func split(v string) []string {
	var out []string
	for _, s := range strings.Split(v, ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// Register defines the flags named (all where names is empty) on fs. Load must be called after fs.Parse.
func Register(fs *flag.FlagSet, names ...string) {
	d := Default()
	for _, s := range settings() {
		if s.flag == "" || len(names) > 0 && !slices.Contains(names, s.flag) {
			continue
		}
		fs.String(s.flag, s.show(&d), fmt.Sprintf("%s (%s)", s.help, s.env))
	}
}

// Load returns defaults overlaid by the environment and by the flags set on fs, and every problem joined in one error.
func Load(fs *flag.FlagSet, getenv func(string) string) (Config, error) {
	c := Default()
	given := map[string]string{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = f.Value.String() })
	var problems []error
	for _, s := range settings() {
		v, err := environment(getenv, s.env)
		if err != nil {
			problems = append(problems, err)
		}
		if v != "" {
			if err := s.set(&c, v); err != nil {
				problems = append(problems, fmt.Errorf("%s %w", s.env, err))
			}
		}
		if v, ok := given[s.flag]; ok && s.flag != "" {
			if err := s.set(&c, v); err != nil {
				problems = append(problems, fmt.Errorf("--%s %w", s.flag, err))
			}
		}
	}
	if c.Data != "" { // a relative directory means the same for a tool that runs elsewhere later
		abs, err := filepath.Abs(c.Data)
		if err != nil {
			problems = append(problems, fmt.Errorf("data: %w", err))
		}
		c.Data = abs
	}
	if c.MasterKey == "" {
		c.MasterKey = filepath.Join(c.Data, "master.key")
	}
	if c.Forgotten == "" {
		c.Forgotten = filepath.Join(c.Data, "forgotten")
	}
	return c, errors.Join(append(problems, c.problems()...)...)
}

// minPassphrase is the shortest one that is taken: whoever has the backup may guess as long as they like.
const minPassphrase = 12

// maxSecretFile is the most bytes of a file that an environment variable names.
const maxSecretFile = 64 << 10

// environment is a variable's value, or what is in the file that NAME_FILE names, as secrets are mounted into containers.
func environment(getenv func(string) string, name string) (string, error) {
	path := getenv(name + "_FILE")
	if v := getenv(name); v != "" || path == "" {
		return v, nil
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxSecretFile {
		err = fmt.Errorf("is larger than %d bytes", maxSecretFile)
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return "", fmt.Errorf("%s_FILE: %w", name, err)
	}
	return strings.TrimSpace(string(b)), nil
}

func (c *Config) problems() []error {
	var p []error
	bad := func(format string, a ...any) { p = append(p, fmt.Errorf(format, a...)) }
	if _, port, err := net.SplitHostPort(c.Listen); err != nil {
		bad("listen: %q is not host:port", c.Listen)
	} else if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		bad("listen: port %q is not 0 to 65535", port)
	}
	if c.Data == "" {
		bad("data: a directory is needed")
	}
	if c.NATSURL != "" {
		if u, err := url.Parse(c.NATSURL); err != nil || u.Host == "" {
			bad("nats-url: not a URL such as nats://host:4222") // the value may hold a password
		}
	}
	if c.Partitions < 1 || c.Partitions > 64 {
		bad("partitions: %d is not 1 to 64", c.Partitions)
	}
	if c.Replicas != 1 && c.Replicas != 3 && c.Replicas != 5 {
		bad("replicas: %d is not 1, 3 or 5", c.Replicas)
	}
	if c.Replicas > 1 && c.NATSURL == "" {
		bad("replicas: %d needs an external cluster (nats-url)", c.Replicas)
	}
	if c.Durability != "always" && c.Durability != "interval" {
		bad("durability: %q is not always or interval", c.Durability)
	}
	if c.PublicURL != "" {
		if u, err := url.Parse(c.PublicURL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" || u.User != nil {
			bad("public-url: %q is not an http(s) URL without query", c.PublicURL)
		}
	}
	for _, o := range c.Origins {
		if u, err := url.Parse(o); err != nil || u.Host == "" || (u.Path != "" && u.Path != "/") || (u.Scheme != "http" && u.Scheme != "https") {
			bad("origins: %q is not an origin such as https://app.example.com", o)
		}
	}
	if c.Coalesce < 5*time.Millisecond || c.Coalesce > time.Second {
		bad("coalesce: %s is not 5ms to 1s", c.Coalesce)
	}
	if c.Passphrase != "" && len(c.Passphrase) < minPassphrase {
		bad("KANVAS_KEYS_PASSPHRASE: has fewer than %d characters", minPassphrase)
	}
	switch c.LogLevel {
	case "debug", "info", "warn", "error":
	default:
		bad("log-level: %q is not debug, info, warn or error", c.LogLevel)
	}
	if c.MaxSockets < 1 || c.PerAddress < 1 {
		bad("max-sockets and max-sockets-per-address: at least 1")
	}
	return slices.Concat(p, c.Cloudflare.problems(), c.Upstash.problems(), c.rateKeyProblems(), c.Clerk.problems(), c.Fal.problems(), c.assetProblems())
}

// Loopback reports whether the server listens on a loopback address only.
func (c *Config) Loopback() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// Describe lists every setting with its value, one "name value" pair a line, secrets redacted (for doctor).
func (c *Config) Describe() [][2]string {
	var out [][2]string
	for _, s := range settings() {
		v := s.show(c)
		if s.secret && v != "" {
			v = "set"
		}
		if s.flag == "nats-url" && v != "" {
			if u, err := url.Parse(v); err == nil {
				v = u.Redacted()
			}
		}
		out = append(out, [2]string{s.name(), v})
	}
	return out
}

// Secrets are the names of the environment variables that hold secrets.
func Secrets() (names []string) {
	for _, s := range settings() {
		if s.secret {
			names = append(names, s.env)
		}
	}
	return names
}
