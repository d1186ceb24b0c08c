package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// unzip reads an archive.
func unzip(t *testing.T, path string) map[string][]byte {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	files := map[string][]byte{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if files[f.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// TestExportGivesPeopleTheirData: all that ann and her guest left is in the archive, opened, with the picture's bytes, and nothing of bob's.
func TestExportGivesPeopleTheirData(t *testing.T) {
	w := newForgetWorld(t, t.TempDir())
	w.fill()
	w.command(w.bob, "element.add", map[string]any{"element": map[string]any{"id": "bobs-element", "type": "note", "text": "bobs-note"}})
	w.command(w.ann, "element.add", map[string]any{"element": map[string]any{"id": "gone", "type": "note", "text": "anns-old-note"}})
	w.command(w.bob, "element.remove", map[string]any{"id": "gone"})
	file := filepath.Join(t.TempDir(), "ann.zip")
	mustTool(t, "export", "--user", "user_ann", file, "--data", w.dir)
	files := unzip(t, file)
	all := bytes.Join(func() (list [][]byte) {
		for _, b := range files {
			list = append(list, b)
		}
		return list
	}(), nil)
	for _, word := range append(w.words, "anns-old-note", w.gid) {
		if !bytes.Contains(all, []byte(word)) {
			t.Errorf("%q is missing", word)
		}
	}
	for _, word := range []string{"bobs-chat-stays", "bobs-note", "Bob Staywell", `"k1.`} {
		if bytes.Contains(all, []byte(word)) {
			t.Errorf("%q is in it", word)
		}
	}
	var profile struct {
		Name, Email, Avatar, Kind string
		Guests                    []struct{ ID, Name string }
	}
	var rooms []struct {
		ID, Name, Role string
		Owner          bool
	}
	var chat, comments []struct{ RoomID, At, As, Text string }
	var elements []struct{ Element struct{ ID string } }
	var assets []struct{ ID, File, SHA256, Status string }
	for name, into := range map[string]any{"profile.json": &profile, "rooms.json": &rooms, "chat.json": &chat, "comments.json": &comments, "elements.json": &elements, "assets.json": &assets} {
		if err := json.Unmarshal(files[name], into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if profile.Name != "Annabelle Wordsworth" || profile.Email != "annabelle@wordsworth.example" || profile.Avatar == "" || profile.Kind != "clerk" || len(profile.Guests) != 1 || profile.Guests[0].Name != "Guestabelle" {
		t.Errorf("%+v", profile)
	}
	if len(rooms) != 2 || rooms[0].ID != "anns" || !rooms[0].Owner || rooms[0].Role != "owner" || rooms[1].Owner || rooms[1].Role != "editor" {
		t.Errorf("%+v", rooms)
	}
	if len(chat) != 3 || chat[0].Text != "anns-chat-word" || chat[1].As != w.gid || chat[0].At > chat[2].At || len(comments) != 1 {
		t.Errorf("%+v %+v", chat, comments)
	}
	if len(elements) != 2 || elements[0].Element.ID != "e1" && elements[1].Element.ID != "e1" {
		t.Errorf("%+v", elements)
	}
	if len(assets) != 1 || assets[0].Status != "ready" {
		t.Fatalf("%+v", assets)
	}
	if sum := sha256.Sum256(files[assets[0].File]); hex.EncodeToString(sum[:]) != assets[0].SHA256 {
		t.Error("the picture is another one")
	}
	for _, line := range strings.Split(strings.TrimSpace(string(files["activity.jsonl"])), "\n") {
		var e struct{ Type, Actor, Stream string }
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Type == "" || e.Actor != "user_ann" && e.Actor != w.gid {
			t.Errorf("%v %s", err, line)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	w.s.stop()
	again := filepath.Join(t.TempDir(), "again.zip")
	mustTool(t, "export", "--user", "user_ann", again, "--data", w.dir) // without a server
	if got := unzip(t, again); len(got) != len(files) || !bytes.Equal(got["chat.json"], files["chat.json"]) {
		t.Error("without a server it is another archive")
	}
	mustTool(t, "forget", "user_ann", "--data", w.dir)
	for _, user := range []string{"user_ann", "user_nobody"} {
		if out, err := tool(t, "export", "--user", user, again, "--data", w.dir); err == nil || !strings.Contains(out, "nothing is kept") {
			t.Errorf("%v %s", err, out)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(again)); err != nil || len(left) != 1 {
		t.Errorf("files left: %v %v", left, err)
	}
}
