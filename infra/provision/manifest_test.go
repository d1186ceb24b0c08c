package provision

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestManifestReadsNamesAndIDs(t *testing.T) {
	m, err := parseManifest([]byte(guide), "")
	if err != nil {
		t.Fatal(err)
	}
	if m.Worker != "infinite-kanvas-dev" || m.Database != "kanvas-db" || m.DatabaseID != "77bedc55-0190-40f9-ba57-a5fbb84d3dfd" ||
		m.Bucket != "kanvas-images" || m.KVID != "ee2d9571c831496e912c66126eb38782" || m.Vars["ENVIRONMENT"] != "development" {
		t.Fatalf("%+v", m)
	}
	m, err = parseManifest([]byte(guide), "production")
	if err != nil {
		t.Fatal(err)
	}
	if m.Worker != "infinite-kanvas-dev-production" || m.Database != "kanvas-db-production" || m.DatabaseID != "" || m.KVID != "" ||
		m.Bucket != "kanvas-images-production" || m.Vars["ENVIRONMENT"] != "production" {
		t.Fatalf("%+v", m)
	}
}

// TestManifestKeepsEveryOtherByte: comments, order, spaces, line ends and what is meant for others stay as they were.
func TestManifestKeepsEveryOtherByte(t *testing.T) {
	inline := `name = "w"
d1_databases = [ { binding = "KANVAS_DB", database_name = "d", database_id = "old-d" } ] # inline
kv_namespaces = [
  { binding = "KANVAS_CACHE", id = "old-k" },
]
r2_buckets = [{binding="KANVAS_IMAGES",bucket_name="b"}]
after = 1
`
	for name, c := range map[string]struct{ text, env, want string }{
		"ids replaced": {guide, "", strings.NewReplacer("77bedc55-0190-40f9-ba57-a5fbb84d3dfd", "new-d", "ee2d9571c831496e912c66126eb38782", "new-k").Replace(guide)},
		"lines added": {guide, "production", strings.NewReplacer(
			"database_name = \"kanvas-db-production\"\n", "database_name = \"kanvas-db-production\"\ndatabase_id = \"new-d\"\n",
			"[[env.production.kv_namespaces]]\nbinding = \"KANVAS_CACHE\"\n", "[[env.production.kv_namespaces]]\nbinding = \"KANVAS_CACHE\"\nid = \"new-k\"\n").Replace(guide)},
		"carriage returns": {strings.ReplaceAll(guide, "\n", "\r\n"), "production", strings.ReplaceAll(strings.NewReplacer(
			"database_name = \"kanvas-db-production\"\n", "database_name = \"kanvas-db-production\"\ndatabase_id = \"new-d\"\n",
			"[[env.production.kv_namespaces]]\nbinding = \"KANVAS_CACHE\"\n", "[[env.production.kv_namespaces]]\nbinding = \"KANVAS_CACHE\"\nid = \"new-k\"\n").Replace(guide), "\n", "\r\n")},
		"variables": {strings.Replace(guide, "[vars]\n", "[vars]\nACCOUNT_ID = ''\nNAMESPACE_ID = \"ee2d9571c831496e912c66126eb38782\" # of KANVAS_CACHE\n", 1), "",
			strings.NewReplacer("77bedc55-0190-40f9-ba57-a5fbb84d3dfd", "new-d", "ee2d9571c831496e912c66126eb38782", "new-k", "[vars]\n", "[vars]\nACCOUNT_ID = \"new-a\"\nNAMESPACE_ID = \"new-k\" # of KANVAS_CACHE\n").Replace(guide)},
		"inline": {inline, "", strings.NewReplacer("old-d", "new-d", "old-k", "new-k").Replace(inline)},
		"no last newline": {"name='w'\n[[r2_buckets]]\nbinding='KANVAS_IMAGES'\nbucket_name='b'\n[[d1_databases]]\ndatabase_name='d'\nbinding='KANVAS_DB'\n[[kv_namespaces]]\nbinding='KANVAS_CACHE'", "",
			"name='w'\n[[r2_buckets]]\nbinding='KANVAS_IMAGES'\nbucket_name='b'\n[[d1_databases]]\ndatabase_name='d'\nbinding='KANVAS_DB'\ndatabase_id = \"new-d\"\n[[kv_namespaces]]\nbinding='KANVAS_CACHE'\nid = \"new-k\""},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "wrangler.toml")
			if err := os.WriteFile(path, []byte(c.text), 0o640); err != nil {
				t.Fatal(err)
			}
			m, err := ReadManifest(path, c.env)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.SetIDs(IDs{"new-a", "new-d", "new-k"}); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil || string(got) != c.want {
				t.Errorf("%v\n%s\nwant\n%s", err, got, c.want)
			}
			if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o640 {
				t.Errorf("mode %v, %v", st.Mode(), err)
			}
			if m.Differs(IDs{"new-a", "new-d", "new-k"}) || !m.Differs(IDs{"new-a", "new-d", "x"}) {
				t.Error("what was written is not what is remembered")
			}
		})
	}
}

func TestManifestSaysWhatIsMissing(t *testing.T) {
	for name, c := range map[string]struct{ text, env, want string }{
		"no TOML":          {"name = \n", "", "TOML"},
		"environment":      {guide, "staging", "[env.staging]"},
		"name":             {strings.Replace(guide, "name = \"infinite-kanvas-dev\"", "", 1), "", "name is missing"},
		"database":         {strings.Replace(guide, `"KANVAS_DB"`, `"DB"`, 1), "", "KANVAS_DB"},
		"database's name":  {strings.Replace(guide, "database_name = 'kanvas-db'", "", 1), "", "database_name"},
		"bucket":           {strings.Replace(guide, `"KANVAS_IMAGES"`, `"I"`, 1), "", "KANVAS_IMAGES"},
		"namespace":        {strings.Replace(guide, `"KANVAS_CACHE"`, `"C"`, 1), "", "KANVAS_CACHE"},
		"bindings inherit": {"name='w'\n[env.p.vars]\nA='b'\n", "p", "inherit"},
	} {
		if _, err := parseManifest([]byte(c.text), c.env); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadManifest(filepath.Join(t.TempDir(), "none.toml"), ""); err == nil || !strings.Contains(err.Error(), "--wrangler") {
		t.Errorf("%v", err)
	}
	inline := "name='w'\nr2_buckets=[{binding='KANVAS_IMAGES',bucket_name='b'}]\nd1_databases=[{binding='KANVAS_DB',database_name='d'}]\nkv_namespaces=[{binding='KANVAS_CACHE',id='k'}]\n"
	m, err := parseManifest([]byte(inline), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.withIDs(IDs{"a", "d", "k"}); err == nil || !strings.Contains(err.Error(), "database_id") {
		t.Errorf("%v", err)
	}
}
