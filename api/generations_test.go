package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"testing"

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
