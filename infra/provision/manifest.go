package provision

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Bindings that the Worker's source asks for, as in wrangler.toml.
const (
	bindingDatabase  = "KANVAS_DB"
	bindingBucket    = "KANVAS_IMAGES"
	bindingNamespace = "KANVAS_CACHE"
)

// Manifest is what provisioning reads in, and writes to, wrangler.toml. The names are the user's, the ids Cloudflare's.
type Manifest struct {
	Path string // "" where it was parsed from memory
	Env  string // of [env.X]; "" for the top level

	Worker     string // its name
	Database   string // its name
	DatabaseID string // "" where not yet known
	Bucket     string
	KVID       string // "" where not yet known
	Vars       map[string]string

	text []byte
	ids  []idPlace
}

// IDs are what Cloudflare calls things.
type IDs struct{ Account, Database, Namespace string }

// idPlace is where one of the IDs stands.
type idPlace struct {
	place
	is   string // the value that is there
	want func(IDs) string
}

// place is where an id stands in the text: the bytes of the value, or where a line with it can be put.
type place struct {
	from, to int    // of the value with its quotes; from < 0: the key is missing
	insert   int    // offset after which a new line goes; < 0: the table is inline
	key      string // of the missing line
}

// ReadManifest reads wrangler.toml at path for the environment env.
func ReadManifest(path, env string) (*Manifest, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the Worker's settings: %w (--wrangler names the file)", err)
	}
	m, err := parseManifest(text, env)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m.Path = path
	return m, nil
}

func parseManifest(text []byte, env string) (*Manifest, error) {
	doc, err := parseTOML(text)
	if err != nil {
		return nil, err
	}
	m := &Manifest{Env: env, text: text, Vars: map[string]string{}}
	prefix := ""
	if env != "" {
		prefix = "env." + env + "."
		if !doc.has("env." + env) {
			return nil, fmt.Errorf("there is no [env.%s]", env)
		}
	}
	m.Worker = doc.table("").value("name")
	if env != "" {
		if own := doc.table("env." + env).value("name"); own != "" {
			m.Worker = own
		} else if m.Worker != "" {
			m.Worker += "-" + env // as wrangler names it
		}
	}
	for k, v := range doc.table(prefix + "vars").values {
		m.Vars[k] = v.text
	}
	var missing []error
	find := func(array, binding string) tomlTable {
		for _, t := range doc.tables(prefix + array) {
			if t.value("binding") == binding {
				return t
			}
		}
		missing = append(missing, fmt.Errorf("[[%s%s]] with binding = %q is missing (environments inherit no bindings)", prefix, array, binding))
		return tomlTable{}
	}
	need := func(t tomlTable, key, what string) string {
		v := t.value(key)
		if v == "" && t.values != nil {
			missing = append(missing, fmt.Errorf("%s of binding %s is missing", key, what))
		}
		return v
	}
	if m.Worker == "" {
		missing = append(missing, errors.New("name is missing"))
	}
	db, bucket, ns := find("d1_databases", bindingDatabase), find("r2_buckets", bindingBucket), find("kv_namespaces", bindingNamespace)
	m.Database = need(db, "database_name", bindingDatabase)
	m.Bucket = need(bucket, "bucket_name", bindingBucket)
	m.DatabaseID, m.KVID = db.value("database_id"), ns.value("id")
	database, namespace := func(i IDs) string { return i.Database }, func(i IDs) string { return i.Namespace }
	m.ids = []idPlace{{db.place("database_id"), m.DatabaseID, database}, {ns.place("id"), m.KVID, namespace}}
	vars := doc.table(prefix + "vars")
	for name, want := range map[string]func(IDs) string{varAccount: func(i IDs) string { return i.Account }, varDatabase: database, varNamespace: namespace} {
		if v, ok := vars.values[name]; ok {
			m.ids = append(m.ids, idPlace{vars.place(name), v.text, want})
		}
	}
	return m, errors.Join(missing...)
}

// Differs reports whether SetIDs would change the file.
func (m *Manifest) Differs(ids IDs) bool {
	return slices.ContainsFunc(m.ids, func(p idPlace) bool { return p.is != p.want(ids) })
}

// SetIDs writes the ids into the file, and into those of the Worker's variables that are there to hold them; every other byte is kept.
func (m *Manifest) SetIDs(ids IDs) error {
	text, err := m.withIDs(ids)
	if err != nil {
		return fmt.Errorf("%s: %w", m.Path, err)
	}
	again, err := parseManifest(text, m.Env)
	if err != nil || again.Differs(ids) {
		return fmt.Errorf("%s: the ids can't be put in by this program (%v): set database_id = %q and id = %q by hand", m.Path, err, ids.Database, ids.Namespace)
	}
	if err := replaceFile(m.Path, text); err != nil {
		return fmt.Errorf("write %s: %w", m.Path, err)
	}
	again.Path = m.Path
	*m = *again
	return nil
}

func (m *Manifest) withIDs(ids IDs) ([]byte, error) {
	edits := slices.Clone(m.ids)
	slices.SortFunc(edits, func(a, b idPlace) int { return b.at() - a.at() }) // from the end, so that offsets hold
	out := slices.Clone(m.text)
	for _, e := range edits {
		value := strconv.Quote(e.want(ids))
		switch {
		case e.is == e.want(ids) && e.from >= 0:
		case e.from >= 0:
			out = slices.Replace(out, e.from, e.to, []byte(value)...)
		case e.insert >= 0:
			newline := "\n"
			if e.insert < len(out) && out[e.insert] == '\r' {
				newline = "\r\n"
			}
			out = slices.Insert(out, e.insert, []byte(newline+e.key+" = "+value)...)
		default:
			return nil, fmt.Errorf("add %s = %s to its inline table", e.key, value)
		}
	}
	return out, nil
}

func (p place) at() int { return max(p.from, p.insert) }

// replaceFile writes beside path and renames, so that nobody reads half of it. The mode is kept.
func replaceFile(path string, text []byte) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".wrangler-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone where the rename worked
	if _, err := f.Write(text); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Chmod(st.Mode().Perm()), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// tomlDoc is a TOML document with the offsets of its values: what a library that decodes into structs throws away.
type tomlDoc struct{ all []tomlTable }

type tomlTable struct {
	name   string
	array  bool
	values map[string]tomlValue
	end    int // offset after its last line's text; < 0: inline
}

type tomlValue struct {
	text     string // of strings; the raw text of others
	from, to int
}

func (t tomlTable) value(key string) string { return t.values[key].text }

func (t tomlTable) place(key string) place {
	if v, ok := t.values[key]; ok {
		return place{from: v.from, to: v.to, insert: -1}
	}
	return place{from: -1, insert: t.end, key: key}
}

func (d *tomlDoc) tables(name string) (found []tomlTable) {
	for _, t := range d.all {
		if t.name == name && t.array {
			found = append(found, t)
		}
	}
	return found
}

// table returns the plain table of that name, or an empty one.
func (d *tomlDoc) table(name string) tomlTable {
	for _, t := range d.all {
		if t.name == name && !t.array {
			return t
		}
	}
	return tomlTable{}
}

func (d *tomlDoc) has(name string) bool {
	return slices.ContainsFunc(d.all, func(t tomlTable) bool { return t.name == name || strings.HasPrefix(t.name, name+".") })
}

func parseTOML(text []byte) (*tomlDoc, error) {
	p := &unstable.Parser{}
	p.Reset(text)
	d := &tomlDoc{all: []tomlTable{{values: map[string]tomlValue{}}}}
	current := 0
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			t := tomlTable{name: keyOf(e), array: e.Kind == unstable.ArrayTable, values: map[string]tomlValue{}}
			last := e.Key()
			for last.Next() {
				t.end = lineEnd(text, int(last.Node().Raw.Offset+last.Node().Raw.Length))
			}
			d.all = append(d.all, t)
			current = len(d.all) - 1
		case unstable.KeyValue:
			d.add(text, current, e)
		}
	}
	if err := p.Error(); err != nil {
		return nil, fmt.Errorf("is no TOML: %w", err)
	}
	return d, nil
}

// add notes a key of table i, and inline tables and arrays of them as tables of their own.
func (d *tomlDoc) add(text []byte, i int, kv *unstable.Node) {
	key, v := keyOf(kv), kv.Value()
	name := strings.TrimPrefix(d.all[i].name+"."+key, ".")
	switch v.Kind {
	case unstable.InlineTable:
		d.inline(text, name, false, v)
		return
	case unstable.Array:
		for it := v.Children(); it.Next(); {
			if it.Node().Kind == unstable.InlineTable {
				d.inline(text, name, true, it.Node())
			}
		}
		return
	}
	from := int(v.Raw.Offset)
	to := from + int(v.Raw.Length)
	d.all[i].values[key] = tomlValue{string(v.Data), from, to}
	if d.all[i].end >= 0 {
		d.all[i].end = lineEnd(text, to)
	}
}

func (d *tomlDoc) inline(text []byte, name string, array bool, v *unstable.Node) {
	d.all = append(d.all, tomlTable{name: name, array: array, values: map[string]tomlValue{}, end: -1})
	i := len(d.all) - 1
	for it := v.Children(); it.Next(); {
		d.add(text, i, it.Node())
	}
}

func keyOf(n *unstable.Node) string {
	var parts []string
	for it := n.Key(); it.Next(); {
		parts = append(parts, string(it.Node().Data))
	}
	return strings.Join(parts, ".")
}

// lineEnd is the offset of the newline that ends the line of from, a carriage return before it excluded.
func lineEnd(text []byte, from int) int {
	for i := from; i < len(text); i++ {
		if text[i] == '\n' {
			if i > from && text[i-1] == '\r' {
				return i - 1
			}
			return i
		}
	}
	return len(text)
}
