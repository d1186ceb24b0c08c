package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/infra/clerk/clerktest"
)

// forgetWorld is a server where user_ann, known by Clerk, and a guest that she claimed have left recognisable words by every road.
type forgetWorld struct {
	t     *testing.T
	dir   string
	s     *server
	clerk *clerktest.Clerk
	told  int
	ann   string // her token
	guest string // its token
	gid   string
	bob   string
	bobID string
	words []string // what nobody may find afterwards
}

func newForgetWorld(t *testing.T, dir string, env ...string) *forgetWorld {
	w := &forgetWorld{t: t, dir: dir, clerk: clerktest.Start(t)}
	w.serve(env...)
	w.tell("user.created", `{"id":"user_ann","first_name":"Annabelle","last_name":"Wordsworth","image_url":"https://img.example.com/annabelles-face.png","primary_email_address_id":"e1","email_addresses":[{"id":"e1","email_address":"annabelle@wordsworth.example"}],"updated_at":200}`)
	w.ann = strings.TrimSpace(mustTool(t, "token", "user_ann", "--data", dir))
	w.guest, w.gid = w.newGuest("Guestabelle")
	w.bob, w.bobID = w.newGuest("Bob Staywell")
	w.words = []string{"Annabelle", "Wordsworth", "annabelle@", "annabelles-face", "Guestabelle", "anns-chat-word", "anns-comment-word", "guests-chat-word", "old-chat-word", "anns-prompt-word"}
	return w
}

func (w *forgetWorld) serve(env ...string) {
	w.s = startServer(w.t, w.dir, "127.0.0.1:0", append([]string{"CLERK_WEBHOOK_SECRET=" + clerkWebhook, "CLERK_JWKS_URL=http://127.0.0.1:1/none"}, env...)...)
}

func (w *forgetWorld) url(path string) string { return "http://" + w.s.addr + path }

// call expects a status.
func (w *forgetWorld) call(method, path, token string, want int, body, into any) {
	w.t.Helper()
	status, err := httpJSON(method, w.url(path), token, body, into)
	if err != nil || status != want {
		w.t.Fatalf("%s %s: %d %v", method, path, status, err)
	}
}

func (w *forgetWorld) newGuest(name string) (token, id string) {
	w.t.Helper()
	var guest struct {
		Token string
		User  struct{ ID string }
	}
	w.call("POST", "/v1/guests", "", 201, map[string]any{"name": name}, &guest)
	return guest.Token, guest.User.ID
}

// tell sends Clerk's webhook.
func (w *forgetWorld) tell(kind, data string) {
	w.t.Helper()
	w.told++
	body := fmt.Sprintf(`{"type":%q,"data":%s}`, kind, data)
	h := w.clerk.Webhook(clerkWebhook, fmt.Sprint("msg_", w.told), time.Now().Unix(), body)
	req, err := http.NewRequestWithContext(w.t.Context(), "POST", w.url("/api/clerk"), strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header = h
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != 200 {
		w.t.Fatalf("webhook: %v %v", res, err)
	}
	_ = res.Body.Close() // what it says doesn't matter
}

func (w *forgetWorld) command(token, name string, data any) {
	w.t.Helper()
	w.call("POST", "/v1/rooms/studio/commands", token, 200, map[string]any{"commands": []any{map[string]any{"command": name, "data": data}}}, nil)
}

// fill leaves the words, and a picture.
func (w *forgetWorld) fill() {
	w.t.Helper()
	w.call("POST", "/v1/rooms", w.bob, 201, map[string]any{"id": "studio", "name": "Studio", "visibility": "public"}, nil)
	w.call("POST", "/v1/rooms", w.ann, 201, map[string]any{"id": "anns", "name": "Gallery", "visibility": "public"}, nil)
	w.command(w.ann, "chat.post", map[string]any{"text": "anns-chat-word"})
	w.command(w.ann, "comment.add", map[string]any{"id": "c1", "x": 1, "y": 2, "text": "anns-comment-word"})
	w.command(w.ann, "element.add", map[string]any{"element": map[string]any{"id": "e1", "type": "image", "x": 1, "src": pixel}})
	w.command(w.guest, "chat.post", map[string]any{"text": "guests-chat-word"})
	w.command(w.bob, "chat.post", map[string]any{"text": "bobs-chat-stays"})
	w.call("POST", "/v1/me/claim", w.ann, 200, map[string]any{"token": w.guest}, nil)
	old := dialAs(w.t, "ws://"+w.s.addr+"/parties/main/studio?_pk=aa&token="+w.ann, "")
	old.until(w.t, `"connection:info"`)
	old.say(w.t, map[string]any{"type": "chat:send", "data": map[string]any{"text": "old-chat-word"}})
	old.until(w.t, `"chat:new"`, "old-chat-word")
	w.s.stop()
	w.prompt("anns-prompt-word")
	w.serve()
}

// prompt has ann ask for a picture, with no server running: one would ask fal.ai for it.
func (w *forgetWorld) prompt(text string) {
	w.t.Helper()
	n, stop := budgetNode(w.t, w.dir)
	defer stop()
	sealed, err := n.sealer.Seal(w.t.Context(), "user_ann", `{"prompt":"`+text+`","input":{}}`)
	if err != nil {
		w.t.Fatal(err)
	}
	element, err := domain.ParseElement([]byte(`{"id":"asked","type":"image","src":""}`))
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = n.rooms.Do(w.t.Context(), "studio", commands.Request{Actor: domain.Actor{ID: "user_ann"}, Commands: []domain.Command{domain.RequestGeneration{
		ID: "asked", Model: "fal-ai/flux-kontext-lora", Result: commands.ResultImage, Request: sealed, Estimate: 1, Element: element}}})
	if err != nil {
		w.t.Fatal(err)
	}
}

// pixel is a picture.
const pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

// answers are all that the server says of the rooms and people, as bob sees it.
func (w *forgetWorld) answers() string {
	w.t.Helper()
	var all bytes.Buffer
	for _, path := range []string{"/v1/rooms", "/v1/rooms/studio", "/v1/rooms/anns", "/v1/rooms/studio/canvas", "/v1/rooms/studio/events?limit=1000", "/v1/rooms/anns/events",
		"/v1/rooms/studio/participants", "/v1/rooms/anns/participants", "/v1/me", "/metrics", "/readyz"} {
		req, err := http.NewRequestWithContext(w.t.Context(), "GET", w.url(path), nil)
		if err != nil {
			w.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+w.bob)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := io.Copy(&all, res.Body); err != nil || res.Body.Close() != nil {
			w.t.Fatal(err)
		}
	}
	v1 := dialAs(w.t, "ws://"+w.s.addr+"/v1/rooms/studio/ws", "kanvas.v1")
	defer v1.ws.CloseNow() // a server that stops waits for those that do not answer
	v1.say(w.t, map[string]any{"type": "hello", "token": w.bob, "client": "c"})
	all.WriteString(v1.through(w.t, `"type":"snapshot"`))
	again := dialAs(w.t, "ws://"+w.s.addr+"/v1/rooms/studio/ws", "kanvas.v1")
	defer again.ws.CloseNow()
	again.say(w.t, map[string]any{"type": "hello", "token": w.bob, "client": "d", "resume": 1})
	all.WriteString(again.through(w.t, `bobs-chat-stays`))
	party := dialAs(w.t, "ws://"+w.s.addr+"/parties/main/studio?_pk=bb&token="+w.bob, "")
	defer party.ws.CloseNow()
	all.WriteString(party.through(w.t, `"chat:history"`))
	registry := dialAs(w.t, "ws://"+w.s.addr+"/parties/registry/registry?_pk=bb", "")
	defer registry.ws.CloseNow()
	all.WriteString(registry.through(w.t, `"rooms"`))
	return all.String()
}

// through reads on to a frame with the text, and returns all frames.
func (l listener) through(t *testing.T, text string) string {
	t.Helper()
	var all strings.Builder
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		_, b, err := l.ws.Read(ctx)
		cancel()
		if err != nil {
			t.Fatalf("before a frame with %q: %v\n%s", text, err, all.String())
		}
		all.Write(append(b, '\n'))
		if bytes.Contains(b, []byte(text)) {
			return all.String()
		}
	}
}

// without reads on to a frame with the text that has none of the words.
func (l listener) without(t *testing.T, text string, words []string) {
	t.Helper()
	for {
		all := l.through(t, text)
		last := all[strings.LastIndex(strings.TrimSpace(all), "\n")+1:]
		if !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(last, w) }) {
			return
		}
	}
}

// forms are how a word may stand in a file.
func forms(word string) [][]byte {
	wide := make([]byte, 0, 2*len(word))
	for i := range len(word) {
		wide = append(wide, word[i], 0)
	}
	escaped, _ := json.Marshal(word) // a string always can be
	out := [][]byte{[]byte(word), []byte(strings.ToLower(word)), wide, []byte(hex.EncodeToString([]byte(word))), escaped[1 : len(escaped)-1]}
	for skip := range 3 { // base64 of a longer text, wherever the word begins in it
		s := base64.RawStdEncoding.EncodeToString(append(make([]byte, skip), word...))
		out = append(out, []byte(s[(skip*8+5)/6:len(s)-1]))
	}
	return out
}

// found are the files below dir, and the words in them.
func found(t *testing.T, dir string, words []string) (hits []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, word := range words {
			for _, form := range forms(word) {
				if bytes.Contains(text, form) {
					hits = append(hits, fmt.Sprintf("%q in %s", form, path))
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return hits
}

func (w *forgetWorld) nothingFound(where, text string) {
	w.t.Helper()
	for _, word := range w.words {
		for _, form := range forms(word) {
			if i := strings.Index(text, string(form)); i >= 0 {
				w.t.Errorf("%s: %q: …%s…", where, form, text[max(0, i-120):min(len(text), i+120)])
			}
		}
	}
}

// TestForgottenPeopleAreNowhere: every word of a person and of the guest they claimed is gone from every answer and from the whole data directory, while
// the server runs and after it; their picture stays, their sockets and tokens end, and the log's chain is what it was.
func TestForgottenPeopleAreNowhere(t *testing.T) {
	w := newForgetWorld(t, t.TempDir())
	w.fill()
	for _, word := range w.words {
		if word == "annabelle@" || word == "annabelles-face" || strings.Contains(word, "Wordsworth") {
			continue // nobody is told
		}
		if !strings.Contains(w.answers(), word) {
			t.Errorf("the test plants no %q", word)
		}
	}
	if hits := found(t, w.dir, []string{"annabelle@"}); len(hits) == 0 {
		t.Error("the test plants no e-mail")
	}
	v1 := dialAs(t, "ws://"+w.s.addr+"/v1/rooms/studio/ws", "kanvas.v1")
	v1.say(t, map[string]any{"type": "hello", "token": w.ann, "client": "a"})
	v1.until(t, `"type":"presence","online"`)
	old := dialAs(t, "ws://"+w.s.addr+"/parties/main/studio?_pk=aa&token="+w.guest, "")
	old.until(t, `"connection:info"`)
	stream := w.stream("/v1/rooms/studio/events", w.ann)

	bob := dialAs(t, "ws://"+w.s.addr+"/v1/rooms/studio/ws", "kanvas.v1")
	bob.say(t, map[string]any{"type": "hello", "token": w.bob, "client": "b"})
	bob.until(t, `"type":"presence","online"`)
	oldBob := dialAs(t, "ws://"+w.s.addr+"/parties/main/studio?_pk=bb&token="+w.bob, "")
	oldBob.until(t, `"connection:info"`)

	out := mustTool(t, "forget", "user_ann", "--data", w.dir)
	if !strings.Contains(out, "destroyed the key of "+w.gid) || !strings.HasSuffix(out, "forgotten\n") {
		t.Error(out)
	}
	v1.ends(t)
	stream.ends(t)
	bob.without(t, `"type":"snapshot"`, w.words) // there is one for her, and one for the guest
	oldBob.without(t, `"type":"chat:history"`, w.words)
	w.command(w.bob, "chat.post", map[string]any{"text": "life-goes-on"})
	bob.until(t, `"type":"commit"`, "life-goes-on")
	oldBob.until(t, `"chat:new"`, "life-goes-on")
	for _, token := range []string{w.ann, w.guest} {
		if status, err := httpJSON("GET", w.url("/v1/me"), token, nil, nil); status != 401 || err != nil {
			t.Errorf("their token: %d %v", status, err)
		}
	}
	told := w.answers()
	w.nothingFound("an answer", told)
	for _, stays := range []string{"bobs-chat-stays", "Bob Staywell", "Deleted user", `"src":"/v1/assets/`} {
		if !strings.Contains(told, stays) {
			t.Errorf("%q is gone too", stays)
		}
	}
	if hits := found(t, w.dir, w.words); len(hits) > 0 {
		t.Errorf("beside a running server: %s", strings.Join(hits, "\n"))
	}
	if out := mustTool(t, "verify", "--data", w.dir); !strings.HasSuffix(out, "sound\n") {
		t.Error(out)
	}
	w.s.stop()
	w.nothingFound("the server's log", w.s.out.String())
	if hits := found(t, w.dir, w.words); len(hits) > 0 {
		t.Errorf("after a server: %s", strings.Join(hits, "\n"))
	}
	if out := mustTool(t, "rebuild", "--data", w.dir); !strings.Contains(out, "the same rows as before") {
		t.Error(out)
	}
	if out, err := tool(t, "forget", "user_nobody", "--data", w.dir); err == nil || !strings.Contains(out, "was ever here") {
		t.Errorf("%v %s", err, out)
	}
	mustTool(t, "forget", "user_ann", "--data", w.dir) // again changes nothing
	w.serve()
	w.nothingFound("an answer after a restart", w.answers())
}

// eventStream is an open one.
type eventStream struct{ body io.Reader }

// ends reads on to its end, which must be a clean one.
func (s eventStream) ends(t *testing.T) {
	t.Helper()
	done := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, s.body); done <- err }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("the event stream was not ended: %v", err)
		}
	case <-time.After(10 * time.Second): // a heartbeat later it would look whether its caller may still read
		t.Error("the event stream was not ended")
	}
}

// dataDir is what the server runs on.
func (s *server) dataDir() string { return s.cmd.Args[slices.Index(s.cmd.Args, "--data")+1] }

// tokenOf signs a token as kanvas token does, without making the person.
func tokenOf(dir, user string) (string, error) {
	tokens, err := openTokens(dir)
	if err != nil {
		return "", err
	}
	signed, _, err := tokens.Sign(user, "local", time.Hour)
	return signed, err
}

// stream opens an event stream.
func (w *forgetWorld) stream(path, token string) eventStream {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), "GET", w.url(path), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != 200 {
		w.t.Fatalf("%v %v", res, err)
	}
	w.t.Cleanup(func() { _ = res.Body.Close() })
	return eventStream{res.Body}
}

// TestFileNamesAreDropped: where it is set so, the name of a file comes into nothing that is kept.
func TestFileNamesAreDropped(t *testing.T) {
	for setting, kept := range map[string]bool{"keep": true, "drop": false} {
		w := &forgetWorld{t: t, dir: t.TempDir()}
		w.s = startServer(t, w.dir, "127.0.0.1:0", "KANVAS_FILE_NAMES="+setting)
		token, _ := w.newGuest("Ann")
		w.call("POST", "/v1/assets", token, 201, map[string]any{"name": "annas-passport.png", "content_type": "image/png", "size": 100}, nil)
		w.s.stop()
		if hits := found(t, w.dir, []string{"annas-passport"}); len(hits) > 0 != kept {
			t.Errorf("%s: %v", setting, hits)
		}
	}
}

// TestDoctorTellsWhatIsLeft: of forgetting, and of a rotation.
func TestDoctorTellsWhatIsLeft(t *testing.T) {
	dir := t.TempDir()
	n, stop := budgetNode(t, dir)
	look := func() string {
		t.Helper()
		return fmt.Sprint(n.checkForgotten(t.Context()))
	}
	if told := look(); !strings.Contains(told, "0 people are on the list") || strings.Contains(told, "rotation") {
		t.Error(told)
	}
	if err := n.list.Add("ann"); err != nil {
		t.Fatal(err)
	}
	mustTool(t, "keys", "rotate", "--prepare", "--data", dir)
	if told := look(); !strings.Contains(told, "may be left of 1 people") || !strings.Contains(told, "kanvas keys rotate") {
		t.Error(told)
	}
	stop()
	mustTool(t, "keys", "rotate", "--data", dir)
	mustTool(t, "forget", "ann", "--data", dir)
	n, stop = budgetNode(t, dir)
	defer stop()
	if told := look(); !strings.Contains(told, "1 people are on the list") || strings.Contains(told, "rotation") {
		t.Error(told)
	}
}
