package provision_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
	"github.com/infinite-kanvas/kanvas/infra/provision"
	"github.com/infinite-kanvas/kanvas/infra/provision/provisiontest"
	"github.com/infinite-kanvas/kanvas/migrations"
)

// world is an account, a checkout of the Worker and what an operator has set.
type world struct {
	t       *testing.T
	c       *provisiontest.Cloudflare
	dir     string
	env     string
	options func(*provision.Options)
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, c: provisiontest.Start(t), dir: t.TempDir(), options: func(*provision.Options) {}}
	w.write("wrangler.toml", provision.Guide)
	return w
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(name string) string {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// provisioner is a new one, as each run of the program makes.
func (w *world) provisioner() *provision.Provisioner {
	w.t.Helper()
	client, err := cloudflare.New(cloudflare.Config{Account: provisiontest.Account, Secret: provisiontest.Token, URL: w.c.URL, Timeout: 5 * time.Second})
	if err != nil {
		w.t.Fatal(err)
	}
	m, err := provision.ReadManifest(filepath.Join(w.dir, "wrangler.toml"), w.env)
	if err != nil {
		w.t.Fatal(err)
	}
	o := provision.Options{Client: client, Token: provisiontest.Token, Manifest: m, EnvFile: filepath.Join(w.dir, "cloudflare.env"),
		Origins: []string{"https://app.example.com"}, Deployer: &upload{c: w.c, m: m}}
	w.options(&o)
	return provision.New(o)
}

// run plans and applies; planned is the plan as text, one "verb what" a line.
func (w *world) run() (planned []string, err error) {
	w.t.Helper()
	plan, err := w.provisioner().Plan(context.Background())
	for _, a := range plan.Actions {
		planned = append(planned, string(a.Verb)+" "+a.What)
	}
	if err != nil {
		return planned, err
	}
	return planned, plan.Apply(context.Background(), func(provision.Action) {})
}

// complete fails where something of the account isn't as it should be.
func (w *world) complete() {
	w.t.Helper()
	env := w.read("cloudflare.env")
	c := w.c
	c.Lock()
	defer c.Unlock()
	db := c.Databases[slices.IndexFunc(c.Databases, func(d *provisiontest.Database) bool { return d.Name == "kanvas-db" })]
	if n := count(c.Databases, func(d *provisiontest.Database) bool { return d.Name == "kanvas-db" }); n != 1 {
		w.t.Errorf("%d databases", n)
	}
	all, err := migrations.All()
	if err != nil {
		w.t.Fatal(err)
	}
	rows, err := db.Query("SELECT name FROM d1_migrations ORDER BY id")
	if err != nil || len(rows) != len(all) {
		w.t.Errorf("%v, %v", rows, err)
	}
	if _, err := db.Query("SELECT role FROM room_participants"); err != nil {
		w.t.Error(err)
	}
	title := "infinite-kanvas-dev-KANVAS_CACHE"
	ns := c.Namespaces[slices.IndexFunc(c.Namespaces, func(n *provisiontest.Namespace) bool { return n.Title == title })]
	if n := count(c.Namespaces, func(n *provisiontest.Namespace) bool { return n.Title == title }); n != 1 {
		w.t.Errorf("%d namespaces", n)
	}
	b := c.Buckets["kanvas-images"]
	if b == nil || !strings.Contains(string(b.CORS), "https://app.example.com") || !strings.Contains(string(b.Lifecycle), "abortMultipartUploadsTransition") {
		w.t.Errorf("%s", b)
	}
	worker := c.Workers["infinite-kanvas-dev"]
	if worker == nil || worker.Vars["DATABASE_ID"] != db.ID || worker.Vars["NAMESPACE_ID"] != ns.ID || worker.Vars["ACCOUNT_ID"] != provisiontest.Account || len(worker.Secrets["GATEWAY_SECRET"]) < 32 {
		w.t.Errorf("%+v", worker)
		return
	}
	want := strings.NewReplacer("77bedc55-0190-40f9-ba57-a5fbb84d3dfd", db.ID, "ee2d9571c831496e912c66126eb38782", ns.ID).Replace(provision.Guide)
	if got := w.read("wrangler.toml"); got != want {
		w.t.Errorf("wrangler.toml:\n%s", got)
	}
	for _, line := range []string{"CLOUDFLARE_ACCOUNT_ID=" + provisiontest.Account, "D1_DATABASE_ID=" + db.ID, "KV_NAMESPACE_ID=" + ns.ID, "R2_BUCKET_NAME=kanvas-images",
		"KANVAS_GATEWAY_SECRET=" + worker.Secrets["GATEWAY_SECRET"], "KANVAS_GATEWAY_URL=https://infinite-kanvas-dev.kanvas-tests.workers.dev", "R2_ACCESS_KEY_ID=" + provisiontest.TokenID} {
		if !strings.Contains(env, line+"\n") {
			w.t.Errorf("%q is not in\n%s", line, env)
		}
	}
	if strings.Contains(env, provisiontest.Token) {
		w.t.Error("the API token is written down")
	}
	if st, err := os.Stat(filepath.Join(w.dir, "cloudflare.env")); err != nil || st.Mode().Perm() != 0o600 {
		w.t.Errorf("%v, %v", st.Mode(), err)
	}
}

func count[T any](list []T, is func(T) bool) (n int) {
	for _, v := range list {
		if is(v) {
			n++
		}
	}
	return n
}

// upload deploys as wrangler does in the end: one multipart request. TestWholeWithWrangler runs the real one.
type upload struct {
	c *provisiontest.Cloudflare
	m *provision.Manifest
}

func (u *upload) Ready() error { return nil }

func (u *upload) Build() (string, error) {
	text, err := os.ReadFile(u.m.Path)
	return fmt.Sprint(len(text)), err
}

func (u *upload) Deploy(ctx context.Context, vars, secrets map[string]string) error {
	type binding struct {
		Type string `json:"type"`
		Name string `json:"name"`
		Text string `json:"text"`
	}
	var bindings []binding
	for k, v := range vars {
		bindings = append(bindings, binding{"plain_text", k, v})
	}
	for k, v := range secrets {
		bindings = append(bindings, binding{"secret_text", k, v})
	}
	meta, err := json.Marshal(map[string]any{"main_module": "w.js", "bindings": bindings})
	if err != nil {
		return err
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	if err := errors.Join(form.WriteField("metadata", string(meta)), form.WriteField("w.js", "export default {}"), form.Close()); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, "PUT", u.c.URL+"/accounts/"+provisiontest.Account+"/workers/scripts/"+u.m.Worker, &body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	req.Header.Set("Authorization", "Bearer "+provisiontest.Token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err == nil && res.StatusCode != 200 {
		err = fmt.Errorf("%s: %s", res.Status, text)
	}
	return err
}

func TestEmptyAccount(t *testing.T) {
	w := newWorld(t)
	plan, err := w.provisioner().Plan(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if plan.Pending() == 0 || len(provisiontest.Writes(w.c.Calls())) > 0 || w.read("wrangler.toml") != provision.Guide {
		t.Error("planning changes something, or finds nothing to do")
	}
	planned, err := w.run()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`create D1 database "kanvas-db"`, "change tables", `create R2 bucket "kanvas-images"`, "change R2 lifecycle rules", "change R2 CORS rules",
		`create KV namespace "infinite-kanvas-dev-KANVAS_CACHE"`, "change " + filepath.Join(w.dir, "wrangler.toml"), "change settings of the room server", `create Worker "infinite-kanvas-dev"`}
	if !slices.Equal(planned, want) {
		t.Errorf("%q", planned)
	}
	w.complete()
	w.again()
}

// again: a second run finds all in place and changes nothing.
func (w *world) again() {
	w.t.Helper()
	w.c.Calls()
	planned, err := w.run()
	if err != nil || slices.ContainsFunc(planned, func(s string) bool { return !strings.HasPrefix(s, "keep ") }) {
		w.t.Errorf("%q, %v", planned, err)
	}
	if wrote := provisiontest.Writes(w.c.Calls()); len(wrote) > 0 {
		w.t.Errorf("wrote %q", wrote)
	}
}

// TestOthersAreLeftAlone: more than a page of other people's things, their rules, and what the ids of wrangler.toml name.
func TestOthersAreLeftAlone(t *testing.T) {
	w := newWorld(t)
	for i := range 250 {
		w.c.AddDatabase(fmt.Sprint("other-", i), fmt.Sprint("other-", i))
		w.c.Namespaces = append(w.c.Namespaces, &provisiontest.Namespace{ID: fmt.Sprint("n", i), Title: fmt.Sprint("other-", i)})
	}
	w.c.AddDatabase("77bedc55-0190-40f9-ba57-a5fbb84d3dfd", "renamed")
	w.c.Namespaces = append(w.c.Namespaces, &provisiontest.Namespace{ID: "ee2d9571c831496e912c66126eb38782", Title: "KANVAS_CACHE"})
	w.c.Buckets["kanvas-images"] = &provisiontest.Bucket{CORS: json.RawMessage(`[{"id":"theirs","allowed":{"methods":["GET"],"origins":["https://their.example.com"]},"new":{"member":1}},{"id":"kanvas-pages","allowed":{"methods":["GET"],"origins":["https://old.example.com"]}}]`),
		Lifecycle: json.RawMessage(`[{"id":"Default Multipart Abort Rule","enabled":true,"conditions":{"prefix":""},"abortMultipartUploadsTransition":{"condition":{"type":"Age","maxAge":604800}}}]`)}
	planned, err := w.run()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`keep D1 database "kanvas-db"`, `keep KV namespace "KANVAS_CACHE"`, `keep R2 bucket "kanvas-images"`, "keep " + filepath.Join(w.dir, "wrangler.toml")} {
		if !slices.Contains(planned, want) {
			t.Errorf("%q is not in %q", want, planned)
		}
	}
	if len(w.c.Databases) != 251 || len(w.c.Namespaces) != 251 || w.read("wrangler.toml") != provision.Guide {
		t.Error("something was made that was there")
	}
	cors, lifecycle := string(w.c.Buckets["kanvas-images"].CORS), string(w.c.Buckets["kanvas-images"].Lifecycle)
	if !strings.Contains(cors, `"new":{"member":1}`) || strings.Contains(cors, "old.example.com") || !strings.Contains(cors, "https://app.example.com") {
		t.Errorf("CORS: %s", cors)
	}
	if !strings.Contains(lifecycle, "Default Multipart Abort Rule") || !strings.Contains(lifecycle, "doctor/") {
		t.Errorf("lifecycle: %s", lifecycle)
	}
	w.again()
}

func TestEnvironmentsAreApart(t *testing.T) {
	w := newWorld(t)
	if _, err := w.run(); err != nil {
		t.Fatal(err)
	}
	w.env = "production"
	w.options = func(o *provision.Options) { o.EnvFile = filepath.Join(w.dir, "production.env") }
	if _, err := w.run(); err != nil {
		t.Fatal(err)
	}
	w.again()
	dev, production := w.c.Workers["infinite-kanvas-dev"], w.c.Workers["infinite-kanvas-dev-production"]
	for _, name := range []string{"DATABASE_ID", "NAMESPACE_ID"} {
		if dev.Vars[name] == "" || production.Vars[name] == "" || dev.Vars[name] == production.Vars[name] {
			t.Errorf("%s: %q and %q", name, dev.Vars[name], production.Vars[name])
		}
	}
	if dev.Secrets["GATEWAY_SECRET"] == production.Secrets["GATEWAY_SECRET"] {
		t.Error("both have one secret")
	}
}

// TestSettingsSurviveTheShell: what the server is told is read by a shell, whatever is in a key.
func TestSettingsSurviveTheShell(t *testing.T) {
	w := newWorld(t)
	const key, secret = "plain+/=", `a b'c"d$HOME\e#f;g`
	w.options = func(o *provision.Options) { o.R2AccessKey, o.R2SecretKey = key, secret }
	if _, err := w.run(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("sh", "-c", `set -a; . "$1"; printf '%s\n%s' "$R2_ACCESS_KEY_ID" "$R2_SECRET_ACCESS_KEY"`, "sh", filepath.Join(w.dir, "cloudflare.env")).CombinedOutput()
	if err != nil || string(out) != key+"\n"+secret {
		t.Errorf("%q %v", out, err)
	}
	if !strings.Contains(w.read("cloudflare.env"), "\nR2_ACCESS_KEY_ID="+key+"\n") {
		t.Error("a plain value is quoted")
	}
	w.again()
}

// TestOnlyWhatChangedIsDone: a new origin, variable or secret is brought there, and nothing else.
func TestOnlyWhatChangedIsDone(t *testing.T) {
	w := newWorld(t)
	if _, err := w.run(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*provision.Options)
		want   []string
	}{
		"origin":   {func(o *provision.Options) { o.Origins = []string{"https://new.example.com"} }, []string{"change R2 CORS rules"}},
		"variable": {func(o *provision.Options) { o.Vars = map[string]string{"ORIGIN": "https://rooms.kanvas.test"} }, []string{`change Worker "infinite-kanvas-dev"`}},
		"secret":   {func(o *provision.Options) { o.Secrets = map[string]string{"OTHER": "x"} }, []string{`change Worker "infinite-kanvas-dev"`}},
		"gateway": {func(o *provision.Options) { o.GatewaySecret = strings.Repeat("n", 40) },
			[]string{"change settings of the room server", `change Worker "infinite-kanvas-dev"`}},
	} {
		w.options = c.change
		plan, err := w.provisioner().Plan(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		var planned []string
		for _, a := range plan.Actions {
			if a.Verb != provision.Keep {
				planned = append(planned, string(a.Verb)+" "+a.What)
			}
		}
		if !slices.Equal(planned, c.want) {
			t.Errorf("%s: %q", name, planned)
		}
	}
	for _, origin := range []string{"http://127.0.0.1:1999", "https://rooms.example.com", "http://localhost:1999", "http://10.0.0.1", "http://[", "http://rooms.kanvas.test"} {
		w.options = func(o *provision.Options) { o.Vars = map[string]string{"ORIGIN": origin} }
		if planned, err := w.run(); err != nil || !slices.Contains(planned, "warn Worker variable ORIGIN") {
			t.Errorf("%s: %q, %v", origin, planned, err)
		}
	}
	w.options = func(o *provision.Options) { o.Origins = nil }
	before := string(w.c.Buckets["kanvas-images"].CORS)
	if planned, err := w.run(); err != nil || !slices.Contains(planned, "warn R2 CORS rules") || slices.Contains(planned, "change R2 CORS rules") {
		t.Errorf("%q, %v", planned, err)
	}
	if after := string(w.c.Buckets["kanvas-images"].CORS); after != before || !strings.Contains(after, "kanvas-own-page") || !strings.Contains(after, `"kanvas-pages"`) {
		t.Errorf("rules that nobody asked to change were %s, and are %s", before, after)
	}
}

// TestFaults: each fault is named with what to do next; when it has passed, the next run finishes and nothing is there twice.
func TestFaults(t *testing.T) {
	refuse, text := provisiontest.Refuse, provisiontest.Text
	denied := refuse(403, 10000, "Authentication error")
	for name, f := range map[string]struct {
		fault provisiontest.Fault
		want  string // in the error; "": it passes by itself
	}{
		"no right to D1":         {provisiontest.Fault{On: "GET d1/", Answer: denied}, "D1:Edit"},
		"may read D1 only":       {provisiontest.Fault{On: "POST d1/", Answer: denied}, "D1:Edit"},
		"no right to R2":         {provisiontest.Fault{On: "GET r2/", Answer: denied}, "Workers R2 Storage:Edit"},
		"no right to KV":         {provisiontest.Fault{On: "GET storage/", Answer: denied}, "Workers KV Storage:Edit"},
		"no right to Workers":    {provisiontest.Fault{On: "GET workers/", Answer: denied}, "Workers Scripts:Edit"},
		"R2 not enabled":         {provisiontest.Fault{On: "GET r2/", Answer: refuse(403, 10042, "Please enable R2 through the Cloudflare Dashboard.")}, "/r2 and accept its terms"},
		"token refused":          {provisiontest.Fault{On: "GET user/tokens", Answer: refuse(401, 1000, "Invalid API Token")}, "CLOUDFLARE_API_TOKEN"},
		"one 500":                {provisiontest.Fault{On: "GET d1/", Times: 1, Answer: refuse(500, 0, "internal error")}, ""},
		"many 500s":              {provisiontest.Fault{On: "GET storage/", Answer: refuse(500, 0, "internal error")}, "cloudflarestatus"},
		"1101 page":              {provisiontest.Fault{On: "GET storage/", Answer: provisiontest.Page1101()}, "1101"},
		"one 1101 page":          {provisiontest.Fault{On: "GET storage/", Times: 1, Answer: provisiontest.Page1101()}, ""},
		"malformed JSON":         {provisiontest.Fault{On: "GET r2/", Answer: text(200, "application/json", `{"result":`)}, "no JSON"},
		"a proxy's login":        {provisiontest.Fault{On: "GET r2/", Answer: text(200, "text/html", "<html>log in</html>")}, "HTML"},
		"one 429":                {provisiontest.Fault{On: "GET d1/", Times: 1, Answer: text(429, "application/json", `{"success":false,"errors":[{"code":10429,"message":"rate limited"}]}`, "Retry-After", "0")}, ""},
		"429 on a write":         {provisiontest.Fault{On: "POST d1/database", Times: 1, Answer: text(429, "application/json", `{"success":false,"errors":[{"code":10429,"message":"rate limited"}]}`, "Retry-After", "7")}, "7 s"},
		"database, answer lost":  {provisiontest.Fault{On: "POST d1/database", Times: 1, Lost: true}, ""},
		"database refused":       {provisiontest.Fault{On: "POST d1/database", Times: 1, Answer: refuse(500, 0, "internal error")}, "run it again"},
		"migration, answer lost": {provisiontest.Fault{On: "POST d1/database/", Times: 3, Lost: true}, ""},
		"bucket, answer lost":    {provisiontest.Fault{On: "POST r2/buckets", Times: 1, Lost: true}, ""},
		"rules, answer lost":     {provisiontest.Fault{On: "PUT r2/buckets", Times: 1, Lost: true}, ""},
		"rules refused":          {provisiontest.Fault{On: "PUT r2/buckets", Answer: denied}, "Workers R2 Storage:Edit"},
		"namespace, answer lost": {provisiontest.Fault{On: "POST storage/kv/namespaces", Times: 1, Lost: true}, ""},
		"namespace refused":      {provisiontest.Fault{On: "POST storage/kv/namespaces", Answer: denied}, "Workers KV Storage:Edit"},
		"deploy refused":         {provisiontest.Fault{On: "PUT workers/scripts", Answer: denied}, "Authentication error"},
		"deploy, answer lost":    {provisiontest.Fault{On: "PUT workers/scripts", Times: 1, Lost: true}, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.c.Fail(f.fault)
			_, err := w.run()
			if f.want == "" && err != nil {
				t.Fatal(err)
			}
			if f.want != "" && (err == nil || !strings.Contains(err.Error(), f.want)) {
				t.Fatalf("%v does not say %q", err, f.want)
			}
			if err != nil && strings.Contains(err.Error(), provisiontest.Token) {
				t.Error("the token is in the error")
			}
			w.c.Heal()
			if err != nil {
				if _, err := w.run(); err != nil {
					t.Fatal(err)
				}
			}
			w.complete()
			w.again()
		})
	}
}

// TestEveryMissingPermissionIsNamedAtOnce: nobody should have to make four tokens one after the other.
func TestEveryMissingPermissionIsNamedAtOnce(t *testing.T) {
	w := newWorld(t)
	w.c.Denied = provision.Permissions()
	_, err := w.run()
	for _, p := range provision.Permissions() {
		if err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("%s is not named in %v", p, err)
		}
	}
}

func TestWhatOnlyPeopleCanMend(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world)
		want   string
	}{
		"no subdomain":   {func(w *world) { w.c.Subdomain = "" }, "workers/onboarding"},
		"token disabled": {func(w *world) { w.c.TokenIs = "disabled" }, "disabled"},
		"weak secret":    {func(w *world) { w.options = func(o *provision.Options) { o.GatewaySecret = "short" } }, "openssl rand"},
		"strange secret": {func(w *world) {
			w.options = func(o *provision.Options) { o.GatewaySecret = strings.Repeat("x", 32) + "'$(id)" }
		}, "every shell"},
		"tables of others": {func(w *world) {
			if _, err := w.c.AddDatabase("d", "kanvas-db").Query("CREATE TABLE users (id TEXT)"); err != nil {
				t.Fatal(err)
			}
		}, "database of its own"},
		"newer schema": {func(w *world) {
			d := w.c.AddDatabase("d", "kanvas-db")
			for _, sql := range []string{migrations.CreateTable, "INSERT INTO d1_migrations (name) VALUES ('9999_future.sql')"} {
				if _, err := d.Query(sql); err != nil {
					t.Fatal(err)
				}
			}
		}, "9999_future.sql"},
		"no wrangler": {func(w *world) {
			w.options = func(o *provision.Options) { o.Deployer = &provision.Wrangler{Manifest: o.Manifest} }
		}, "npm ci"},
		"account": {func(w *world) {
			w.options = func(o *provision.Options) {
				client, err := cloudflare.New(cloudflare.Config{Account: "0000", Secret: provisiontest.Token, URL: w.c.URL})
				if err != nil {
					t.Fatal(err)
				}
				o.Client = client
			}
		}, "CLOUDFLARE_ACCOUNT_ID"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.change(w)
			_, err := w.run()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v does not say %q", err, c.want)
			}
			if wrote := provisiontest.Writes(w.c.Calls()); len(wrote) > 0 {
				t.Errorf("wrote %q", wrote)
			}
		})
	}
}

// TestWholeWithWrangler: an empty account, the Worker of this checkout, the real wrangler; and once more, which does nothing.
func TestWholeWithWrangler(t *testing.T) {
	w := newWorld(t)
	w.dir = provisiontest.Checkout(t)
	w.options = func(o *provision.Options) {
		o.Deployer = &provision.Wrangler{Manifest: o.Manifest, Account: provisiontest.Account, Token: provisiontest.Token, APIURL: w.c.URL}
		o.Vars = map[string]string{"ORIGIN": "https://rooms.kanvas.test"}
	}
	if _, err := w.run(); err != nil {
		t.Fatal(err)
	}
	worker := w.c.Workers["infinite-kanvas-dev"]
	if worker == nil || worker.Vars["ORIGIN"] != "https://rooms.kanvas.test" || len(worker.Secrets["GATEWAY_SECRET"]) != 64 || worker.Deploys != 1 {
		t.Fatalf("%+v", worker)
	}
	w.again()
	secret := worker.Secrets["GATEWAY_SECRET"]
	w.write("src/worker.ts", w.read("src/worker.ts")+"\n// changed\n")
	if planned, err := w.run(); err != nil || !slices.Contains(planned, `change Worker "infinite-kanvas-dev"`) || worker.Deploys != 2 || worker.Secrets["GATEWAY_SECRET"] != secret {
		t.Errorf("%q, %v, %d deploys", planned, err, worker.Deploys)
	}
	t.Run("refused", func(t *testing.T) {
		w.write("src/worker.ts", w.read("src/worker.ts")+"\n// changed again\n")
		w.c.Fail(provisiontest.Fault{On: "POST workers/scripts", Answer: provisiontest.Refuse(403, 10000, "Authentication error")})
		_, err := w.run()
		if err == nil || !strings.Contains(err.Error(), "Workers Scripts:Edit") || strings.Contains(err.Error(), provisiontest.Token) || strings.Contains(err.Error(), secret) {
			t.Error(err)
		}
	})
}
