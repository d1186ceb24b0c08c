package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image/png"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/fal/faltest"
)

func TestAPictureIsMade(t *testing.T) {
	g := newGenerationWorld(t)
	ann := g.guest("Ann")
	room := g.room(ann, "r", "private")
	a := g.call("POST", room+"/generations", ann.token, cmd{"model": textToImage, "prompt": "a cat", "input": cmd{"num_images": 2, "seed": 7},
		"placement": cmd{"x": 10, "y": 20, "width": 300, "height": 300}}).ok(202)
	id := a.str("id")
	if a.str("status") != "queued" || a.header.Get("Location") != room+"/generations/"+id {
		t.Fatalf("%s, %v", a.body, a.header)
	}
	done := g.became(ann, room, id, "succeeded")
	if done["prompt"] != "a cat" || done["seed"] != "9007199254740993" || done["kept"] != true || len(done["assets"].([]any)) != 2 || done["model"] != textToImage ||
		done["user"].(cmd)["name"] != "Ann" || done["cost"].(float64) <= 0 || done["submitted_at"] == nil || done["finished_at"] == nil {
		t.Fatalf("%v", done)
	}
	e := g.shown(ann, room, id)
	link := done["assets"].([]any)[0].(cmd)
	if e == nil || e["src"] != link["url"] || e["generation"] != nil || e["isGenerated"] != true || e["width"] != 300.0 || e["height"] != 100.0 || e["y"] != 120.0 {
		t.Fatalf("the element is %v", e)
	}
	if next := g.shown(ann, room, id+"-1"); next == nil || next["src"] != done["assets"].([]any)[1].(cmd)["url"] {
		t.Fatalf("the second picture is %v", next)
	}
	if got := g.call("GET", link["url"].(string), ann.token, nil).ok(200); !bytes.Equal(got.body, faltest.Picture) || got.header.Get("Content-Type") != "image/jpeg" {
		t.Errorf("the picture has %d bytes of %s", len(got.body), got.header.Get("Content-Type"))
	}
	if n := len(g.fal.Jobs()); n != 1 {
		t.Errorf("%d jobs were sent", n)
	}
	list := g.call("GET", room+"/generations?min_revision=1", ann.token, nil).ok(200).list("generations")
	if len(list) != 1 || list[0].(cmd)["id"] != id {
		t.Errorf("listed: %v", list)
	}
	g.call("GET", "/v1/rooms/r/generations", g.guest("Eve").token, nil).refused(http.StatusNotFound, "not_found")
}

// driveGenerations holds the answers about generations against the document.
func (s *schemas) driveGenerations(t *testing.T) {
	const all, one = "/v1/rooms/{id}/generations", "/v1/rooms/{id}/generations/{gid}"
	g := newGenerationWorld(t)
	g.fal.Plan(func(string, json.RawMessage) faltest.Plan { return faltest.Plan{Hold: true} })
	ada := g.guest("Ada")
	room := g.room(ada, "r", "public")
	check := func(method, template, path, token string, body any) *answer {
		a := g.call(method, path, token, body)
		s.check(method, template, a)
		return a
	}
	check("GET", "/v1/models", "/v1/models", "", nil).ok(200)
	check("GET", "/v1/models", "/v1/models", "no token", nil).ok(401)
	id := check("POST", all, room+"/generations", ada.token, cmd{"model": textToImage, "prompt": "a cat"}).ok(202).str("id")
	check("POST", all, room+"/generations", ada.token, cmd{"prompt": "a cat"}).ok(400)
	check("POST", all, room+"/generations", "", cmd{"prompt": "a cat"}).ok(401)
	check("GET", one, room+"/generations/"+id, "", nil).ok(200)
	check("GET", one, room+"/generations/nope", "", nil).ok(404)
	check("GET", all, room+"/generations?min_revision=1", "", nil).ok(200)
	check("GET", all, room+"/generations?limit=0", "", nil).ok(400)
	check("DELETE", one, room+"/generations/"+id, ada.token, nil).ok(204)
	check("DELETE", one, room+"/generations/nope", ada.token, nil).ok(404)
}

// TestModelsAreOffered: those that are allowed, with what they may cost; nothing where no model runs.
func TestModelsAreOffered(t *testing.T) {
	g := newGenerationWorld(t)
	list := g.call("GET", "/v1/models", "", nil).ok(200).list("models")
	var names []string
	for _, m := range list {
		m := m.(cmd)
		names = append(names, m["model"].(string))
		if m["estimate"].(float64) <= 0 {
			t.Errorf("%v costs nothing", m)
		}
	}
	if !slices.Equal(names, []string{textToImage, restyle, isolate}) {
		t.Errorf("%v", names)
	}
	if got := newWorld(t).call("GET", "/v1/models", "", nil).ok(200).list("models"); len(got) != 0 {
		t.Errorf("%v without a key", got)
	}
}

// hold keeps jobs in the queue until they are finished by hand.
func (g *generationWorld) hold() {
	g.fal.Plan(func(string, json.RawMessage) faltest.Plan { return faltest.Plan{Hold: true, Position: 3} })
}

// sent waits for the nth job at the stand-in.
func (g *generationWorld) sent(n int) faltest.Job {
	g.t.Helper()
	ctx := soon(g.t)
	for {
		if jobs := g.fal.Jobs(); len(jobs) >= n {
			return jobs[n-1]
		}
		if ctx.Err() != nil {
			g.t.Fatalf("%d jobs, not %d", len(g.fal.Jobs()), n)
		}
	}
}

// picture puts a picture into the room, as a data URL, and returns its element and asset.
func (g *generationWorld) picture(p person, room, id string) (asset string) {
	g.t.Helper()
	data := "data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(faltest.Picture)
	g.call("POST", room+"/commands", p.token, commandsBody(cmd{"command": "element.add", "data": cmd{"element": cmd{"id": id, "type": "image", "src": data,
		"x": 0, "y": 0, "width": faltest.PictureWidth, "height": faltest.PictureHeight}}})).ok(200)
	return strings.TrimPrefix(g.shown(p, room, id)["src"].(string), "/v1/assets/")
}

func TestABackgroundIsRemovedInPlace(t *testing.T) {
	g := newGenerationWorld(t)
	ann := g.guest("Ann")
	room := g.room(ann, "r", "private")
	asset := g.picture(ann, room, "e")
	before := g.shown(ann, room, "e")["src"]
	id := g.order(ann, room, cmd{"model": background, "input": cmd{"image_url": "/v1/assets/" + asset}, "placement": cmd{"element_id": "e"}})
	done := g.became(ann, room, id, "succeeded")
	e := g.shown(ann, room, "e")
	if e["src"] == before || e["src"] != done["assets"].([]any)[0].(cmd)["url"] || e["generation"] != nil || e["width"] != float64(faltest.PictureWidth) {
		t.Fatalf("%v", e)
	}
	// What fal.ai was given to read is the picture itself, at an address of its own storage.
	var input struct {
		URL string `json:"image_url"`
	}
	if err := json.Unmarshal([]byte(g.sent(1).Input), &input); err != nil || g.fal.File(input.URL) != string(faltest.Picture) {
		t.Errorf("sent %s (%v)", g.sent(1).Input, err)
	}
	g.call("POST", room+"/commands", ann.token, commandsBody(cmd{"command": "undo"})).ok(200)
	if e := g.shown(ann, room, "e"); e["src"] != before || e["generation"] != nil {
		t.Errorf("undone, it is %v", e)
	}
	// The clear part of the event says that the picture is used.
	if asked := g.eventsOf(ann, room, "generation.requested"); len(asked) != 1 || asked[0]["prompt"] != "" {
		t.Errorf("%v", asked)
	}
}

func TestAnObjectIsIsolatedByItsMask(t *testing.T) {
	g := newGenerationWorld(t)
	ann := g.guest("Ann")
	room := g.room(ann, "r", "private")
	asset := g.picture(ann, room, "e")
	g.call("POST", room+"/generations", ann.token, cmd{"model": isolate, "prompt": "the board"}).refused(400, "bad_request")
	id := g.order(ann, room, cmd{"model": isolate, "prompt": "the board", "input": cmd{"image_url": "asset:" + asset}, "placement": cmd{"beside": "e"}})
	done := g.became(ann, room, id, "succeeded")
	url := done["assets"].([]any)[0].(cmd)["url"].(string)
	got := g.call("GET", url, ann.token, nil).ok(200)
	m, err := png.Decode(bytes.NewReader(got.body))
	if err != nil || m.Bounds().Dx() != faltest.PictureWidth {
		t.Fatalf("no PNG of the picture's size: %v", err)
	}
	_, _, _, corner := m.At(0, 0).RGBA()
	_, _, _, middle := m.At(faltest.PictureWidth/2, faltest.PictureHeight/2).RGBA()
	if corner != 0 || middle != 0xffff {
		t.Errorf("alpha is %d in the corner and %d in the middle", corner, middle)
	}
	if e := g.shown(ann, room, id); e["x"] != float64(faltest.PictureWidth+20) || e["src"] != url {
		t.Errorf("it stands at %v", e)
	}
}

func TestAVideoIsMadeOfAPicture(t *testing.T) {
	g := newGenerationWorld(t)
	ann := g.guest("Ann")
	room := g.room(ann, "r", "private")
	data := "data:image/png;base64," + base64.StdEncoding.EncodeToString(faltest.Drawing)
	id := g.order(ann, room, cmd{"model": imageVideo, "prompt": "pan", "input": cmd{"image_url": data}, "placement": cmd{"x": 0, "y": 0, "width": 400, "height": 300}})
	g.became(ann, room, id, "succeeded")
	e := g.shown(ann, room, id)
	if e["type"] != "video" || e["isGenerating"] != nil || e["isVideo"] != true || !strings.HasPrefix(e["src"].(string), "/v1/assets/") {
		t.Errorf("%v", e)
	}
	if got := g.call("GET", e["src"].(string), ann.token, nil).ok(200); !bytes.Equal(got.body, faltest.Video) {
		t.Errorf("%d bytes", len(got.body))
	}
	// A picture can't become a video in place.
	g.picture(ann, room, "e")
	g.call("POST", room+"/generations", ann.token, cmd{"model": imageVideo, "prompt": "pan", "input": cmd{"image_url": data}, "placement": cmd{"element_id": "e"}}).refused(422, "invalid_command")
}

func TestFailuresSayWhyAndAreTriedAgain(t *testing.T) {
	g := newGenerationWorld(t)
	ann, bob := g.guest("Ann"), g.guest("Bob")
	room := g.room(ann, "r", "public")
	const secret = "a prompt that nobody else may read"
	for _, c := range []struct {
		name      string
		plan      faltest.Plan
		code      string
		retryable bool
	}{
		{"content policy", faltest.Plan{Status: 422, Output: cmd{"detail": []cmd{{"loc": []string{"body", "prompt"}, "msg": "The content could not be processed because it was flagged: " + secret, "type": "content_policy_violation"}}}}, "content_policy", false},
		{"bad input", faltest.Plan{Status: 422, Output: cmd{"detail": []cmd{{"loc": []string{"body", "num_images"}, "msg": "too many", "type": "value_error"}}}}, "invalid_input", false},
		{"server error", faltest.Plan{Status: 500, Output: cmd{"detail": "Internal Server Error"}, State: cmd{"error": "it broke", "error_type": "internal_error"}}, "upstream_failed", true},
		{"no files", faltest.Plan{Output: cmd{"images": []any{}}}, "bad_result", true},
	} {
		g.fal.Plan(func(string, json.RawMessage) faltest.Plan { return c.plan })
		id := g.order(ann, room, cmd{"model": textToImage, "prompt": secret})
		is := g.became(ann, room, id, "failed", "succeeded")
		mark, _ := g.shown(ann, room, id)["generation"].(cmd)
		if is["code"] != c.code || mark["status"] != "failed" || mark["code"] != c.code || mark["detail"] == "" || mark["detail"] != is["detail"] {
			t.Errorf("%s: %v, on the element %v", c.name, is, mark)
		}
		if strings.Contains(fmt.Sprint(is["detail"]), secret) {
			t.Errorf("%s: the detail quotes the prompt: %v", c.name, is["detail"])
		}
		if seen := g.call("GET", room+"/generations/"+id, bob.token, nil).ok(200).json(); seen["said"] != nil {
			t.Errorf("%s: somebody else is told %v", c.name, seen["said"])
		}
		if (is["retryable"] == true) != c.retryable && c.code == "upstream_failed" {
			t.Errorf("%s: retryable %v", c.name, is["retryable"])
		}
		// Again, in the same place, as it was.
		g.fal.Plan(nil)
		again := g.order(ann, room, cmd{"retry_of": id})
		done := g.became(ann, room, again, "succeeded")
		if done["retry_of"] != id || done["prompt"] != secret || done["element_id"] != id {
			t.Errorf("%s: tried again %v", c.name, done)
		}
		if e := g.shown(ann, room, id); e["generation"] != nil || e["src"] == "" {
			t.Errorf("%s: then the element is %v", c.name, e)
		}
	}
	g.call("POST", room+"/generations", ann.token, cmd{"retry_of": "nope"}).refused(404, "not_found")
	g.hold()
	id := g.order(ann, room, cmd{"model": textToImage, "prompt": "x"})
	g.call("POST", room+"/generations", ann.token, cmd{"retry_of": id}).refused(409, "conflict")
	if is := g.became(ann, room, id, "queued", "submitting", "submitted", "running"); float64(g.held(ann)) != is["estimate"] {
		t.Errorf("%d are held where one job runs that is estimated at %v", g.held(ann), is["estimate"])
	}
}

// held is what is reserved for a person, in millionths of a US dollar.
func (g *generationWorld) held(p person) int64 {
	g.t.Helper()
	is, err := g.budgets.Of(soon(g.t), p.id)
	if err != nil {
		g.t.Fatal(err)
	}
	return is.Reserved
}

func TestTheSameKeyIsTheSameGeneration(t *testing.T) {
	g := newGenerationWorld(t)
	ann := g.guest("Ann")
	room := g.room(ann, "r", "private")
	body := cmd{"model": textToImage, "prompt": "a cat"}
	id := g.order(ann, room, body, "Idempotency-Key", "k1")
	if again := g.order(ann, room, body, "Idempotency-Key", "k1"); again != id {
		t.Errorf("the same request made %s and %s", id, again)
	}
	g.call("POST", room+"/generations", ann.token, cmd{"model": textToImage, "prompt": "a dog"}, "Idempotency-Key", "k1").refused(422, "idempotency_mismatch")
	g.became(ann, room, id, "succeeded")
	g.quiet(ann, room)
	if n := len(g.fal.Jobs()); n != 1 {
		t.Errorf("%d jobs", n)
	}
	if n := g.held(ann); n != 0 {
		t.Errorf("%d are still held", n)
	}
}

func TestCancelWhileItWaits(t *testing.T) {
	g := newGenerationWorld(t)
	ann, bob := g.guest("Ann"), g.guest("Bob")
	room := g.room(ann, "r", "public")
	g.hold()
	id := g.order(ann, room, cmd{"model": textToImage, "prompt": "a cat"})
	g.sent(1)
	g.became(ann, room, id, "submitted", "running")
	g.call("DELETE", room+"/generations/"+id, bob.token, nil).refused(403, "forbidden")
	g.call("DELETE", room+"/generations/"+id, ann.token, nil).ok(204)
	g.became(ann, room, id, "canceled")
	if e := g.shown(ann, room, id); e != nil {
		t.Errorf("the placeholder is still there: %v", e)
	}
	g.quiet(ann, room)
	if !g.sent(1).Canceled {
		t.Error("fal.ai was not asked to end it")
	}
	g.call("DELETE", room+"/generations/"+id, ann.token, nil).ok(204)
	if n := g.held(ann); n != 0 {
		t.Errorf("%d are held", n)
	}
	g.fal.Plan(nil)
	done := g.order(ann, room, cmd{"model": textToImage, "prompt": "a cat"})
	g.became(ann, room, done, "succeeded")
	g.call("DELETE", room+"/generations/"+done, ann.token, nil).refused(409, "conflict")
}

// quiet waits until nothing is under way in the room.
func (g *generationWorld) quiet(p person, room string) {
	g.t.Helper()
	ctx := soon(g.t)
	for {
		v, err := g.rooms.View(ctx, strings.TrimPrefix(room, "/v1/rooms/"))
		if err != nil {
			g.t.Fatal(err)
		}
		if len(v.Generations) == 0 && g.gens.Following() == 0 {
			return
		}
	}
}

func TestRedoAndCopiesGetWhatBecameOfIt(t *testing.T) {
	g := newGenerationWorld(t)
	ann := g.guest("Ann")
	room := g.room(ann, "r", "private")
	do := func(list ...cmd) { g.call("POST", room+"/commands", ann.token, commandsBody(list...)).ok(200) }
	g.hold()
	id := g.order(ann, room, cmd{"model": textToImage, "prompt": "a cat"})
	job := g.sent(1)
	do(cmd{"command": "element.add", "data": cmd{"element": cmd{"id": "copy", "type": "image", "src": "", "isGenerated": true, "generation": cmd{"id": id, "status": "queued"}}}})
	do(cmd{"command": "undo"}, cmd{"command": "undo"}) // the copy, then the placeholder
	do(cmd{"command": "redo"}, cmd{"command": "redo"}, cmd{"command": "undo"})
	do(cmd{"command": "undo"})
	g.fal.Finish(job.ID)
	is := g.became(ann, room, id, "succeeded")
	if is["kept"] != false || g.shown(ann, room, id) != nil {
		t.Fatalf("%v", is)
	}
	do(cmd{"command": "redo"})
	do(cmd{"command": "redo"})
	src := is["assets"].([]any)[0].(cmd)["url"]
	for ctx := soon(t); ; {
		first, second := g.shown(ann, room, id), g.shown(ann, room, "copy")
		if first["src"] == src && second["src"] == src && first["generation"] == nil && second["generation"] == nil {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("%v and %v", first, second)
		}
	}
}

func TestAResultThatComesAfterCancelIsKeptAsAFile(t *testing.T) {
	g := newGenerationWorld(t)
	ann := g.guest("Ann")
	room := g.room(ann, "r", "private")
	g.hold()
	g.fal.Fault(func(w http.ResponseWriter, r *http.Request) bool { // it goes on all the same
		if strings.HasSuffix(r.URL.Path, "/cancel") {
			w.WriteHeader(http.StatusBadRequest)
			return true
		}
		return false
	})
	id := g.order(ann, room, cmd{"model": textToImage, "prompt": "a cat"})
	job := g.sent(1)
	g.became(ann, room, id, "submitted", "running")
	g.call("DELETE", room+"/generations/"+id, ann.token, nil).ok(204)
	g.fal.Finish(job.ID)
	g.quiet(ann, room)
	is := g.became(ann, room, id, "canceled")
	if is["kept"] != false || len(is["assets"].([]any)) != 1 || is["cost"].(float64) <= 0 {
		t.Errorf("%v", is)
	}
	if got := g.call("GET", is["assets"].([]any)[0].(cmd)["url"].(string), ann.token, nil).ok(200); !bytes.Equal(got.body, faltest.Picture) {
		t.Error("its picture is another")
	}
	if e := g.shown(ann, room, id); e != nil {
		t.Errorf("it came onto the canvas: %v", e)
	}
}

func TestTheAnswerThatWasLost(t *testing.T) {
	lost := func(g *generationWorld) {
		g.fal.Break(func(r *http.Request) faltest.Break {
			if r.Method == "POST" && r.Host == "queue.fal.run" {
				return faltest.Lost
			}
			return faltest.Whole
		})
	}
	t.Run("is unknown where there is no webhook, and never sent again", func(t *testing.T) {
		g := newGenerationWorld(t)
		ann := g.guest("Ann")
		room := g.room(ann, "r", "private")
		lost(g)
		id := g.order(ann, room, cmd{"model": textToImage, "prompt": "a cat"})
		is := g.became(ann, room, id, "unknown")
		if mark, _ := g.shown(ann, room, id)["generation"].(cmd); mark["status"] != "unknown" || is["cost"].(float64) <= 0 {
			t.Errorf("%v, on the element %v", is, mark)
		}
		g.halt() // a restart sends nothing either
		g.start()
		if n := len(g.fal.Jobs()); n != 1 {
			t.Errorf("%d jobs", n)
		}
		if n := g.held(ann); n != 0 {
			t.Errorf("%d are held", n)
		}
		// Who says so comes late: what was paid for is taken all the same.
		job := g.sent(1)
		if err := g.gens.Heard(soon(t), "r", id, job.ID); err != nil {
			t.Fatal(err)
		}
		g.became(ann, room, id, "succeeded")
		if e := g.shown(ann, room, id); e["generation"] != nil || e["src"] == "" {
			t.Errorf("the element is %v", e)
		}
		// Somebody tries again: that is another job.
		g.fal.Break(nil)
		g.became(ann, room, g.order(ann, room, cmd{"retry_of": id, "placement": cmd{"x": 1}}), "succeeded")
	})
	t.Run("is told by the webhook", func(t *testing.T) {
		g := newGenerationWorld(t, func(c *commands.GenerationConfig) {
			c.Webhook = func(room, id string) string { return "https://kanvas.example.com/api/fal/webhook/" + room + "/" + id }
		})
		ann := g.guest("Ann")
		room := g.room(ann, "r", "private")
		lost(g)
		id := g.order(ann, room, cmd{"model": textToImage, "prompt": "a cat"})
		job := g.sent(1)
		if job.Webhook != "https://kanvas.example.com/api/fal/webhook/r/"+id {
			t.Errorf("the job reports to %q", job.Webhook)
		}
		g.halt()
		g.start()
		if err := g.gens.Heard(soon(t), "r", id, job.ID); err != nil {
			t.Fatal(err)
		}
		g.became(ann, room, id, "succeeded")
		if err := g.gens.Heard(soon(t), "r", id, job.ID); err != nil {
			t.Errorf("heard again: %v", err)
		}
		if n := len(g.fal.Jobs()); n != 1 {
			t.Errorf("%d jobs", n)
		}
	})
}

func TestGenerationsAskedForBadly(t *testing.T) {
	g := newGenerationWorld(t)
	ann, eve := g.guest("Ann"), g.guest("Eve")
	room := g.room(ann, "r", "private")
	secret := g.picture(ann, room, "e")
	own := g.room(eve, "own", "private")
	big := strings.Repeat("x", 64<<10)
	many := make([]string, 17)
	for i := range many {
		many[i] = "asset:" + secret
	}
	deep := json.RawMessage(strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20))
	for name, c := range map[string]struct {
		body   cmd
		status int
		code   string
	}{
		"no model":            {cmd{"prompt": "a"}, 400, "bad_request"},
		"a model not run":     {cmd{"model": "evil/model", "prompt": "a"}, 400, "bad_request"},
		"a model out of form": {cmd{"model": "../../x", "prompt": "a"}, 400, "bad_request"},
		"nothing asked":       {cmd{"model": textToImage}, 400, "bad_request"},
		"prompt no string":    {cmd{"model": textToImage, "prompt": 3}, 400, "bad_request"},
		"two prompts":         {cmd{"model": textToImage, "prompt": "a", "input": cmd{"prompt": "b"}}, 400, "bad_request"},
		"input no object":     {cmd{"model": textToImage, "prompt": "a", "input": []int{1}}, 400, "bad_request"},
		"input too deep":      {cmd{"model": textToImage, "prompt": "a", "input": deep}, 400, "bad_request"},
		"input too large":     {cmd{"model": textToImage, "prompt": "a", "input": cmd{"negative_prompt": big}}, 413, "too_large"},
		"prompt too large":    {cmd{"model": textToImage, "prompt": big}, 413, "too_large"},
		"an unknown member":   {cmd{"model": textToImage, "prompt": "a", "webhook": "https://evil.example.com"}, 400, "bad_request"},
		"another's picture":   {cmd{"model": restyle, "prompt": "a", "input": cmd{"image_url": "/v1/assets/" + secret}}, 404, "not_found"},
		"and by its scheme":   {cmd{"model": restyle, "prompt": "a", "input": cmd{"images": []any{cmd{"deep": "asset:" + secret}}}}, 404, "not_found"},
		"no such picture":     {cmd{"model": restyle, "prompt": "a", "input": cmd{"image_url": "asset:nope"}}, 404, "not_found"},
		"a foreign address":   {cmd{"model": restyle, "prompt": "a", "input": cmd{"image_url": "https://evil.example.com/x.png"}}, 400, "bad_request"},
		"an inner address":    {cmd{"model": restyle, "prompt": "a", "input": cmd{"image_url": "http://169.254.169.254/latest"}}, 400, "bad_request"},
		"it in capitals":      {cmd{"model": restyle, "prompt": "a", "input": cmd{"image_url": "HTTPS://evil.example.com/x.png"}}, 400, "bad_request"},
		"it after a tab":      {cmd{"model": restyle, "prompt": "a", "input": cmd{"image_url": "\thttps://evil.example.com/x.png"}}, 400, "bad_request"},
		"it with a space":     {cmd{"model": restyle, "prompt": "a", "input": cmd{"image_url": "https://evil.example.com/x y.png"}}, 400, "bad_request"},
		"it without a scheme": {cmd{"model": restyle, "prompt": "a", "input": cmd{"images": []any{"//evil.example.com/x.png"}}}, 400, "bad_request"},
		"another scheme":      {cmd{"model": restyle, "prompt": "a", "input": cmd{"reference": "ftp://evil.example.com/x.png"}}, 400, "bad_request"},
		"words for a picture": {cmd{"model": restyle, "prompt": "a", "input": cmd{"image_urls": []any{"evil.example.com"}}}, 400, "bad_request"},
		"a lookalike":         {cmd{"model": restyle, "prompt": "a", "input": cmd{"image_url": "https://fal.media.evil.example.com/x"}}, 400, "bad_request"},
		"a user in front":     {cmd{"model": restyle, "prompt": "a", "input": cmd{"image_url": "https://fal.media@evil.example.com/x"}}, 400, "bad_request"},
		"a bad data URL":      {cmd{"model": restyle, "prompt": "a", "input": cmd{"image_url": "data:image/png;base64,AAAA"}}, 422, "invalid_command"},
		"no such element":     {cmd{"model": textToImage, "prompt": "a", "placement": cmd{"element_id": "nope"}}, 404, "not_found"},
		"nothing beside":      {cmd{"model": textToImage, "prompt": "a", "placement": cmd{"beside": "nope"}}, 404, "not_found"},
		"two places":          {cmd{"model": textToImage, "prompt": "a", "placement": cmd{"element_id": "e", "x": 1}}, 400, "bad_request"},
		"no width":            {cmd{"model": textToImage, "prompt": "a", "placement": cmd{"width": 0}}, 400, "bad_request"},
		"too far":             {cmd{"model": textToImage, "prompt": "a", "placement": cmd{"x": 1e12}}, 400, "bad_request"},
		"x no number":         {cmd{"model": textToImage, "prompt": "a", "placement": cmd{"x": "1"}}, 400, "bad_request"},
		"placement no object": {cmd{"model": textToImage, "prompt": "a", "placement": 3}, 400, "bad_request"},
		"too many files":      {cmd{"model": restyle, "prompt": "a", "input": cmd{"image_urls": many}}, 404, "not_found"},
	} {
		a := g.call("POST", own+"/generations", eve.token, c.body)
		if a.status != c.status || a.json()["code"] != c.code {
			t.Errorf("%s: %d %s, want %d %s", name, a.status, a.body, c.status, c.code)
		}
	}
	if list := g.call("GET", own+"/generations?min_revision=1", eve.token, nil).ok(200).list("generations"); len(list) != 0 {
		t.Errorf("something was asked for: %v", list)
	}
	if e := g.call("GET", own+"/canvas", eve.token, nil).ok(200).list("elements"); len(e) != 0 {
		t.Errorf("something is on the canvas: %v", e)
	}
	if n := g.held(eve); n != 0 || len(g.fal.Jobs()) != 0 {
		t.Errorf("%d are held, %d jobs were sent", n, len(g.fal.Jobs()))
	}
	// Files of fal.media, and weights of a style where the front end has them, may be named.
	id := g.order(eve, own, cmd{"model": restyle, "prompt": "a", "input": cmd{"image_url": "https://v3.fal.media/files/a/b.png", "loras": []cmd{{"path": "https://huggingface.co/a/b.safetensors", "scale": 1}}}})
	g.became(eve, own, id, "succeeded")
	g.call("POST", own+"/generations", "", cmd{"model": textToImage, "prompt": "a"}).refused(401, "unauthenticated")
}

func TestGenerationsCountLikeCallsOfModels(t *testing.T) {
	g := newGenerationWorld(t)
	g.api.falLimits.person.Windows = []commands.Window{{Max: 2, Per: time.Minute}}
	ann := g.guest("Ann")
	room := g.room(ann, "r", "private")
	body, first := cmd{"model": textToImage, "prompt": "a cat"}, ""
	for i := range 2 {
		a := g.call("POST", room+"/generations", ann.token, body, "Idempotency-Key", "kl"[i:i+1]).ok(202)
		if first == "" {
			first = a.json()["id"].(string)
		}
		if a.header.Get("X-RateLimit-Remaining") != fmt.Sprint(1-i) {
			t.Errorf("%d: %v", i, a.header)
		}
	}
	a := g.call("POST", room+"/generations", ann.token, cmd{"model": textToImage, "prompt": "a cat"}).refused(429, "rate_limited")
	if a.header.Get("Retry-After") == "" {
		t.Errorf("%v", a.header)
	}
	// What was asked for already is answered as it was, and counts no more.
	g.call("POST", room+"/generations", ann.token, cmd{"model": textToImage, "prompt": "a dog"}, "Idempotency-Key", "other").refused(429, "rate_limited")
	if again := g.order(ann, room, body, "Idempotency-Key", "k"); again != first {
		t.Errorf("asked again under the key: %s, was %s", again, first)
	}
	// Guest identities are free: the next one at the same address counts with the first.
	bob := g.guest("Bob")
	g.call("POST", g.room(bob, "b", "private")+"/generations", bob.token, cmd{"model": textToImage, "prompt": "a cat"}).refused(429, "rate_limited")
	// Through /api/fal it is the same count.
	if a := g.world.fal("POST", falRun, ann.token, falPrompt); a.status != 429 {
		t.Errorf("through /api/fal: %d %s", a.status, a.body)
	}
}

func TestADeletedRoomsJobsAreEnded(t *testing.T) {
	g := newGenerationWorld(t)
	ann := g.guest("Ann")
	room := g.room(ann, "r", "private")
	g.hold()
	id := g.order(ann, room, cmd{"model": textToImage, "prompt": "a cat"})
	g.became(ann, room, id, "submitted", "running")
	g.call("DELETE", room, ann.token, nil).ok(204)
	for ctx := soon(t); g.gens.Following() > 0 || !g.sent(1).Canceled; {
		if ctx.Err() != nil {
			t.Fatalf("%d are followed, the job is %+v", g.gens.Following(), g.sent(1))
		}
	}
	is, err := g.gens.Outcome(soon(t), "r", id)
	if err != nil || !is.Known || !is.Final || is.Cost == 0 {
		t.Errorf("%+v %v", is, err)
	}
}
